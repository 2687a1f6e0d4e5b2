"""ε of clipped and noised updates: published figures, closed forms, and what may not hold."""

import itertools
import logging
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seepage.defenses.dp_fedavg import dp_fedavg, split_noise
from seepage.protocols import NoisedUpdate
from seepage.records import UserError
from seepage.training import epsilon
from seepage.training.client_accountant import (
    ADDED,
    REPLACED,
    ZEROED,
    joint_noise,
    ways_of_counting,
)
from seepage.training.renyi import renyi_epsilon

CENTRAL = NoisedUpdate(clip=1.0, sigma=1.0, where="server")
LOCAL = NoisedUpdate(clip=1.0, sigma=1.0, where="client")

# What accountants in use print for one run: 10 of 100 clients a round, without replacement, noise
# on the sum. Computed with dp-accounting 0.6; the fourth is a cohort drawn without replacement
# counted with the noise of a replaced client.
PRINTED = [
    (1.0, 300, {"none": 231.0, "trap": 26.0, "poisson": 13.7, "pld": 12.4, "right": 231.6}),
    (0.5, 100, {"none": 295.0, "trap": 84.0, "poisson": 37.0, "pld": 31.0, "right": 1218.9}),
]


def hundred(noise, rounds, sizes=(50,) * 100):
    return ways_of_counting(noise, sizes=sizes, cohort=10, rounds=rounds)


def only(counted, **what):
    (one,) = [c for c in counted if all(getattr(c, key) == what[key] for key in what)]
    return one


@pytest.mark.parametrize(("sigma", "rounds", "printed"), PRINTED)
def test_one_run_has_the_epsilons_that_accountants_print(sigma, rounds, printed):
    counted = hundred(NoisedUpdate(clip=1.0, sigma=sigma, where="server"), rounds)
    fixed = "10 of 100 clients, without replacement and in secret"
    found = {
        "none": only(counted, relation=ZEROED, accountant="RDP"),
        "trap": only(counted, sampling=fixed, sigma=sigma),
        "poisson": only(counted, relation=ADDED, accountant="RDP"),
        "pld": only(counted, relation=ADDED, accountant="PLD"),
        "right": only(counted, sampling=fixed, sigma=sigma / 2),
    }
    assert {k: c.epsilon for k, c in found.items()} == pytest.approx(printed, rel=0.015)
    holds = {k: c.holds for k, c in found.items()}
    assert holds == {"none": True, "trap": False, "poisson": False, "pld": False, "right": False}


def test_central_noise_promises_nothing_against_the_server():
    counted = hundred(CENTRAL, 300)
    assert {c.against for c in counted} == {"participant", "querier"}
    promise = counted[0]
    assert (promise.relation, promise.against, promise.sigma) == (REPLACED, "participant", 0.5)
    assert promise.sampling == "none: every round counts"
    assert promise.epsilon == epsilon(sampling_rate=1.0, sigma=0.5, steps=300)
    secret = only(counted, sampling="10 of 99 others, without replacement and in secret")
    assert secret.epsilon == renyi_epsilon(sigma=0.5, steps=300, drawn=10, among=99)
    assert secret.epsilon < promise.epsilon


def test_a_cohort_that_everyone_knows_gains_nothing():
    for noise, sizes in ((CENTRAL, (50,) * 100), (CENTRAL, (50,) * 99 + (51,)), (LOCAL, (5,) * 20)):
        counted = hundred(noise, 300, sizes=sizes)
        assert all(c.holds == (c.sampling == "none: every round counts") for c in counted)


def test_a_change_that_becomes_zero_can_turn_a_whole_bit():
    noise = dp_fedavg(clip=1.0, sigma=4.0).noise
    z, bits = split_noise(4.0, 10, None)
    counted = ways_of_counting(noise, sizes=(5,) * 10, cohort=10, rounds=5)
    zeroed = only(counted, relation=ZEROED, accountant="PLD")
    assert zeroed.sigma == pytest.approx((z**-2 + bits**-2) ** -0.5)
    assert zeroed.epsilon == pytest.approx(3.098, rel=1e-3)
    replaced = only(counted, relation=REPLACED, accountant="PLD")
    assert replaced.sigma == pytest.approx((4 * z**-2 + bits**-2) ** -0.5)  # 2C, and a bit


def test_with_everyone_in_every_round_nothing_is_sampled():
    for noise in (CENTRAL, LOCAL):
        counted = ways_of_counting(noise, sizes=(5,) * 10, cohort=10, rounds=20)
        assert all(c.holds and c.steps == 20 for c in counted)
        promise = counted[0]
        assert (promise.accountant, promise.relation, promise.sigma) == ("PLD", REPLACED, 0.5)
        # T Gaussian mechanisms are one, with the noise divided by √T
        as_one = epsilon(sampling_rate=1.0, sigma=0.5 / math.sqrt(20), steps=1)
        assert promise.epsilon == pytest.approx(as_one, rel=1e-3)


def test_local_noise_is_counted_for_all_that_the_server_sees():
    counted = hundred(LOCAL, 30)
    promise = counted[0]
    assert (promise.against, promise.relation, promise.steps) == ("server", REPLACED, 30)
    assert promise.epsilon == epsilon(sampling_rate=1.0, sigma=0.5, steps=30)
    expected = only(counted, steps=3)
    assert (expected.holds, expected.sampling) == (False, "the expected number of rounds")
    mean = {c.against: c.sigma for c in counted if c.against != "server"}
    # nine others' noise, or eight where the one who looks knows her own
    assert mean == pytest.approx({"aggregate": math.sqrt(10) / 2, "participant": 1.5})
    by_relation = {c.relation: c.sigma for c in counted if c.against == "server"}
    assert by_relation == {REPLACED: 0.5, ZEROED: 1.0}
    assert all(c.epsilon <= promise.epsilon for c in counted if c.accountant == "PLD")


@settings(max_examples=40)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=6), st.data())
def test_joint_noise_is_the_worst_over_cohorts_and_clients(sizes, data):
    cohort = data.draw(st.integers(1, len(sizes)))
    known = data.draw(st.integers(0, 1))
    found = []
    for who in itertools.combinations(range(len(sizes)), cohort):
        for k in who:
            for known_ones in itertools.combinations([j for j in who if j != k], known) or [()]:
                left = [j for j in who if j not in known_ones]
                found.append(math.hypot(*(sizes[j] for j in left)) / sizes[k])
    worst = min(found, default=1.0)
    assert joint_noise(sizes, cohort, known=known) == pytest.approx(worst)


def test_no_noise_has_no_epsilon():
    for where in ("client", "server"):
        silent = NoisedUpdate(clip=1.0, sigma=0.0, where=where)
        counted = hundred(silent, 5)
        assert {c.epsilon for c in counted} == {None}
        assert counted[0].holds
        assert counted[0].relation == REPLACED


@pytest.mark.parametrize(("sigma", "steps"), [(0.5, 10), (2.0, 100)])
def test_moments_without_sampling_are_the_closed_form(sigma, steps):
    # ε = α ρ + log(1 - 1/α) - log(δα)/(α - 1) at the best order (Balle et al., 2020)
    rho, orders = steps / (2 * sigma**2), [1 + k / 10 for k in range(1, 100)]
    best = min(a * rho + math.log1p(-1 / a) - math.log(1e-5 * a) / (a - 1) for a in orders)
    assert renyi_epsilon(sigma=sigma, steps=steps) == pytest.approx(best, rel=1e-9)
    assert renyi_epsilon(sigma=sigma, steps=steps) > epsilon(
        sampling_rate=1.0, sigma=sigma, steps=steps
    )


def test_other_messages_of_the_logger_still_come_through(caplog):
    with caplog.at_level(logging.WARNING):
        renyi_epsilon(sigma=0.7, steps=7, poisson=0.1)  # some orders do not converge
        assert not caplog.records
        logging.getLogger("absl").warning("heard")
    assert [record.message for record in caplog.records] == ["heard"]


def test_arguments_out_of_range_are_refused():
    wrong = [{"sigma": 0.0}, {"steps": -1}, {"delta": 1.0}, {"poisson": 0.0}]
    wrong += [{"drawn": 3, "among": 2}, {"poisson": 0.5, "drawn": 1, "among": 2}]
    for each in wrong:
        with pytest.raises(UserError, match="renyi_epsilon needs"):
            renyi_epsilon(**{"sigma": 1.0, "steps": 1} | each)
