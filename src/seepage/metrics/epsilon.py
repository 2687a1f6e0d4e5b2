"""A statistical lower bound on the differential-privacy ε that a membership attack witnesses."""

from __future__ import annotations

import numpy as np
from scipy.special import betaincinv

from seepage.metrics.intervals import check_confidence
from seepage.metrics.roc import Float64Array, IntArray, Scores, as_scores, error_counts
from seepage.records import UserError


def concave_corners(false_positives: IntArray, false_negatives: IntArray) -> list[int]:
    """Indices of the strict corners of the ROC curve's upper concave hull, both ends included.

    Takes the counts of :func:`error_counts`. Exact: the cross products are of whole numbers.
    """
    points = list(zip(false_positives.tolist(), (-false_negatives).tolist(), strict=True))
    kept: list[int] = []
    for index, (x, y) in enumerate(points):
        while len(kept) > 1:
            (x0, y0), (x1, y1) = points[kept[-2]], points[kept[-1]]
            if (y1 - y0) * (x - x1) > (y - y1) * (x1 - x0):
                break
            kept.pop()
        kept.append(index)
    return kept


def upper_bounds(errors: IntArray, trials: int, tail: float) -> Float64Array:
    """One-sided Clopper-Pearson upper bounds of an error rate, each wrong with at most ``tail``."""
    left = np.maximum(trials - errors, 1)
    return np.where(errors < trials, betaincinv(errors + 1.0, left, 1 - tail), 1.0)


def epsilon_lower_bound(
    member_scores: Scores,
    nonmember_scores: Scores,
    *,
    delta: float = 0.0,
    confidence: float = 0.95,
) -> float:
    r"""A lower bound on ε: no :math:`(\varepsilon, \delta)`-DP mechanism with a smaller ε explains
    how well these scores tell members from non-members, but for an error of ``1 - confidence``.

    :math:`(\varepsilon, \delta)`-DP caps every test: :math:`\mathrm{TPR} \le e^\varepsilon
    \mathrm{FPR} + \delta`. Bounding both error rates at a threshold *t* gives

    .. math:: \hat\varepsilon(t) = \ln \frac{1 - \overline{\mathrm{FNR}}(t) - \delta}
        {\overline{\mathrm{FPR}}(t)}

    with one-sided Clopper-Pearson upper bounds, each at error :math:`\alpha / 2k`. The result is
    the best over *k* thresholds and never below 0. The thresholds are the strict corners of the ROC
    curve's concave hull, its two ends included: only these can be optimal for a linear trade of
    the two errors. One direction only: a test that rejects non-members is not tried.

    Guarantees:
        * valid: above the true ε with probability at most ``1 - confidence``; see the note.
        * monotone: a larger ``delta`` or ``confidence`` never raises it.

    Note:
        The corners are found in the same scores and *k* counts them alone, so the union bound over
        them is a rule, not a theorem. Simulated against mechanisms of known ε, chosen to be hard
        for it, it was wrong less often than asked (``docs/decisions/0003-intervals.md``).
        The rows must be independent: one row a record, membership drawn at random for each. Records
        of one training run are independent only as far as they do not sway each other's scores.

    Args:
        member_scores: Scores of the members, shape ``(m,)``, one row a record.
        nonmember_scores: Scores of the non-members, shape ``(n,)``, one row a record.
        delta: The δ of the privacy claim, in [0, 1).
        confidence: Probability that the bound lies below ε.

    Returns:
        ε in nats, at least 0. It cannot exceed about :math:`\ln(n / \ln(2k/\alpha))`.

    Raises:
        UserError: As for :func:`seepage.metrics.auc`; a bad ``delta`` or ``confidence``.

    References:
        | Adversary instantiation: lower bounds for differentially private machine learning
        | (Nasr et al., 2021), https://arxiv.org/abs/2101.04535

    Agrees with the Bonferroni rule of jax_privacy's ``CanaryScoreAuditor`` at commit 8967688.
    """
    check_confidence(confidence)
    if not 0 <= delta < 1:
        raise UserError(f"delta must be in [0, 1), got {delta}. Use 0 for pure privacy.")
    members, nonmembers = (
        as_scores(member_scores, "member"),
        as_scores(nonmember_scores, "non-member"),
    )
    false_positives, false_negatives = error_counts(members, nonmembers)
    corners = concave_corners(false_positives, false_negatives)
    tail = (1 - confidence) / (2 * len(corners))
    fpr = upper_bounds(false_positives[corners], len(nonmembers), tail)
    tpr = 1 - upper_bounds(false_negatives[corners], len(members), tail)
    seen = tpr > delta
    return float(np.max(np.log((tpr[seen] - delta) / fpr[seen]), initial=0.0))
