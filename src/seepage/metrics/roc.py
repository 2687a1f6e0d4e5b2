"""The ROC curve and what is read off it: area, rates at an operating point, balanced accuracy.

A score is higher for members. A threshold calls every record with ``score >= threshold`` a member,
so records of equal score are always called alike: no threshold splits a tie. Everything here
depends on the ranks of the scores alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seepage.records import UserError

Scores = ArrayLike
"""Anything :func:`numpy.asarray` reads as one axis of numbers: list, array, DataArray."""

Float64Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

COUNT_GUARD = 1e-9
"""Relative slack when a rate times a count is floored: ``0.29 * 100`` means 29 records, although
it is 28.999999999999996 in binary."""


def as_scores(scores: Scores, side: str) -> Float64Array:
    """The scores of one side as float64, shape ``(n,)``, checked.

    Args:
        scores: One number a record; infinities are allowed and tie with themselves.
        side: What the records are, for the error message: ``"member"`` or ``"non-member"``.

    Raises:
        UserError: No score, more than one axis, or a NaN among them.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1:
        raise UserError(
            f"{side} scores need one axis, got shape {values.shape}. Pass one number a record."
        )
    if values.size == 0:
        raise UserError(
            f"{side} scores are empty. A metric needs at least one member and one non-member: "
            "audit more records."
        )
    missing = int(np.isnan(values).sum())
    if missing:
        raise UserError(
            f"{missing} of {values.size} {side} scores are NaN, which has no rank. Mend the attack "
            "that made them; infinite scores are allowed."
        )
    return values


def error_counts(members: Float64Array, nonmembers: Float64Array) -> tuple[IntArray, IntArray]:
    """``(false positives, false negatives)`` of every threshold, from accepting nothing to all.

    The thresholds are +inf (above every score) and then each distinct score, descending, so false
    positives rise from 0 to *n* and false negatives fall from *m* to 0.
    """
    cuts = np.union1d(members, nonmembers)[::-1]
    accepted_members = len(members) - np.searchsorted(np.sort(members), cuts)
    accepted_nonmembers = len(nonmembers) - np.searchsorted(np.sort(nonmembers), cuts)
    false_positives = np.concatenate([[0], accepted_nonmembers]).astype(np.int64)
    false_negatives = np.concatenate([[0], accepted_members]).astype(np.int64)
    return false_positives, len(members) - false_negatives


def roc_curve(
    member_scores: Scores, nonmember_scores: Scores
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """The ROC curve at every threshold.

    Returns:
        ``(fpr, tpr, thresholds)``, each of shape ``(distinct scores + 1,)``: at threshold *t* the
        records with ``score >= t`` are called members. Thresholds descend and the first calls
        nobody a member: it is ``inf``, or ``nan`` where some score is itself ``inf`` and no number
        lies above it. No point is dropped, collinear or not.

    Raises:
        UserError: As for :func:`auc`.
    """
    members, nonmembers = (
        as_scores(member_scores, "member"),
        as_scores(nonmember_scores, "non-member"),
    )
    false_positives, false_negatives = error_counts(members, nonmembers)
    cuts = np.union1d(members, nonmembers)[::-1]
    above = np.nan if np.isposinf(cuts[0]) else np.inf
    tpr = (len(members) - false_negatives) / len(members)
    return false_positives / len(nonmembers), tpr, np.concatenate([[above], cuts])


def midranks(values: Float64Array) -> Float64Array:
    """Ranks from 1, equal values sharing the mean of their ranks; ``O(n log n)``."""
    ordered = np.sort(values)
    below = np.searchsorted(ordered, values, side="left")
    up_to = np.searchsorted(ordered, values, side="right")
    return (below + up_to + 1) / 2


def auc(member_scores: Scores, nonmember_scores: Scores) -> float:
    r"""The probability that a member outscores a non-member, a tie counting one half.

    .. math:: \mathrm{AUC} = \frac{1}{mn} \sum_{i \le m} \sum_{j \le n}
        \left( [x_i > y_j] + \tfrac12 [x_i = y_j] \right)

    Guarantees:
        * rank: a strictly increasing map of all scores changes nothing.
        * sign flip: ``auc(x, y) + auc(-x, -y) == 1``, and swapping the sides does the same.

    Args:
        member_scores: Scores *x* of the *m* members, shape ``(m,)``.
        nonmember_scores: Scores *y* of the *n* non-members, shape ``(n,)``.

    Returns:
        A number in [0, 1]; 0.5 is chance. Computed from midranks in ``O((m + n) log(m + n))``.

    Raises:
        UserError: A side is empty, has a NaN, or has more than one axis.

    References:
        | On a test of whether one of two random variables is stochastically larger than the other
        | (Mann and Whitney, 1947)
    """
    members, nonmembers = (
        as_scores(member_scores, "member"),
        as_scores(nonmember_scores, "non-member"),
    )
    m, n = len(members), len(nonmembers)
    ranks = midranks(np.concatenate([members, nonmembers]))[:m]
    return float((ranks.sum() - m * (m + 1) / 2) / (m * n))


def tpr_at_fpr(member_scores: Scores, nonmember_scores: Scores, fpr: float) -> float:
    r"""The highest true positive rate of any threshold with at most ``fpr`` false positives.

    .. math:: \max_t \{ \mathrm{TPR}(t) : \mathrm{FPR}(t) \le \alpha \}

    Guarantees:
        * ties together: the rate is that of one threshold, never a mixture of two.
        * floating guard: :math:`\alpha n` within 1e-9 (relative) of a whole number is that number.

    Args:
        member_scores: As for :func:`auc`.
        nonmember_scores: As for :func:`auc`.
        fpr: The operating point :math:`\alpha` in [0, 1].

    Returns:
        A rate in [0, 1]. Below ``1 / n`` it is the rate with no false positive at all.

    Raises:
        UserError: As for :func:`auc`, or ``fpr`` outside [0, 1].

    Differs from FedMIA's code, which wants FPR strictly below :math:`\alpha` and drops collinear
    points of the curve, and from tools that read the concave hull, whose points between two
    thresholds need a randomised rule.
    """
    if not 0 <= fpr <= 1:
        raise UserError(f"fpr must be in [0, 1], got {fpr}. Rates are fractions, not per cent.")
    members, nonmembers = (
        as_scores(member_scores, "member"),
        as_scores(nonmember_scores, "non-member"),
    )
    n = len(nonmembers)
    allowed = int(np.floor(fpr * n * (1 + COUNT_GUARD)))
    if allowed >= n:
        return 1.0
    bar = np.partition(nonmembers, n - 1 - allowed)[n - 1 - allowed]
    return float(np.mean(members > bar))


def tnr_at_fnr(member_scores: Scores, nonmember_scores: Scores, fnr: float) -> float:
    """The highest true negative rate of any threshold that misses at most ``fnr`` of the members.

    :func:`tpr_at_fpr` with the sides exchanged and every score negated: how many records can be
    cleared while hardly a member is cleared by mistake.

    Args:
        member_scores: As for :func:`auc`.
        nonmember_scores: As for :func:`auc`.
        fnr: The operating point in [0, 1].

    Raises:
        UserError: As for :func:`auc`, or ``fnr`` outside [0, 1].
    """
    if not 0 <= fnr <= 1:
        raise UserError(f"fnr must be in [0, 1], got {fnr}. Rates are fractions, not per cent.")
    members, nonmembers = (
        as_scores(member_scores, "member"),
        as_scores(nonmember_scores, "non-member"),
    )
    return tpr_at_fpr(-nonmembers, -members, fnr)


def placements(scores: Scores, among: Scores) -> Float64Array:
    """Where each score stands among others: the share of ``among`` below it, ties counted half.

    The AUC of members against ``among`` is the mean of the members' placements. Pooling several
    targets goes by placements: every target then has the same non-members, evenly spread, and a
    target with more members, or one that scores everything higher, adds nothing by that.

    Args:
        scores: Shape ``(n,)``.
        among: Scores to stand among, shape ``(m,)``, m ≥ 1.

    Returns:
        Shape ``(n,)``, in [0, 1].
    """
    ranked = np.sort(as_scores(among, "non-member"))
    values = as_scores(scores, "member")
    below, upto = (np.searchsorted(ranked, values, side=side) for side in ("left", "right"))
    return (below + upto) / (2 * len(ranked))


def balanced_accuracy(member_scores: Scores, nonmember_scores: Scores) -> float:
    r"""The best mean of the true positive and the true negative rate.

    .. math:: \max_t \tfrac12 \left( \mathrm{TPR}(t) + 1 - \mathrm{FPR}(t) \right)

    Returns:
        A number in [0.5, 1]. The threshold is chosen with the answer in hand, so on a finite sample
        the value lies above 0.5 even where nothing leaks.

    Raises:
        UserError: As for :func:`auc`.
    """
    fpr, tpr, _ = roc_curve(member_scores, nonmember_scores)
    return float(np.max(tpr + 1 - fpr) / 2)
