"""LiRA against closed forms, against its definition, and against its own promises."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.stats import norm
from synthetic import auc, tpr
from synthetic_models import answers, held_against, scaled_logits

from seepage.attacks import (
    ATTACKS,
    lira_offline,
    lira_offline_faithful,
    lira_offline_fixed,
    lira_offline_fixed_faithful,
    lira_online,
    lira_online_fixed,
    lira_online_fixed_faithful,
)

ONLINE = (lira_online, lira_online_fixed, lira_online_fixed_faithful)
ONE_SIDED = (lira_offline, lira_offline_fixed)
TWO_SIDED = (lira_offline_faithful, lira_offline_fixed_faithful)
EVERY = (*ONLINE, *ONE_SIDED, *TWO_SIDED)


def grid(n):
    """A normal sample without chance: its quantiles."""
    return norm.ppf((np.arange(n) + 0.5) / n)


def shared(member, nonmember, inside, outside):
    """Records whose reference answers are all alike: members first, then non-members."""
    own = np.concatenate([member, nonmember])
    spread = [np.repeat(side[:, None], len(own), axis=1) for side in (inside, outside)]
    return scaled_logits(own, *spread)


def sides(score, members):
    return score.to_numpy()[:members], score.to_numpy()[members:]


@pytest.mark.parametrize("mu", [1.0, 2.0, 3.0])
@pytest.mark.parametrize("attack", [*ONLINE, *ONE_SIDED])
def test_equal_spreads_give_the_known_roc(attack, mu):
    found = shared(grid(1000) + mu, grid(1000), grid(60) + mu, grid(60))
    member, nonmember = sides(attack(found, 0), 1000)
    assert auc(member, nonmember) == pytest.approx(norm.cdf(mu / np.sqrt(2)), abs=1e-3)
    threshold = grid(1000)[-11]  # ten of 1,000 non-members lie above it
    assert tpr(member, nonmember, 0.01) == pytest.approx(norm.cdf(mu - threshold), abs=1e-3)


@pytest.mark.parametrize(("mu", "known"), [(1.0, 0.0183), (2.0, 0.138), (3.0, 0.464)])
def test_at_a_tenth_of_a_per_cent(mu, known):
    """Phi(mu - z) at FPR 0.1 %, the closed form of two unit Gaussians."""
    found = shared(grid(20_000) + mu, grid(20_000), grid(40) + mu, grid(40))
    for attack in ONLINE:
        member, nonmember = sides(attack(found, 0), 20_000)
        assert tpr(member, nonmember, 0.001) == pytest.approx(known, rel=0.02)


def likelihood_ratio_tpr(mu, in_spread, out_spread, fpr):
    """TPR of the best test of N(mu, in²) against N(0, out²), out > in: an interval."""
    center = mu * out_spread**2 / (out_spread**2 - in_spread**2)

    def mass(half, at, spread):
        return quad(norm(at, spread).pdf, center - half, center + half)[0]

    half = brentq(lambda w: mass(w, 0, out_spread) - fpr, 0, 5)
    return mass(half, mu, in_spread)


def test_unequal_spreads_give_the_likelihood_ratio_and_not_the_threshold():
    n = 20_000
    found = shared(grid(n // 4) + 2, 1.5 * grid(n), grid(60) + 2, 1.5 * grid(60))
    best = likelihood_ratio_tpr(2, 1, 1.5, 0.001)
    assert best == pytest.approx(0.0072, abs=3e-4)
    member, nonmember = sides(lira_online(found, 0), n // 4)
    assert tpr(member, nonmember, 0.001) == pytest.approx(best, abs=6e-4)
    member, nonmember = sides(lira_offline(found, 0), n // 4)
    above = norm.sf(1.5 * norm.isf(0.001) - 2)
    assert above == pytest.approx(0.0043, abs=1e-4)
    assert tpr(member, nonmember, 0.001) == pytest.approx(above, abs=6e-4)


@pytest.mark.parametrize("attack", [*ONLINE, *ONE_SIDED])
def test_difficulty_of_records_is_taken_out(attack):
    rng = np.random.default_rng(0)
    n = 4000
    difficulty = rng.normal(scale=3, size=n)
    own = difficulty + rng.normal(size=n) + (np.arange(n) < n // 2)
    found = scaled_logits(own, difficulty + grid(60)[:, None] + 1, difficulty + grid(60)[:, None])
    error = np.sqrt(1 / (6 * n // 2))
    plain = auc(own[: n // 2], own[n // 2 :])
    assert plain == pytest.approx(norm.cdf(1 / np.sqrt(20)), abs=4 * error)
    area = auc(*sides(attack(found, 0), n // 2))
    assert area == pytest.approx(norm.cdf(1 / np.sqrt(2)), abs=4 * error)


def test_one_side_rises_with_the_logit_and_two_sides_do_not():
    steps = np.linspace(-30, 60, 400)
    found = shared(steps, steps, grid(20) + 1, grid(20))
    for attack in ONE_SIDED:
        score = attack(found, 0).to_numpy()[:400]
        assert (np.diff(score) > 0).all(), "also where the normal CDF rounds to 1"
        np.testing.assert_allclose(
            score, norm.logcdf(steps / spread_of(attack)), rtol=1e-6, atol=1.1e-9
        )
    for attack in TWO_SIDED:
        score = attack(found, 0).to_numpy()[:400]
        assert np.argmin(score) == np.argmin(np.abs(steps))
        assert score[0] > score[200]


def spread_of(attack):
    """Deviation of ``grid(20)``, alike for all records: own is the population's, pooled is not."""
    return grid(20).std(ddof=1 if attack is lira_offline_fixed else 0)


@pytest.mark.parametrize("attack", EVERY)
def test_queries_are_averaged(attack):
    given = held_against(answers(4, leak=1.0, queries=3)[0], 0)
    each = [attack(given.isel(query=[q]), 0).to_numpy() for q in range(3)]
    together = attack(given, 0)
    if "fixed" not in attack.__name__:
        np.testing.assert_allclose(together, np.mean(each, axis=0), rtol=1e-9, atol=1e-12)
    assert together.sizes == {"sample": 200}


def uneven():
    """Memberships by unfair coins: sides of different sizes, some of one model."""
    given = held_against(answers(4, leak=1.0, models=12, queries=2)[0], 0)
    rng = np.random.default_rng(1)
    member = rng.random((given.sizes["model"], given.sizes["sample"])) < 0.4
    member[1:4, :] = np.eye(3, dtype=bool)[:, [0] * given.sizes["sample"]]
    member[4:6], member[6:8] = True, False
    return given.assign(member=(("model", "sample"), member))


def by_definition(given, record, query):
    values = given["scaled_logit"].sel(sample=record).isel(query=query).astype(float)
    member = given["member"].sel(sample=record).to_numpy()[1:]
    others = values.to_numpy()[1:]
    return float(values[0]), others[member], others[~member]


def pooled(given, side):
    squares, freedom, everything = 0.0, 0, []
    for record in given["sample"].to_numpy():
        for query in range(2):
            values = by_definition(given, record, query)[1 + side]
            squares += np.sum((values - values.mean()) ** 2)
            freedom += len(values) - 1
            everything.extend(values)
    return np.sqrt(squares / freedom), np.std(everything)


@pytest.mark.parametrize("attack", EVERY, ids=lambda a: a.__name__)
def test_the_score_is_its_definition(attack):
    given = uneven()
    (in_spread, in_common), (out_spread, out_common) = pooled(given, 0), pooled(given, 1)
    score = attack(given, 0)
    for record in given["sample"].to_numpy()[:30]:
        ratios = []
        for query in range(2):
            own, inside, outside = by_definition(given, record, query)
            spreads = {
                "lira_online": (inside.std(), outside.std()),
                "lira_online_fixed": (in_spread, out_spread),
                "lira_online_fixed_faithful": (in_common, in_common),
                "lira_offline": (None, outside.std()),
                "lira_offline_fixed": (None, out_spread),
                "lira_offline_faithful": (None, outside.std()),
                "lira_offline_fixed_faithful": (None, out_common),
            }[attack.__name__]
            out = norm(np.median(outside), spreads[1])
            if spreads[0] is not None:
                inner = norm(np.median(inside), spreads[0])
                ratios.append(inner.logpdf(own) - out.logpdf(own))
            elif attack in ONE_SIDED:
                ratios.append(out.logcdf(own))
            else:
                ratios.append(-out.logpdf(own))
        assert float(score.sel(sample=record)) == pytest.approx(np.mean(ratios), rel=1e-6, abs=2e-9)


@pytest.mark.parametrize("name", [n for n in ATTACKS if n.startswith("lira") and "fixed" in n])
def test_four_models_are_enough_for_one_deviation(name):
    found, _ = answers(0, models=4, leak=2.0, records=400)
    areas = []
    for k in range(4):
        score = ATTACKS[name](held_against(found, k), k)
        assert np.isfinite(score).all()
        member = found["member"].sel(model=k).to_numpy()
        areas.append(auc(score.to_numpy()[member], score.to_numpy()[~member]))
    assert np.mean(areas) > 0.6


@pytest.mark.parametrize("attack", EVERY)
def test_equal_answers_are_no_division_by_zero(attack):
    own = np.array([0.0, 1.0, -1.0, 1e4, -1e4])
    ones = np.ones((3, 5))
    score = attack(scaled_logits(own, ones, 0 * ones), 0)
    assert np.isfinite(score).all()
    assert score[1] > score[0]


def test_blocks_do_not_change_the_score(monkeypatch):
    import sys

    given = uneven()
    whole = lira_online(given, 0)
    monkeypatch.setattr(sys.modules["seepage.attacks.lira"], "BLOCK", 100)
    np.testing.assert_allclose(lira_online(given, 0), whole, rtol=1e-12)
