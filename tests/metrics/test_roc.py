import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr, ndtri

from seepage.metrics import auc, balanced_accuracy, roc_curve, tnr_at_fnr, tpr_at_fpr
from seepage.records import UserError

side = st.lists(st.integers(-3, 3), min_size=1, max_size=25).map(
    lambda v: np.array([np.copysign(np.inf, x) if abs(x) == 3 else x for x in v], dtype=float)
)


def grid(n):
    return ndtri((np.arange(n) + 0.5) / n)


def every_threshold(members, nonmembers):
    for cut in [*np.unique(np.concatenate([members, nonmembers])), None]:
        if cut is None:
            yield 0, 0
        else:
            yield int(np.sum(members >= cut)), int(np.sum(nonmembers >= cut))


@given(side, side)
def test_auc_matches_comparing_every_pair(members, nonmembers):
    wins = [(x > y) + 0.5 * (x == y) for x in members for y in nonmembers]
    assert auc(members, nonmembers) == pytest.approx(np.mean(wins), abs=1e-12)


@given(side, side)
def test_auc_sign_flip_and_swap(members, nonmembers):
    area = auc(members, nonmembers)
    assert area + auc(-members, -nonmembers) == pytest.approx(1, abs=1e-12)
    assert area + auc(nonmembers, members) == pytest.approx(1, abs=1e-12)


@given(side, side)
def test_auc_agrees_with_sklearn(members, nonmembers):
    from sklearn.metrics import roc_auc_score

    truth = np.r_[np.ones(len(members)), np.zeros(len(nonmembers))]
    finite = np.clip(np.r_[members, nonmembers], -3, 3)
    assert auc(members, nonmembers) == pytest.approx(roc_auc_score(truth, finite), abs=1e-12)


@given(side, side)
def test_auc_rank(members, nonmembers):
    assert auc(np.arctan(members) ** 3, np.arctan(nonmembers) ** 3) == auc(members, nonmembers)


@given(side, side, st.integers(0, 25))
def test_rates_match_trying_every_threshold(members, nonmembers, errors):
    m, n = len(members), len(nonmembers)
    counts = list(every_threshold(members, nonmembers))
    allowed = min(errors, n)
    best = max(tp for tp, fp in counts if fp <= allowed)
    assert tpr_at_fpr(members, nonmembers, allowed / n) == best / m
    allowed = min(errors, m)
    best = max(n - fp for tp, fp in counts if m - tp <= allowed)
    assert tnr_at_fnr(members, nonmembers, allowed / m) == best / n


@given(side, side)
def test_balanced_accuracy_matches_trying_every_threshold(members, nonmembers):
    m, n = len(members), len(nonmembers)
    best = max((tp / m + 1 - fp / n) / 2 for tp, fp in every_threshold(members, nonmembers))
    assert balanced_accuracy(members, nonmembers) == pytest.approx(best, abs=1e-12)
    assert balanced_accuracy(members, nonmembers) >= 0.5


@given(side, side)
def test_roc_curve_is_every_threshold(members, nonmembers):
    fpr, tpr, thresholds = roc_curve(members, nonmembers)
    assert len(thresholds) == len(np.unique(np.concatenate([members, nonmembers]))) + 1
    assert (fpr[0], tpr[0], fpr[-1], tpr[-1]) == (0, 0, 1, 1)
    for f, t, cut in zip(fpr[1:], tpr[1:], thresholds[1:], strict=True):
        assert (f, t) == (np.mean(nonmembers >= cut), np.mean(members >= cut))
    assert np.all(np.diff(thresholds[1:]) < 0)
    assert np.trapezoid(tpr, fpr) == pytest.approx(auc(members, nonmembers), abs=1e-12)


def test_roc_curve_has_no_threshold_above_infinity():
    assert np.isnan(roc_curve([np.inf], [0.0])[2][0])
    assert roc_curve([1.0], [0.0])[2][0] == np.inf


def test_rates_at_whole_counts_survive_binary_fractions():
    nonmembers = np.arange(100.0)
    assert 0.29 * 100 < 29
    assert tpr_at_fpr(nonmembers + 0.5, nonmembers, 0.29) == 0.30
    assert tpr_at_fpr(np.arange(10.0) + 0.5, np.arange(10.0), 0.3) == 0.4
    assert tpr_at_fpr(nonmembers + 0.5, nonmembers, 0.289999) == 0.29


def test_tied_maximum_of_nonmembers_is_not_split():
    assert tpr_at_fpr([1.0] * 5, [1.0] * 12 + [0.0] * 988, 0.001) == 0.0
    assert tpr_at_fpr([1.0] * 5, [1.0] * 12 + [0.0] * 988, 0.012) == 1.0


@pytest.mark.parametrize("shift", [0.0, 0.5, 1.0, 3.0])
def test_two_unit_gaussians_closed_form(shift):
    scores = grid(100_000)
    assert auc(scores + shift, scores) == pytest.approx(ndtr(shift / np.sqrt(2)), abs=1e-4)
    expected = ndtr(shift / 2)
    assert balanced_accuracy(scores + shift, scores) == pytest.approx(expected, abs=1e-4)
    for at in (0.001, 0.01, 0.1):
        expected = 1 - ndtr(-ndtri(at) - shift)
        assert tpr_at_fpr(scores + shift, scores, at) == pytest.approx(expected, abs=1e-3)
        assert tnr_at_fnr(scores + shift, scores, at) == pytest.approx(expected, abs=1e-3)


def test_fedmia_reference_case():
    """FedMIA's rule wants FPR strictly below the point; on this data both rules agree."""
    nonmembers = np.arange(10_000) * 1e-4
    members = np.array([0.9995, 0.9985, 0.5, 0.9991, 0.99905])

    def strictly_below(at):
        counts = every_threshold(members, nonmembers)
        return max(tp / 5 for tp, fp in counts if fp < round(at * 10_000))

    for at, stated in ((0.001, 0.6), (0.0001, 0.0), (0.1, 0.8)):
        assert tpr_at_fpr(members, nonmembers, at) == stated
        assert strictly_below(at) == stated
    assert auc(members, nonmembers) == pytest.approx(0.89927, abs=1e-12)
    # One of the members' four ties is lost to rounding in that grid; the exact one has 0.89928.
    assert auc(members, np.arange(10_000) / 10_000) == pytest.approx(0.89928, abs=1e-12)


# jax_privacy CanaryScoreAuditor at commit 8967688: the curve of its concave hull, whose points
# between two thresholds take a randomised rule. Normal quantiles, shifted by mu for members.
HULL = [
    (500, 1, 0.76189, 0.098, 0.029),
    (500, 2, 0.92292, 0.386, 0.183),
    (500, 4, 0.99810, 0.956, 0.856),
    (1000, 1, 0.76107, 0.095, 0.025),
    (1000, 2, 0.92217, 0.379, 0.167),
    (1000, 4, 0.99795, 0.955, 0.849),
]


@pytest.mark.parametrize(("n", "mu", "area", "at_1", "at_01"), HULL)
def test_concave_hull_reproduces_published_tool(n, mu, area, at_1, at_01):
    from seepage.metrics.epsilon import concave_corners
    from seepage.metrics.roc import error_counts

    members, nonmembers = grid(n) + mu, grid(n)
    fp, fn = error_counts(members, nonmembers)
    corners = concave_corners(fp, fn)
    fpr, tpr = fp[corners] / n, 1 - fn[corners] / n
    assert np.trapezoid(tpr, fpr) == pytest.approx(area, abs=6e-6)
    assert np.interp(0.01, fpr, tpr) == pytest.approx(at_1, abs=6e-4)
    assert np.interp(0.001, fpr, tpr) == pytest.approx(at_01, abs=6e-4)
    ours = tpr_at_fpr(members, nonmembers, 0.01), tpr_at_fpr(members, nonmembers, 0.001)
    counts = list(every_threshold(members, nonmembers))
    assert ours[0] == max(tp for tp, f in counts if f <= n // 100) / n == at_1
    assert ours[1] == max(tp for tp, f in counts if f <= n // 1000) / n <= at_01
    assert ours[1] == at_01 or n < 1000, "they differ only where the point is between thresholds"
    assert auc(members, nonmembers) <= area


@pytest.mark.parametrize("bad", [[], [[1.0, 2.0]], [1.0, np.nan, np.nan]])
def test_scores_that_have_no_rank_are_refused(bad):
    said = {0: "member scores are empty", 1: "one axis", 3: "2 of 3 member scores are NaN"}
    with pytest.raises(UserError, match=said[len(bad)]):
        auc(bad, [1.0])
    with pytest.raises(UserError, match="non-" + said[len(bad)] if len(bad) == 0 else "non-member"):
        tpr_at_fpr([1.0], bad, 0.1)


def test_operating_points_outside_the_unit_interval_are_refused():
    with pytest.raises(UserError, match="fpr must be"):
        tpr_at_fpr([1.0], [0.0], 10)
    with pytest.raises(UserError, match="fnr must be"):
        tnr_at_fnr([1.0], [0.0], -0.1)


def test_labelled_arrays_are_accepted():
    import xarray as xr

    assert auc(xr.DataArray([1, 2], dims="sample"), xr.DataArray([0, 1], dims="sample")) == 0.875


def test_perfect_scores_give_rates_of_one():
    members, nonmembers = np.arange(5.0) + 10, np.arange(2000.0) - 3000
    assert auc(members, nonmembers) == 1
    for at in (0.0, 0.001):
        assert tpr_at_fpr(members, nonmembers, at) == 1
        assert tnr_at_fnr(members, nonmembers, at) == 1


def test_scores_of_one_law_give_the_rate_that_was_allowed():
    """No leak: the TPR is the FPR, within four standard errors of both samples."""
    rng = np.random.default_rng(3)
    members, nonmembers = rng.random(200_000), rng.random(200_000)
    error = 4 * np.sqrt(2 * 0.001 / 200_000)
    assert tpr_at_fpr(members, nonmembers, 0.001) == pytest.approx(0.001, abs=error)
    assert tnr_at_fnr(members, nonmembers, 0.001) == pytest.approx(0.001, abs=error)


@given(side, side, st.integers(0, 10))
def test_negated_scores_and_exchanged_sides_exchange_the_rates(members, nonmembers, tenths):
    at = tenths / 10
    assert tpr_at_fpr(members, nonmembers, at) == tnr_at_fnr(-nonmembers, -members, at)
    assert tnr_at_fnr(members, nonmembers, at) == tpr_at_fpr(-nonmembers, -members, at)


def test_one_false_positive_in_a_thousand_is_a_rate_of_one_in_a_thousand():
    """One non-member stands above all members. HAMP's code wants FPR below the point and gives 0
    at 0.001, as our rule does just below it."""
    members, nonmembers = np.ones(50), np.r_[2.0, np.zeros(999)]
    assert tpr_at_fpr(members, nonmembers, 0.001) == 1
    assert tpr_at_fpr(members, nonmembers, 0.000999) == 0
    assert tpr_at_fpr(members, nonmembers, 0.0) == 0
    strict = max(tp for tp, fp in every_threshold(members, nonmembers) if fp / 1000 < 0.001)
    assert strict == 0
    assert tnr_at_fnr(-nonmembers, -members, 0.001) == 1


@pytest.mark.parametrize(("train", "test"), [(1.0, 0.6), (0.9, 0.002), (0.5, 0.5)])
def test_the_correctness_attack_in_closed_form(train, test):
    """AUC (1 + a - b) / 2 with accuracies a and b; no low rate at all, because of the ties."""
    members = np.r_[np.ones(round(1000 * train)), np.zeros(1000 - round(1000 * train))]
    nonmembers = np.r_[np.ones(round(1000 * test)), np.zeros(1000 - round(1000 * test))]
    assert auc(members, nonmembers) == pytest.approx((1 + train - test) / 2, abs=1e-12)
    assert balanced_accuracy(members, nonmembers) == pytest.approx((1 + train - test) / 2)
    assert tpr_at_fpr(members, nonmembers, 0.001) == 0
    assert tpr_at_fpr(members, nonmembers, test) == train
