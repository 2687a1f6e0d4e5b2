"""Confidence intervals of a rate and of an AUC, for independent records and for repeated ones.

Why these methods and no others, with the coverage measured: ``docs/decisions/0003-intervals.md``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaincinv, expit, logit, ndtri

from seepage.metrics.roc import Float64Array, IntArray, Scores, as_scores, midranks
from seepage.records import UserError

BISECTIONS = 64
"""Halvings of a unit interval until float64 has no more digits to give."""


def check_confidence(confidence: float) -> None:
    """Refuse a confidence that is no probability strictly between 0 and 1."""
    if not 0 < confidence < 1:
        raise UserError(f"confidence must be in (0, 1), got {confidence}. Use 0.95 for 95 %.")


def clopper_pearson(k: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    r"""The exact two-sided interval of a binomial proportion, each tail at most half the error.

    .. math:: [B^{-1}(\tfrac{\alpha}{2}; k, n - k + 1),\;
        B^{-1}(1 - \tfrac{\alpha}{2}; k + 1, n - k)]

    with :math:`B^{-1}` the quantile of the beta distribution, 0 below ``k = 0`` and 1 above
    ``k = n``.

    Guarantees:
        * coverage: at least ``confidence`` for whole ``k`` and every true proportion.
        * symmetric: ``(k, n)`` and ``(n - k, n)`` give mirrored intervals.

    Args:
        k: Successes, in ``[0, n]``; a fraction is allowed, for effective counts.
        n: Trials, above 0; a fraction is allowed.
        confidence: Probability that the interval holds the proportion.

    Raises:
        UserError: ``n`` not above 0, ``k`` outside ``[0, n]`` or ``confidence`` outside (0, 1).

    References:
        | The use of confidence or fiducial limits illustrated in the case of the binomial
        | (Clopper and Pearson, 1934)
    """
    check_confidence(confidence)
    if not (n > 0 and 0 <= k <= n):
        raise UserError(f"a rate needs n > 0 trials and 0 <= k <= n successes, got k={k}, n={n}.")
    tail = (1 - confidence) / 2
    low = float(betaincinv(k, n - k + 1, tail)) if k > 0 else 0.0
    high = float(betaincinv(k + 1, n - k, 1 - tail)) if k < n else 1.0
    return low, high


def clusters(
    member_ids: ArrayLike | None, nonmember_ids: ArrayLike | None, m: int, n: int
) -> tuple[IntArray, IntArray]:
    """Each row's record as a number from 0: equal ids, on either side, are one record.

    Without ids every row is a record of its own.

    Raises:
        UserError: Ids for one side alone, or not one id a score.
    """
    if member_ids is None and nonmember_ids is None:
        return np.arange(m), np.arange(m, m + n)
    if member_ids is None or nonmember_ids is None:
        raise UserError("ids were given for one side alone. Pass ids of both sides, or of neither.")
    ids = np.asarray(member_ids), np.asarray(nonmember_ids)
    if (ids[0].shape, ids[1].shape) != ((m,), (n,)):
        raise UserError(
            f"one id a score: expected {m} member and {n} non-member ids, got shapes "
            f"{ids[0].shape} and {ids[1].shape}."
        )
    number = np.unique(np.concatenate(ids), return_inverse=True)[1].astype(np.int64)
    return number[:m], number[m:]


def placements(
    members: Float64Array, nonmembers: Float64Array
) -> tuple[Float64Array, Float64Array]:
    """Placement values: how far each record is on the right side of all records of the other side.

    For a member the share of non-members it outscores, for a non-member the share of members that
    outscore it, ties one half; shapes ``(m,)`` and ``(n,)``. Both average to the AUC. From
    midranks, ``O((m + n) log(m + n))`` (Sun and Xu, 2014).
    """
    m, n = len(members), len(nonmembers)
    ranks = midranks(np.concatenate([members, nonmembers]))
    return (ranks[:m] - midranks(members)) / n, 1 - (ranks[m:] - midranks(nonmembers)) / m


def auc_variance(
    members: Float64Array, nonmembers: Float64Array, member_of: IntArray, nonmember_of: IntArray
) -> float:
    r"""The variance of the AUC with rows grouped in records (Obuchowski, 1997).

    With :math:`a_i` and :math:`b_i` the sums of ``placement - AUC`` over record *i*'s rows as
    member and as non-member, :math:`I_1, I_0` the records with rows on either side and *I* all of
    them,

    .. math:: \frac{1}{m^2} \frac{I_1}{I_1 - 1} \sum_i a_i^2
        + \frac{1}{n^2} \frac{I_0}{I_0 - 1} \sum_i b_i^2
        + \frac{2}{mn} \frac{I}{I - 1} \sum_i a_i b_i

    With one row a record this is the variance of DeLong, DeLong and Clarke-Pearson (1988). NaN
    where a side has a single record: one record says nothing of the spread between records.
    """
    m, n = len(members), len(nonmembers)
    of_member, of_nonmember = placements(members, nonmembers)
    area = of_member.mean()
    total = int(max(member_of.max(), nonmember_of.max())) + 1
    a = np.bincount(member_of, of_member - area, minlength=total)
    b = np.bincount(nonmember_of, of_nonmember - area, minlength=total)
    records, i1, i0 = total, len(np.unique(member_of)), len(np.unique(nonmember_of))
    if min(i1, i0) < 2:
        return float("nan")
    within = i1 / (i1 - 1) * (a @ a) / m**2 + i0 / (i0 - 1) * (b @ b) / n**2
    between = 2 * records / (records - 1) * (a @ b) / (m * n)
    return max(0.0, float(within + between))


def _logit_interval(area: float, variance: float, z: float) -> tuple[float, float]:
    """A normal interval on the log-odds scale (delta method), which cannot leave [0, 1]."""
    half = z * np.sqrt(variance) / (area * (1 - area))
    return float(expit(logit(area) - half)), float(expit(logit(area) + half))


def _score_interval(area: float, both: float, pairs: float, z: float) -> tuple[float, float]:
    r"""All AUCs :math:`\theta` with :math:`(\hat\theta - \theta)^2 \le z^2 V(\theta)`.

    *V* is the variance of Hanley and McNeil (1982) with the two counts averaged in its inner term
    (Newcombe, 2006, method 5); ``both`` is their sum and ``pairs`` their product. It is taken at
    the candidate :math:`\theta`, not at the estimate, so the interval has a width even where
    members and non-members are perfectly separated.
    """

    def plausible(theta: float) -> bool:
        spread = (1 - theta) / (2 - theta) + theta / (1 + theta)
        variance = theta * (1 - theta) * (1 + (both / 2 - 1) * spread) / pairs
        return (area - theta) ** 2 <= z**2 * variance

    def edge(outside: float) -> float:
        inside = area
        for _ in range(BISECTIONS):
            middle = (inside + outside) / 2
            if plausible(middle):
                inside = middle
            else:
                outside = middle
        return outside

    return (edge(0.0) if area > 0 else 0.0), (edge(1.0) if area < 1 else 1.0)


def union_interval(
    area: float, variance: float, *, both: float, pairs: float, confidence: float
) -> tuple[float, float]:
    """The smallest interval that holds the log-odds and the score interval of an AUC.

    Args:
        area: The AUC.
        variance: Of the first; it is left out where this is 0 or NaN, or the AUC exactly 0 or 1.
        both: Members and non-members together, for the second.
        pairs: Members times non-members.
        confidence: Of each.
    """
    z = float(ndtri((1 + confidence) / 2))
    low, high = _score_interval(area, both, pairs, z)
    if 0 < area < 1 and variance > 0:
        own_low, own_high = _logit_interval(area, variance, z)
        low, high = min(low, own_low), max(high, own_high)
    return low, high


def auc_interval(
    member_scores: Scores,
    nonmember_scores: Scores,
    *,
    member_ids: ArrayLike | None = None,
    nonmember_ids: ArrayLike | None = None,
    confidence: float = 0.95,
) -> tuple[float, float]:
    """A confidence interval of the AUC that is honest near 0 and 1 and for repeated records.

    The smallest interval that holds both

    * the normal interval on the log-odds scale with the variance of :func:`auc_variance` (DeLong,
      or Obuchowski where ids repeat), left out where it says nothing: AUC exactly 0 or
      1, or a single record on a side; and
    * Newcombe's score interval with the Hanley-McNeil variance, counting distinct records.

    The first follows the data's own spread and undercovers with few or well separated records; the
    second does not look at the spread and is right near the borders. Together they cover at least
    about as often as asked from 10 records a side on, mostly more often.

    Guarantees:
        * contains: the interval holds :func:`auc` and lies in [0, 1].
        * never sure: its width is above zero, for perfect separation too.
        * sign flip: swapping the sides mirrors it at 0.5.

    Args:
        member_scores: Scores of the members, shape ``(m,)``.
        nonmember_scores: Scores of the non-members, shape ``(n,)``.
        member_ids: Record of each member row, shape ``(m,)``. Rows that share an id, on one side or
            across both, are one cluster. None: every row is a record of its own.
        nonmember_ids: Record of each non-member row, shape ``(n,)``; given together with the other.
        confidence: Any probability; ``1 - 0.05 / k`` for *k* simultaneous intervals (Bonferroni).

    Raises:
        UserError: As for :func:`seepage.metrics.auc`; ids that do not match; a bad confidence.

    References:
        | Nonparametric analysis of clustered ROC curve data (Obuchowski, 1997)
        | Confidence intervals for an effect size measure based on the Mann-Whitney statistic,
        | part 2 (Newcombe, 2006)
    """
    check_confidence(confidence)
    members, nonmembers = (
        as_scores(member_scores, "member"),
        as_scores(nonmember_scores, "non-member"),
    )
    member_of, nonmember_of = clusters(member_ids, nonmember_ids, len(members), len(nonmembers))
    m, n = len(np.unique(member_of)), len(np.unique(nonmember_of))
    return union_interval(
        float(placements(members, nonmembers)[0].mean()),
        auc_variance(members, nonmembers, member_of, nonmember_of),
        both=m + n,
        pairs=m * n,
        confidence=confidence,
    )
