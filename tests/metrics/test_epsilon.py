import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtri

from seepage.metrics import clopper_pearson, epsilon_lower_bound
from seepage.metrics.epsilon import concave_corners
from seepage.metrics.roc import error_counts
from seepage.records import UserError

side = st.lists(st.integers(0, 8), min_size=1, max_size=25).map(lambda v: np.array(v, float))


# jax_privacy CanaryScoreAuditor.epsilon_clopper_pearson, Bonferroni, commit 8967688, error 0.05.
@pytest.mark.parametrize(
    ("n", "mu", "stated"),
    [
        (500, 1, 0.7915),
        (500, 2, 2.2250),
        (500, 4, 4.0482),
        (1000, 1, 1.0497),
        (1000, 2, 2.6185),
        (1000, 4, 4.6292),
    ],
)
def test_agrees_with_the_published_tool(n, mu, stated):
    grid = ndtri((np.arange(n) + 0.5) / n)
    assert epsilon_lower_bound(grid + mu, grid) == pytest.approx(stated, abs=5.1e-5)


@given(side, side)
def test_corners_match_asking_every_pair_of_points(members, nonmembers):
    fp, fn = error_counts(members, nonmembers)
    points = list(zip(fp.tolist(), (-fn).tolist(), strict=True))

    def under_some_chord(i):
        x, y = points[i]
        return any(
            (y - ya) * (xb - xa) <= (yb - ya) * (x - xa)
            for xa, ya in points[:i]
            for xb, yb in points[i + 1 :]
        )

    expected = [i for i in range(len(points)) if not under_some_chord(i)]
    assert concave_corners(fp, fn) == expected


@given(side, side, st.sampled_from([0.0, 0.05, 0.5]), st.sampled_from([0.6, 0.95]))
def test_bound_is_the_best_corner(members, nonmembers, delta, confidence):
    fp, fn = error_counts(members, nonmembers)
    corners = concave_corners(fp, fn)
    level = 1 - (1 - confidence) / len(corners)  # two-sided: half the error a side
    best = 0.0
    for i in corners:
        tpr = 1 - clopper_pearson(fn[i], len(members), level)[1]
        fpr = clopper_pearson(fp[i], len(nonmembers), level)[1]
        if tpr > delta:
            best = max(best, np.log((tpr - delta) / fpr))
    got = epsilon_lower_bound(members, nonmembers, delta=delta, confidence=confidence)
    assert got == pytest.approx(best, abs=1e-9)


@given(side, side)
def test_bound_monotone(members, nonmembers):
    plain = epsilon_lower_bound(members, nonmembers, confidence=0.8)
    assert epsilon_lower_bound(members, nonmembers, confidence=0.8, delta=0.1) <= plain
    assert epsilon_lower_bound(members, nonmembers, confidence=0.9) <= plain + 1e-12


def no_leak(rng, n):
    return rng.normal(size=n), rng.normal(size=n)


def laplace(rng, n):
    return rng.laplace(1, 1, n), rng.laplace(0, 1, n)


def randomised_response(rng, n):
    keep = np.e / (1 + np.e)
    return rng.random(n) < keep, rng.random(n) >= keep


def one_slope(rng, n):
    """TPR = e FPR all the way to TPR 1: every threshold is as tight as any other."""
    return -rng.random(n), np.where(rng.random(n) < np.exp(-1), -rng.random(n), -2.0)


@pytest.mark.parametrize(
    ("mechanism", "epsilon", "share"),
    [
        (no_leak, 0.0, 0.0),
        (laplace, 1.0, 0.5),
        (randomised_response, 1.0, 0.7),
        (one_slope, 1.0, 0.7),
    ],
)
def test_bound_valid_and_not_vacuous(mechanism, epsilon, share):
    rng = np.random.default_rng(21)
    bounds = [epsilon_lower_bound(*mechanism(rng, 500)) for _ in range(200)]
    assert np.mean(np.array(bounds) > epsilon) <= 0.05
    assert np.median(bounds) >= share * epsilon


def test_the_wrong_epsilon_is_found_out():
    rng = np.random.default_rng(22)
    bounds = [epsilon_lower_bound(*randomised_response(rng, 500)) for _ in range(100)]
    assert np.mean(np.array(bounds) > 0.5) > 0.95


def test_approximate_privacy_takes_delta_off():
    members, nonmembers = np.r_[np.ones(100), np.zeros(900)], np.zeros(1000)
    assert epsilon_lower_bound(members, nonmembers) > 2
    assert epsilon_lower_bound(members, nonmembers, delta=0.1) == 0


def test_settings_outside_their_range_are_refused():
    with pytest.raises(UserError, match="delta"):
        epsilon_lower_bound([1.0], [0.0], delta=1)
    with pytest.raises(UserError, match="confidence"):
        epsilon_lower_bound([1.0], [0.0], confidence=0)


@pytest.mark.parametrize("delta", [0.0, 0.1, 0.4])
def test_perfect_separation_closed_form(delta):
    """No error in n trials: the upper bound u solves (1 - u)**n = error; three corners."""
    right = (0.05 / (2 * 3)) ** (1 / 200)
    expected = np.log((right - delta) / (1 - right))
    got = epsilon_lower_bound(np.ones(200), np.zeros(200), delta=delta)
    assert got == pytest.approx(expected, abs=1e-9)
