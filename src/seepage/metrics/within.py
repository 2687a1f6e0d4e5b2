"""Members against non-members of their own group alone: what groups tell is left out.

A group is whatever an attack could have scored by instead of membership: a record's label, or a
label under one target. Where groups are shared out unevenly, the AUC mixes two questions: is this
record's *group* one that members have, and is this *record* a member's? Here is the second alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from seepage.metrics.groups import Groups, Pairs, grouped, pairs_within
from seepage.metrics.intervals import check_confidence, clusters, union_interval
from seepage.metrics.roc import COUNT_GUARD, BoolArray, Float64Array, IntArray, Scores
from seepage.records import UserError


def within_auc(
    member_scores: Scores,
    nonmember_scores: Scores,
    member_groups: ArrayLike,
    nonmember_groups: ArrayLike,
) -> float:
    r"""The probability that a member outscores a non-member of the same group, ties one half.

    .. math:: \frac{\sum_c m_c n_c \mathrm{AUC}_c}{\sum_c m_c n_c}

    over the groups *c* with :math:`m_c` members and :math:`n_c` non-members; those with one side
    alone have no part. All pairs are alike, so groups weigh as they are met among pairs.

    Guarantees:
        * decomposition: with :math:`\pi = \sum_c m_c n_c / mn` and the same probability over pairs
          of unequal groups, ``auc == π * within + (1 - π) * across``.
        * blind to groups: adding to each score a number that depends on its group alone changes
          nothing, and a score that *is* such a number has exactly 0.5.
        * one group: :func:`seepage.metrics.auc`.

    Args:
        member_scores: Scores of the members, shape ``(m,)``.
        nonmember_scores: Scores of the non-members, shape ``(n,)``.
        member_groups: Group of each member, shape ``(m,)``: numbers or names.
        nonmember_groups: Group of each non-member, shape ``(n,)``.

    Returns:
        A number in [0, 1]; 0.5 is chance. In ``O((m + n) log(m + n))``.

    Raises:
        UserError: As for :func:`seepage.metrics.auc`; not one group a score; no group holds both
            a member and a non-member.

    References:
        | Adjusting for covariate effects on classification accuracy using the covariate-adjusted
        | receiver operating characteristic curve (Janes and Pepe, 2009)

    Differs from that paper, which weighs groups by members: weighing them by pairs is what makes
    the decomposition exact, and a group with few non-members cannot rule the estimate.
    """
    sides = grouped(member_scores, nonmember_scores, member_groups, nonmember_groups)
    return pairs_within(*sides).area


def within_auc_interval(
    member_scores: Scores,
    nonmember_scores: Scores,
    member_groups: ArrayLike,
    nonmember_groups: ArrayLike,
    *,
    member_ids: ArrayLike | None = None,
    nonmember_ids: ArrayLike | None = None,
    confidence: float = 0.95,
) -> tuple[float, float]:
    r"""A confidence interval of :func:`within_auc`, made as that of the AUC is.

    The union of two intervals, as for :func:`seepage.metrics.auc_interval`. The first has the
    variance of a ratio of two sums over records. With :math:`N = \sum_c m_c n_c`, the estimate
    :math:`\theta`, and over record *i*'s rows the sums :math:`a_i` of wins less
    :math:`\theta n_c` as a member and :math:`b_i` of losses less :math:`\theta m_c` as a
    non-member,

    .. math:: \frac{1}{N^2} \Big( \frac{I_1}{I_1 - 1} \sum_i a_i^2
        + \frac{I_0}{I_0 - 1} \sum_i b_i^2 + \frac{2I}{I - 1} \sum_i a_i b_i \Big)

    It allows for the group being drawn with the record, and needs no group to hold two of a kind.
    The second sums the variance of Hanley and McNeil over the groups, with all rows of a record
    taken for one and the same answer.

    Guarantees:
        * contains: the interval holds :func:`within_auc`, lies in [0, 1] and has a width.
        * one group: without repeated ids, :func:`seepage.metrics.auc_interval`.
        * sign flip: swapping the sides mirrors it at 0.5.

    Args:
        member_scores: As for :func:`within_auc`, and the next three.
        nonmember_scores: Scores of the non-members.
        member_groups: Group of each member.
        nonmember_groups: Group of each non-member.
        member_ids: Record of each member row, shape ``(m,)``. Rows that share an id, on one side or
            across both, are one cluster. None: every row is a record of its own.
        nonmember_ids: Record of each non-member row, shape ``(n,)``; given together with the other.
        confidence: Probability that the interval holds the population's value.

    Raises:
        UserError: As for :func:`within_auc`; ids that do not match; a bad confidence.
    """
    check_confidence(confidence)
    sides = grouped(member_scores, nonmember_scores, member_groups, nonmember_groups)
    return _interval(pairs_within(*sides), member_ids, nonmember_ids, confidence)


def matched_tpr(
    member_scores: Scores,
    nonmember_scores: Scores,
    member_groups: ArrayLike,
    nonmember_groups: ArrayLike,
    fpr: float,
) -> float:
    r"""The true positive rate against non-members weighted to have the members' groups.

    A non-member of group *c* weighs :math:`m_c / n_c`, so that groups are as frequent among
    non-members as among members:

    .. math:: \max_t \{ \mathrm{TPR}(t) : \textstyle\sum_{j : y_j \ge t} m_{c_j} / n_{c_j}
        \le \alpha \sum_j m_{c_j} / n_{c_j} \}

    An attack that scores by the group alone then finds no more members than it accuses others.
    Members of a group without a non-member have nobody to be compared with and are left out:
    :func:`covered_share` says how many stay.

    Guarantees:
        * ties together, and the floating guard, as for :func:`seepage.metrics.tpr_at_fpr`.
        * equal weights: exactly :func:`seepage.metrics.tpr_at_fpr`.

    Args:
        member_scores: As for :func:`within_auc`, and the next three.
        nonmember_scores: Scores of the non-members.
        member_groups: Group of each member.
        nonmember_groups: Group of each non-member.
        fpr: The operating point :math:`\alpha` in [0, 1].

    Returns:
        A rate in [0, 1]. A non-member can weigh more than :math:`\alpha` by itself; the rate is
        then that above it. See :func:`matched_size` for the points worth reading.

    Raises:
        UserError: As for :func:`within_auc`, or ``fpr`` outside [0, 1].
    """
    sides = grouped(member_scores, nonmember_scores, member_groups, nonmember_groups)
    return _matched(*sides, fpr)


def _matched(members: Float64Array, nonmembers: Float64Array, groups: Groups, fpr: float) -> float:
    if not 0 <= fpr <= 1:
        raise UserError(f"fpr must be in [0, 1], got {fpr}. Rates are fractions, not per cent.")
    held, open_to = (np.bincount(side, minlength=groups.total) for side in groups.sides)
    covered = open_to[groups.sides[0]] > 0
    weight = (held / np.maximum(open_to, 1))[groups.sides[1]]
    bars, place = np.unique(nonmembers[weight > 0], return_inverse=True)
    accused = np.cumsum(np.bincount(place.ravel(), weight[weight > 0])[::-1])[::-1]
    too_many = bars[accused > fpr * covered.sum() * (1 + COUNT_GUARD)]
    return float(np.mean(members[covered] > too_many[-1])) if len(too_many) else 1.0


def covered_share(member_groups: ArrayLike, nonmember_groups: ArrayLike) -> float:
    """The share of members with a non-member of the same group, in [0, 1].

    Raises:
        UserError: There is no member.
    """
    mine = np.asarray(member_groups)
    if not mine.size:
        raise UserError("there is no member to find a group for. Audit more records.")
    return float(np.isin(mine, np.asarray(nonmember_groups)).mean())


def matched_size(member_groups: ArrayLike, nonmember_groups: ArrayLike) -> float:
    r"""How many equal non-members the weighted ones of :func:`matched_tpr` are worth.

    .. math:: \Big( \sum_j w_j \Big)^2 \Big/ \sum_j w_j^2
        = \Big( \sum_c m_c \Big)^2 \Big/ \sum_c \frac{m_c^2}{n_c}

    over the groups with a non-member (Kish, 1965): their number where members have the same groups,
    less the more the groups differ. A rate below its inverse rests on less than one of them.

    Args:
        member_groups: Group of each member, shape ``(m,)``.
        nonmember_groups: Group of each non-member, shape ``(n,)``.

    Returns:
        A number in [0, n]; 0 where no group holds both.
    """
    held = np.asarray(member_groups), np.asarray(nonmember_groups)
    names, number = np.unique(np.concatenate(held), return_inverse=True)
    mine, theirs = np.split(number.ravel(), [len(held[0])])
    m, n = (np.bincount(side, minlength=len(names)) for side in (mine, theirs))
    shared = (m > 0) & (n > 0)
    m, n = m[shared].astype(np.float64), n[shared]
    return float(m.sum() ** 2 / np.sum(m**2 / n)) if shared.any() else 0.0


def summarise_within(
    member_scores: Scores,
    nonmember_scores: Scores,
    *,
    member_groups: ArrayLike,
    nonmember_groups: ArrayLike,
    member_ids: ArrayLike,
    nonmember_ids: ArrayLike,
    fpr: float,
    confidence: float = 0.95,
) -> dict[str, Any]:
    """``within_auc``, ``within_interval`` and ``matched_tpr`` of a row of ``results.LabelRow``.

    Arguments and errors as for :func:`within_auc_interval` and :func:`matched_tpr`.
    """
    check_confidence(confidence)
    sides = grouped(member_scores, nonmember_scores, member_groups, nonmember_groups)
    pairs = pairs_within(*sides)
    return {
        "within_auc": pairs.area,
        "within_interval": _interval(pairs, member_ids, nonmember_ids, confidence),
        "matched_tpr": _matched(*sides, fpr),
    }


def _interval(
    pairs: Pairs, member_ids: ArrayLike | None, nonmember_ids: ArrayLike | None, confidence: float
) -> tuple[float, float]:
    m, n = len(pairs.wins), len(pairs.losses)
    member_of, nonmember_of = clusters(member_ids, nonmember_ids, m, n)
    total = int(max(member_of.max(), nonmember_of.max())) + 1

    def by_record(of: IntArray, values: Float64Array) -> Float64Array:
        return np.bincount(of, values, minlength=total).astype(np.float64)

    weight = by_record(member_of, pairs.rivals), by_record(nonmember_of, pairs.opponents)
    count = float(pairs.rivals.sum())
    a = by_record(member_of, pairs.wins - pairs.area * pairs.rivals)
    b = by_record(nonmember_of, pairs.losses - pairs.area * pairs.opponents)
    return union_interval(
        pairs.area,
        _variance(a, b, weight[0] > 0, weight[1] > 0) / count**2,
        both=float(weight[0] @ weight[0] + weight[1] @ weight[1]) / count,
        pairs=count,
        confidence=confidence,
    )


def _variance(a: Float64Array, b: Float64Array, member: BoolArray, nonmember: BoolArray) -> float:
    """The bracket of :func:`within_auc_interval`; NaN where a side has a single record."""
    i1, i0, records = int(member.sum()), int(nonmember.sum()), int((member | nonmember).sum())
    if min(i1, i0) < 2:
        return float("nan")
    alone = i1 / (i1 - 1) * (a @ a) + i0 / (i0 - 1) * (b @ b)
    return max(0.0, float(alone + 2 * records / (records - 1) * (a @ b)))
