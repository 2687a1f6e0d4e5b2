"""Comparisons within groups, against every pair written out."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.special import ndtr

from seepage.metrics import (
    auc,
    auc_interval,
    covered_share,
    matched_size,
    matched_tpr,
    tpr_at_fpr,
    within_auc,
    within_auc_interval,
)
from seepage.records import UserError

record = st.tuples(st.integers(-3, 3), st.integers(0, 2))
side = st.lists(record, min_size=2, max_size=20).map(np.array)
rates = st.sampled_from([0.0, 0.001, 0.1, 0.25, 1 / 3, 0.5, 0.9, 1.0])


def pairs(members, nonmembers):
    """Wins of members over non-members, ties one half, and which pairs share a group."""
    wins = (members[:, None, 0] > nonmembers[None, :, 0]) + 0.5 * (
        members[:, None, 0] == nonmembers[None, :, 0]
    )
    return wins, members[:, None, 1] == nonmembers[None, :, 1]


def columns(members, nonmembers):
    return members[:, 0], nonmembers[:, 0], members[:, 1], nonmembers[:, 1]


@given(side, side)
def test_pairs_within_and_across_make_up_the_auc(members, nonmembers):
    wins, same = pairs(members, nonmembers)
    assume(same.any())
    within = within_auc(*columns(members, nonmembers))
    assert within == pytest.approx(wins[same].mean(), abs=1e-12)
    across = wins[~same].mean() if (~same).any() else 0.0
    whole = same.mean() * within + (1 - same.mean()) * across
    assert auc(members[:, 0], nonmembers[:, 0]) == pytest.approx(whole, abs=1e-12)


@given(side, side)
def test_areas_of_groups_weigh_by_their_pairs(members, nonmembers):
    shared = np.intersect1d(members[:, 1], nonmembers[:, 1])
    assume(len(shared))
    parts = [(members[members[:, 1] == c, 0], nonmembers[nonmembers[:, 1] == c, 0]) for c in shared]
    expected = np.average(
        [auc(*part) for part in parts], weights=[len(mine) * len(other) for mine, other in parts]
    )
    assert within_auc(*columns(members, nonmembers)) == pytest.approx(expected, abs=1e-12)


@given(side, side, st.tuples(*[st.integers(-50, 50)] * 3).map(np.array))
def test_what_depends_on_the_group_alone_counts_for_nothing(members, nonmembers, prior):
    x, y, gx, gy = columns(members, nonmembers)
    assume(np.isin(gx, gy).any())
    assert within_auc(prior[gx], prior[gy], gx, gy) == 0.5
    moved = within_auc(x + 10 * prior[gx], y + 10 * prior[gy], gx, gy)
    assert moved == within_auc(x, y, gx, gy)


def test_one_mixture_in_every_group_is_the_auc():
    """Scores that do not depend on the group: the same ones in every group."""
    x, y, groups = np.array([3.0, 1.0, 2.0]), np.array([0.0, 2.0, 1.0, 1.0]), np.arange(4)
    mine, other = np.tile(x, 4), np.tile(y, 4)
    within = within_auc(mine, other, np.repeat(groups, 3), np.repeat(groups, 4))
    assert within == auc(mine, other) == auc(x, y)


@given(side, side)
def test_one_group_is_the_plain_auc(members, nonmembers):
    x, y = members[:, 0], nonmembers[:, 0]
    groups = np.full(len(x), "a"), np.full(len(y), "a")
    assert within_auc(x, y, *groups) == auc(x, y)
    assert within_auc_interval(x, y, *groups) == pytest.approx(auc_interval(x, y), abs=1e-12)


def ratio_variance(members, nonmembers, member_ids, nonmember_ids):
    """The ratio's linearization, one record at a time, from all pairs."""
    wins, same = pairs(members, nonmembers)
    excess = (wins - wins[same].mean()) * same
    alone = mixed = 0.0
    mine = {i for i, row in zip(member_ids, same, strict=True) if row.any()}
    others = {i for i, row in zip(nonmember_ids, same.T, strict=True) if row.any()}
    i1, i0, i = len(mine), len(others), len(mine | others)
    for one in mine | others:
        a, b = excess[member_ids == one].sum(), excess[:, nonmember_ids == one].sum()
        alone += i1 / (i1 - 1) * a**2 + i0 / (i0 - 1) * b**2
        mixed += 2 * i / (i - 1) * a * b
    return max(0.0, alone + mixed) / same.sum() ** 2


@given(side, side, st.randoms(use_true_random=False))
def test_the_interval_has_the_variance_of_the_ratio(members, nonmembers, random):
    """With records that come several times, on either side and on both."""
    member_ids = np.array([random.randrange(8) for _ in members])
    nonmember_ids = np.array([random.randrange(4, 12) for _ in nonmembers])
    _, same = pairs(members, nonmembers)
    assume(len({*member_ids[same.any(1)]}) > 1 and len({*nonmember_ids[same.any(0)]}) > 1)
    sides, area = columns(members, nonmembers), within_auc(*columns(members, nonmembers))
    assume(0 < area < 1)
    seen = []

    def spy(area, variance, **how):
        seen.append(variance)
        return 0.0, 1.0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("seepage.metrics.within.union_interval", spy)
        within_auc_interval(*sides, member_ids=member_ids, nonmember_ids=nonmember_ids)
    expected = ratio_variance(members, nonmembers, member_ids, nonmember_ids)
    assert seen == [pytest.approx(expected, abs=1e-12)]


@given(side, side)
def test_the_interval_holds_the_estimate_and_mirrors(members, nonmembers):
    x, y, gx, gy = columns(members, nonmembers)
    assume(np.isin(gx, gy).any())
    low, high = within_auc_interval(x, y, gx, gy)
    assert 0 <= low <= within_auc(x, y, gx, gy) <= high <= 1
    assert low < high
    swapped = within_auc_interval(y, x, gy, gx)
    assert swapped == pytest.approx((1 - high, 1 - low), abs=1e-9)


def skewed(rng, m, n, shift, groups=6):
    """Members mostly of few groups; scores that follow the group, and ``shift`` for members."""
    gx = rng.choice(groups, m, p=rng.dirichlet(np.full(groups, 0.3)))
    gy = rng.integers(0, groups, n)
    return rng.normal(size=m) + 2.0 * gx + shift, rng.normal(size=n) + 2.0 * gy, gx, gy


@pytest.mark.parametrize(("m", "n"), [(30, 200), (120, 300)])
@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_the_interval_covers_under_skew(m, n, shift):
    """Also where nothing leaks but groups. The least of 95 % that 400 draws may show is 0.918."""
    rng, truth = np.random.default_rng(0), float(ndtr(shift / np.sqrt(2)))
    inside, plain = 0, 0
    for _ in range(400):
        sides = skewed(rng, m, n, shift)
        low, high = within_auc_interval(*sides)
        inside += low <= truth <= high
        below, above = auc_interval(*sides[:2])
        plain += below <= truth <= above
    assert inside / 400 >= 0.918
    assert plain / 400 < 0.5  # the AUC of all pairs is about something else


def test_the_interval_covers_with_records_asked_about_for_every_target():
    """Pooled over targets, groups are (target, label) and a held-out record comes each time."""
    rng, covered = np.random.default_rng(1), []
    for _ in range(300):
        labels, owner = rng.integers(0, 3, 160), np.repeat([0, 1, 2, -1], [20, 20, 20, 100])
        common = rng.normal(size=160)
        x, y, gx, gy, ix, iy = [], [], [], [], [], []
        for target in range(3):
            score = common + rng.normal(size=160) + 3.0 * target
            member, outside = owner == target, owner == -1
            x, y = [*x, *(score[member] + 1.0)], [*y, *score[outside]]
            gx, gy = [*gx, *(3 * target + labels[member])], [*gy, *(3 * target + labels[outside])]
            ix, iy = [*ix, *np.flatnonzero(member)], [*iy, *np.flatnonzero(outside)]
        low, high = within_auc_interval(x, y, gx, gy, member_ids=ix, nonmember_ids=iy)
        covered.append(low <= ndtr(1.0 / 2.0) <= high)
    assert np.mean(covered) >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / 300)


@given(side, side, rates)
def test_matched_rate_is_the_best_of_all_thresholds(members, nonmembers, fpr):
    x, y, gx, gy = columns(members, nonmembers)
    assume(np.isin(gx, gy).any())
    covered = np.isin(gx, gy)
    weight = np.array([(gx == c).sum() / (gy == c).sum() for c in gy])
    cuts = [*np.unique([*x, *y]), 99]
    expected = max(
        np.mean(x[covered] >= cut)
        for cut in cuts
        if weight[y >= cut].sum() <= fpr * weight.sum() + 1e-9
    )
    assert matched_tpr(x, y, gx, gy, fpr) == pytest.approx(expected, abs=1e-12)
    assert covered_share(gx, gy) == covered.mean()
    assert matched_size(gx, gy) == pytest.approx(weight.sum() ** 2 / (weight @ weight))


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=20), side, rates)
def test_equal_weights_are_the_plain_rate(scores, nonmembers, fpr):
    """Members of each group in proportion to the non-members: exactly the same number."""
    y, gy = nonmembers.T
    gx = np.tile(gy, len(scores))
    x = np.repeat(scores, len(gy))
    assert matched_tpr(x, y, gx, gy, fpr) == tpr_at_fpr(x, y, fpr)
    assert matched_size(gx, gy) == pytest.approx(len(y))


def test_a_whole_number_of_errors_is_allowed_whole():
    """0.29 of 100 is 28.999999999999996 in binary, and means 29."""
    y, one = np.arange(100.0), np.zeros(100, int)
    assert matched_tpr(y - 0.5, y, one, one, 0.29) == tpr_at_fpr(y - 0.5, y, 0.29) == 0.29


def test_a_score_by_group_finds_no_more_than_it_accuses():
    gx, gy = np.array([0, 0, 0, 1]), np.array([0, 1, 1, 1])
    assert tpr_at_fpr(-gx, -gy, 0.25) == 0.75
    assert matched_tpr(-gx, -gy, gx, gy, 0.25) == 0.0
    assert matched_tpr(-gx, -gy, gx, gy, 0.75) == 0.75


def test_members_without_a_rival_are_left_out():
    sides = [5.0, 5.0, 1.0], [0.0, 2.0, 9.0], ["a", "a", "b"], ["b", "b", "c"]
    assert covered_share(*sides[2:]) == pytest.approx(1 / 3)
    assert within_auc(*sides) == 0.5
    assert matched_size(*sides[2:]) == pytest.approx(2.0)  # of three
    assert matched_size([0], [1]) == 0.0
    assert matched_tpr(*sides, 0.5) == 1.0
    assert matched_tpr(*sides, 0.4) == 0.0


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(UserError, match="share groups"):
        within_auc([1.0], [2.0], [0], [1])
    with pytest.raises(UserError, match="one group a score"):
        within_auc([1.0], [2.0], [0, 1], [1])
    with pytest.raises(UserError, match="fpr must be"):
        matched_tpr([1.0], [2.0], [0], [0], 1.5)
    with pytest.raises(UserError, match="confidence"):
        within_auc_interval([1.0], [2.0], [0], [0], confidence=95)
    with pytest.raises(UserError, match="no member"):
        covered_share([], [1])
