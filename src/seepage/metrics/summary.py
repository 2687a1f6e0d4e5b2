"""One attack on one question, as the figures of a row of ``results.json``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import bdtr, bdtrc

from seepage.metrics.intervals import auc_interval, clopper_pearson, clusters
from seepage.metrics.roc import (
    COUNT_GUARD,
    Float64Array,
    Scores,
    as_scores,
    auc,
    balanced_accuracy,
    tpr_at_fpr,
)


def summarise(
    member_scores: Scores,
    nonmember_scores: Scores,
    *,
    member_ids: ArrayLike,
    nonmember_ids: ArrayLike,
    fprs: Sequence[float] = (1e-1, 1e-2, 1e-3, 1e-4),
    confidence: float = 0.95,
) -> dict[str, Any]:
    """AUC and rates of one row of ``seepage.results.AttackRow``, as plain Python numbers.

    Rows are (record, target) pairs: with several targets pooled one record may come many times, as
    a member for its owner and as a non-member for others. What that changes:

    * ``n_members`` and ``n_nonmembers`` count rows, and ``auc``, ``balanced_accuracy`` and the
      values of the rates are over rows;
    * ``auc_interval`` takes the rows of a record as one cluster;
    * a rate's interval counts distinct records: a rate *r* stands for ``r * d`` successes of *d*,
      as if the rows of a record were one and the same answer (the effective counts of Korn and
      Graubard, 1998, at their most careful).

    A rate's ``interval`` is Clopper and Pearson's, for the rate at the threshold that the sample
    sets; ``joint_interval`` allows for that threshold being an estimate too, see
    :func:`rate_interval`.

    ``resolved`` says that one error among the distinct records which set the threshold is no more
    than the rate asked for: ``fpr * d >= 1``. Where it is false the value is the rate with no
    error.

    Args:
        member_scores: Scores of the members, shape ``(m,)``, higher for members.
        nonmember_scores: Scores of the non-members, shape ``(n,)``.
        member_ids: Record of each member row, shape ``(m,)``.
        nonmember_ids: Record of each non-member row, shape ``(n,)``.
        fprs: Operating points, used for both tables; keys are their shortest plain decimals,
            ``"0.0001"``.
        confidence: Of every interval.

    Raises:
        UserError: A side empty or with a NaN, ids that do not match, a rate outside [0, 1], a
            confidence outside (0, 1).
    """
    members, nonmembers = (
        as_scores(member_scores, "member"),
        as_scores(nonmember_scores, "non-member"),
    )
    member_of, nonmember_of = clusters(member_ids, nonmember_ids, len(members), len(nonmembers))
    m, n = len(np.unique(member_of)), len(np.unique(nonmember_of))
    return {
        "n_members": len(members),
        "n_nonmembers": len(nonmembers),
        "auc": auc(members, nonmembers),
        "auc_interval": auc_interval(
            members,
            nonmembers,
            member_ids=member_of,
            nonmember_ids=nonmember_of,
            confidence=confidence,
        ),
        "balanced_accuracy": balanced_accuracy(members, nonmembers),
        "tpr_at_fpr": _rates(members, nonmembers, fprs, (m, n), confidence),
        "tnr_at_fnr": _rates(-nonmembers, -members, fprs, (n, m), confidence),
    }


def _rates(
    judged: Float64Array,
    setting: Float64Array,
    fprs: Sequence[float],
    distinct: tuple[int, int],
    confidence: float,
) -> dict[str, dict[str, Any]]:
    """A ``results.Rate`` for each operating point; arguments as for :func:`rate_interval`."""
    rates = {}
    for at in fprs:
        value = tpr_at_fpr(judged, setting, at)
        rates[np.format_float_positional(at, trim="-")] = {
            "value": value,
            "interval": clopper_pearson(value * distinct[0], distinct[0], confidence),
            "joint_interval": rate_interval(judged, setting, at, distinct, confidence),
            "resolved": bool(at * distinct[1] * (1 + COUNT_GUARD) >= 1),
        }
    return rates


def rate_interval(
    judged: Float64Array,
    setting: Float64Array,
    at: float,
    distinct: tuple[int, int],
    confidence: float,
) -> tuple[float, float]:
    r"""An interval of the highest true positive rate with a false positive rate of at most ``at``.

    Both rates are meant over the populations, so the interval allows for two doubts: which
    threshold has that false positive rate, and what true positive rate it has. Each end gets half
    the allowed error and halves it again between the two. Of *d* records that set the threshold,
    the one of rank *c + 1* from above has a false positive rate distributed as
    :math:`B(c + 1, d - c)`, so with error at most *q* (*N* binomial, *d* trials at ``at``)

    * calling what lies above rank *c + 1* stays within ``at`` if :math:`P(N \le c) \le q`, and the
      lower end is Clopper-Pearson's for the largest such *c*; 0 where there is none;
    * calling rank *c + 1* too reaches ``at`` if :math:`P(N > c) \le q`, and the upper end is
      Clopper-Pearson's for the smallest such *c*; 1 where there is none.

    Guarantees:
        * contains: the interval holds :func:`tpr_at_fpr`.
        * coverage: at least ``confidence``, ties or not, for independent records.

    The price: below about ``ln(4 / (1 - confidence)) / at`` records, 4,400 for 0.1 % at 95 %, the
    lower end is 0, for no threshold is sure to stay within ``at``.

    Args:
        judged: Scores of the records whose rate it is; for a true negative rate, the non-members'
            negated.
        setting: Scores of the other side, negated likewise.
        at: The false positive rate.
        distinct: Distinct records behind ``judged`` and ``setting``; ranks and counts of rows are
            scaled to them.
        confidence: Probability that the interval holds the rate.
    """
    m, d = distinct
    q = (1 - confidence) / 4
    errors = np.arange(d, dtype=np.float64)
    sure = int(np.sum(bdtr(errors, d, at) <= q)) - 1
    enough = int(np.sum(bdtrc(errors, d, at) > q))
    ranked = np.sort(setting)[::-1]
    low, high = 0.0, 1.0
    if sure >= 0:
        bar = ranked[sure * len(ranked) // d]
        low = clopper_pearson(float(np.mean(judged > bar)) * m, m, 1 - 2 * q)[0]
    if enough < d:
        # The last row of that record's share, so that at least as many rows are called as it says.
        bar = ranked[-(-(enough + 1) * len(ranked) // d) - 1]
        high = clopper_pearson(float(np.mean(judged >= bar)) * m, m, 1 - 2 * q)[1]
    return low, high
