"""The noise really added, from a round to the results, with faults planted in the defense."""

import importlib
import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from scipy.stats import binom

import seepage
from seepage.audit.noise import ERROR, NoiseWatch, check_noise
from seepage.audit.prepare import prepare
from seepage.audit.train import begin_store, train
from seepage.defenses import compose, dp_fedavg, perturbation, quantization, sparsification
from seepage.defenses.perturbation import add_noise, clipped
from seepage.federation.rounds import change
from seepage.federation.turns import Turns
from seepage.protocols import Defense
from seepage.records import Round
from seepage.study import build_study

WEIGHTS = {0: 0.1, 1: 0.2, 3: 0.3, 4: 0.4}
EQUAL = dict.fromkeys(WEIGHTS, 0.25)


def states(rng, scale):
    return {"weight": torch.from_numpy(rng.normal(0, scale, (20, 15)).astype("f4"))}


def mean(uploads, weights):
    return {
        n: sum(w * uploads[k][n].double() for k, w in weights.items()).float() for n in uploads[0]
    }


def rounds_of(defense, *, seed=0, count=2, mixed=None):
    """Rounds as a federation makes them, of changes with norms around 0.09, 0.17, 0.35 and 0.43.

    ``mixed`` are weights that a server uses in place of those it tells.
    """
    rng, memory = np.random.default_rng(seed), {}
    start = states(rng, 0.1)
    for number in range(1, count + 1):
        raw = {
            k: {n: start[n] + v for n, v in states(rng, 0.005 * (k + 1)).items()} for k in WEIGHTS
        }
        turns = Turns(seed, number, WEIGHTS, memory)
        sent = {k: change(start, raw[k], defense.update, turns.client(k)) for k in raw}
        average = mean(sent, mixed or WEIGHTS)
        after = average
        if defense.server:
            after = change(start, average, defense.server, turns.server())
        memory = turns.memory()
        yield Round(
            number=number,
            start=start,
            uploads=sent,
            weights=WEIGHTS,
            after=after,
            learning_rate=0.1,
            raw_uploads=raw,
            aggregate=average,
            memory=memory,
        )
        start = after


def checked(defense, **how):
    watch = NoiseWatch(defense.noise, [], {})
    for what in rounds_of(defense, **how):
        watch(what, observed=True)
    return watch


LOCAL = perturbation(clip=0.15, sigma=0.1)
FIXED = dp_fedavg(clip=0.15, sigma=0.5, quantile="fixed")
MOVING = dp_fedavg(clip=0.15, sigma=0.5)


@pytest.mark.parametrize("defense", [LOCAL, FIXED, MOVING, perturbation(clip=0.15)])
def test_defenses_that_keep_their_promise_are_accused_no_more_often_than_told(defense):
    watches = [checked(defense, seed=seed).found for seed in range(200)]
    accused = sum(not check_noise(found).ok for found in watches)
    assert accused <= binom.ppf(0.999, 200, ERROR)
    often = sum(not check_noise(found, error=0.3).ok for found in watches)
    assert often <= binom.ppf(0.999, 200, 0.3)
    assert often >= (25 if defense.noise.sigma else 0)  # and the limits are no wider than told
    factors = {row.factor < 1 for found in watches for rows in found.values() for row in rows}
    assert factors == {True, False}


def doubled(change, turn):
    return add_noise(clipped(change, 0.15)[0], 2 * 0.1 * 0.15, turn.rng)


def unclipped(change, turn):
    return add_noise(change, 0.1 * 0.15, turn.rng)


def shared(change, turn):
    """As much noise as the *sum* needs, parted among the clients."""
    return add_noise(clipped(change, 0.15)[0], 0.1 * 0.15 / math.sqrt(len(turn.weights)), turn.rng)


def for_ten(change, turn):
    """A mean over ten clients, of whom four took part."""
    return add_noise(change, 0.5 * 0.15 / 10, turn.rng)


def for_equal_weights(change, turn):
    return add_noise(change, 0.5 * 0.15 / len(turn.weights), turn.rng)


PLANTED = {
    "twice the noise": (replace(LOCAL, update=doubled), {}, "deviation 0.03"),
    "no clipping": (replace(LOCAL, update=unclipped), {}, "clipping to 0.15 multiplies it by 0.3"),
    "noise over the root of the clients": (
        replace(LOCAL, update=shared),
        {},
        "0.015 is configured: 0.4",
    ),
    "another cohort": (replace(FIXED, server=for_ten), {}, "0.03 is configured: 0.2"),
    "equal weights": (replace(FIXED, server=for_equal_weights), {}, "0.03 is configured: 0.6"),
    "another mean": (LOCAL, {"mixed": EQUAL}, "a weight of 0.25, not 0."),
    "another mean, central": (FIXED, {"mixed": EQUAL}, "a weight of 0.25, not 0."),
    "a clip that stays": (replace(MOVING, update=FIXED.update), {}, "is multiplied by"),
}


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_named(fault, monkeypatch):
    broken, how, words = PLANTED[fault]
    if fault == "a clip that stays":  # clients must still say their bit
        broken = replace(broken, update=stubborn)
    found = checked(broken, **how).check()
    assert not found.ok
    assert words in found.problems[0], found.problems
    assert len(found.problems) == 1
    assert not all(row.ok for row in found.rows)


def stubborn(change, turn):
    """Clips to the first norm whatever the server tells."""
    return MOVING.update(change, replace(turn, told={}))


def test_the_sentences():
    found = checked(replace(LOCAL, update=doubled), count=2).check()
    assert found.problems[0].endswith("(7 more like it).")
    assert found.problems[0].startswith("client ")
    assert "'s noise in round " in found.problems[0]
    silent = perturbation(clip=0.15)
    said, *_ = checked(replace(silent, update=LOCAL.update)).check().problems
    assert "where none is configured" in said
    tenfold = partial(scaled, 10.0)
    (said,) = checked(replace(FIXED, server=tenfold), count=1).check().problems
    assert said.startswith("the server multiplies the mean of round 1 by ")
    assert float(said.split()[-1].removesuffix(".")) == pytest.approx(10, rel=0.5)
    assert said.endswith(".")
    assert "more like it" not in said


def scaled(factor, change, turn):
    return FIXED.server({n: factor * v for n, v in change.items()}, turn)


def test_rows_say_what_was_configured_and_found():
    check = checked(FIXED).check()
    assert check.ok
    assert check.error == ERROR
    assert [row.of for row in check.rows] == [0, 1, 3, 4, "server"] * 2
    assert [row.round for row in check.rows] == [1] * 5 + [2] * 5
    server = check.rows[4]
    assert server.deviation == pytest.approx(0.5 * 0.15 * 0.4)
    assert server.expected[0] < server.deviation_found < server.expected[1]
    assert [row.weight for row in check.rows[:5]] == [0.1, 0.2, 0.3, 0.4, None]


# Which promises are checked, and which are dropped -----------------------------------------------


def test_where_others_act_on_updates_the_noise_is_counted_but_not_recomputed():
    for together in (
        compose(sparsification(drop=0.5), LOCAL),
        compose(LOCAL, quantization(bits=8)),
        compose(quantization(bits=8), FIXED),
    ):
        assert together.noise is not None
        assert not together.noise.alone
        assert checked(together).check() is None
    # rounding a clipped change may lengthen it, and the server's noise is for clipped ones
    assert compose(FIXED, quantization(bits=8)).noise is None
    assert compose(LOCAL).noise == LOCAL.noise
    assert compose(LOCAL, Defense(batch=lambda x, y, rng: (x, y))).noise == LOCAL.noise
    assert compose(Defense(), quantization(bits=8)).noise is None


# A whole run -------------------------------------------------------------------------------------

STUDY = {
    "data": {"clients": 3, "per_client": 40, "held_out": 60},
    "model": {"options": {"hidden": [12]}},
    "federation": {"rounds": 4, "batch_size": 20},
    "observe": {"every": 2},
    "attacks": {"names": ["blackbox_loss", "avg_cosine"]},
}


def audited(name, options, out=None, **sections):
    raw = STUDY | {"defense": {"name": name, "options": options}} | sections
    return seepage.run(raw, out=out).results


def test_a_run_checks_its_observed_rounds():
    found = audited("perturbation", {"clip": 0.1, "sigma": 0.2})
    assert [(row.round, row.of) for row in found.noise.rows] == [
        (t, k) for t in (2, 4) for k in range(3)
    ]
    assert found.noise.ok
    assert any(row.factor < 1 for row in found.noise.rows)
    assert audited("weight_noise", {"sigma": 0.1}).noise is None
    assert audited("none", {}).noise is None


def test_a_run_that_goes_on_has_checked_all_its_rounds(tmp_path, monkeypatch):
    defense = {"name": "dp_fedavg", "options": {"clip": 0.1, "sigma": 0.5}}
    prepared = prepare(build_study(STUDY | {"defense": defense, "observe": {"every": 1}}))

    def trained(folder):
        return train(prepared, begin_store(prepared, folder), lambda *told: None)[2]

    whole = trained(tmp_path / "whole")
    assert whole.ok
    assert {row.round for row in whole.rows} == {1, 2, 3, 4}
    assert len({row.deviation for row in whole.rows}) == 5  # none, and the norm moves every round
    watched = NoiseWatch.__call__

    def stop(self, what, *, observed):
        if what.number == 4:
            raise KeyboardInterrupt
        return watched(self, what, observed=observed)

    with monkeypatch.context() as patch:
        patch.setattr(NoiseWatch, "__call__", stop)
        with pytest.raises(KeyboardInterrupt):
            trained(tmp_path / "halves")
    assert trained(tmp_path / "halves") == whole


def test_a_fault_in_a_run_reaches_its_results(monkeypatch):
    def half(change, deviation, rng):
        return add_noise(change, deviation / 2, rng)

    module = importlib.import_module("seepage.defenses.perturbation")
    monkeypatch.setattr(module, "add_noise", half)
    found = audited("perturbation", {"clip": 0.1, "sigma": 0.2}, compute={"plan": "one_by_one"})
    assert not found.noise.ok
    (said,) = found.noise.problems
    assert "deviation 0.0" in said
    assert "where 0.02 is configured: 0." in said


# The claim ---------------------------------------------------------------------------------------


def test_noise_of_clients_is_claimed_against_the_server():
    claim = audited("perturbation", {"clip": 0.1, "sigma": 2.0}).claim
    assert (claim.unit, claim.against, claim.attacks) == ("client", "server", 2)
    assert claim.accountant == "PLD, one client's data replaced"
    assert (claim.noise, claim.steps) == (1.0, 4)
    assert claim.epsilon == claim.accountings[0].epsilon
    assert claim.ok
    assert audited("perturbation", {"clip": 0.1}).claim.epsilon is None


def test_noise_of_the_server_is_not_refuted_by_the_server(monkeypatch):
    """Only attacks of those it binds are held against it, however much the others find."""
    asked = []

    def bound(one, question, **how):
        asked.append(one.name)
        return 50.0 if one.attack.adversary in ("server", "aggregate") else 0.25

    monkeypatch.setattr("seepage.audit.claim.epsilon_bound", bound)
    found = audited("dp_fedavg", {"clip": 0.1, "sigma": 1.0})
    claim = found.claim
    assert asked == []  # by the server alone
    assert {row.adversary for row in found.attacks} == {"server"}
    assert (claim.against, claim.attacks, claim.lower_bound) == ("participant", 0, 0.0)
    names = {"names": ["blackbox_loss", "aggregate_cosine"]}
    local = audited("perturbation", {"clip": 0.1, "sigma": 1.0}, attacks=names).claim
    assert (local.lower_bound, local.ok, local.attacks) == (50.0, False, 2)
    assert asked == names["names"]


def test_a_records_claim_stands_first_and_clients_beside_it():
    options = {"dp_sgd": {"sigma": 2.0}, "perturbation": {"clip": 0.1, "sigma": 2.0}}
    both = audited("dp_sgd+perturbation", options).claim
    alone = audited("dp_sgd", {"sigma": 2.0}).claim
    assert (both.unit, both.epsilon, both.noise) == ("record", alone.epsilon, 2.0)
    assert alone.accountings == []
    assert {one.relation for one in both.accountings} > {"one client's data replaced"}


def test_sampled_clients_are_counted_as_they_are_drawn():
    half = audited(
        "dp_fedavg",
        {"clip": 0.1, "sigma": 1.0},
        data={"clients": 4, "per_client": 40, "held_out": 60},
        federation={"rounds": 4, "batch_size": 20, "participation": 0.5},
        candidates={"targets": [0]},
    ).claim
    sampling = {one.sampling: one.holds for one in half.accountings}
    assert sampling["none: every round counts"]
    assert not sampling["2 of 3 others, without replacement and in secret"]
    assert not sampling["Poisson, q = 0.5"]
