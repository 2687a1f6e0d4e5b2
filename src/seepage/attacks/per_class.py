"""The target's scores against a threshold for each class, set on the reference models.

Classes differ: what is a high confidence in one is a low one in another (Song and Mittal, 2021).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import xarray as xr

from seepage.attacks import scores
from seepage.attacks.answers import BoolArray, labels, over_queries, references, score_of
from seepage.records import FloatArray, IntArray, UserError


def confidence_per_class(signals: xr.Dataset, target: int) -> xr.DataArray:
    """:func:`~seepage.attacks.scores.confidence` less its class's threshold.

    Threshold, arguments, errors and source: see :func:`above_threshold`.
    """
    return above_threshold(signals, target, scores.confidence, "confidence", sign=1)


def loss_per_class(signals: xr.Dataset, target: int) -> xr.DataArray:
    """:func:`~seepage.attacks.scores.loss` less its class's threshold.

    Threshold, arguments, errors and source: see :func:`above_threshold`.
    """
    return above_threshold(signals, target, scores.loss, "loss", sign=-1)


def entropy_per_class(signals: xr.Dataset, target: int) -> xr.DataArray:
    """:func:`~seepage.attacks.scores.entropy` less its class's threshold.

    Threshold, arguments, errors and source: see :func:`above_threshold`.
    """
    return above_threshold(signals, target, scores.entropy, "entropy", sign=-1)


def modified_entropy_per_class(signals: xr.Dataset, target: int) -> xr.DataArray:
    """:func:`~seepage.attacks.scores.modified_entropy` less its class's threshold.

    Threshold, arguments, errors and source: see :func:`above_threshold`.
    """
    return above_threshold(signals, target, scores.modified_entropy, "modified_entropy", sign=-1)


def correctness_per_class(signals: xr.Dataset, target: int) -> xr.DataArray:
    """:func:`~seepage.attacks.scores.correctness` less its class's threshold.

    Threshold, arguments, errors and source: see :func:`above_threshold`.
    """
    return above_threshold(signals, target, scores.correctness, "correct", sign=1)


def above_threshold(
    signals: xr.Dataset,
    target: int,
    score: Callable[[xr.Dataset, int], xr.DataArray],
    name: str,
    *,
    sign: int,
) -> xr.DataArray:
    r"""A score of the target less the threshold of the record's class.

    .. math:: s_j = v_j - \tau_{y_j},\qquad \tau_c = \arg\max_\tau \tfrac12\bigl(
        P(v \ge \tau \mid c, \text{member}) + P(v < \tau \mid c, \text{non-member})\bigr)

    with both probabilities over all answers of the reference models about records of class *c*.
    So :math:`s_j \ge 0` is the decision of the paper. Only values that occur are thresholds; the
    smallest of equally good ones is taken.

    Args:
        signals: The signal over ``model, sample`` and maybe ``query``; ``label``; ``member``.
        target: Model asked about.
        score: Score of the target alone, which reads the signal ``name``.
        name: Signal that the reference models' values are read from.
        sign: -1 where the signal is low for members.

    Returns:
        Score over ``sample``, higher for members, in the signal's unit.

    Raises:
        UserError: A signal, the target or every reference model is missing, a signal has gaps, or
            the reference models have no member, or no non-member, of some class.

    References:
        | Systematic Evaluation of Privacy Risks of Machine Learning Models (Song, Mittal, 2021)
        | https://arxiv.org/abs/2003.10595

    Differs from the paper: its threshold is learned on one shadow model, or on known members of
    the target; here on all reference models.
    """
    own = score(signals, target)
    values, member = references(signals, name, target)
    known = sign * over_queries(values).to_numpy().astype(np.float64)
    label = labels(signals)
    return score_of(own.to_numpy() - _thresholds(known, member.to_numpy(), label)[label], own)


def _thresholds(values: FloatArray, member: BoolArray, label: IntArray) -> FloatArray:
    """The best threshold of each class, shape ``(classes,)``; 0 for a class without records."""
    thresholds = np.zeros(int(label.max()) + 1)
    order = np.argsort(label, kind="stable")
    classes, starts = np.unique(label[order], return_index=True)
    for c, rows in zip(classes, np.split(order, starts[1:]), strict=True):
        inside = member[:, rows].ravel()
        if inside.all() or not inside.any():
            side = "non-member" if inside.all() else "member"
            raise UserError(
                f"the reference models have no {side} of class {c}, so it has no threshold. "
                "Add reference models, or use the attack of the same name without _per_class."
            )
        thresholds[c] = best_threshold(values[:, rows].ravel(), inside)
    return thresholds


def best_threshold(values: FloatArray, member: BoolArray) -> float:
    """The value whose ``>=`` rule has the best balanced accuracy; the smallest such value.

    Args:
        values: Higher for members, shape ``(n,)``.
        member: Who is one, shape ``(n,)``; at least one and not all.

    Returns:
        One of ``values``. Found by one sort.
    """
    order = np.argsort(values)
    ordered, inside = values[order], member[order]
    first = np.flatnonzero(np.append(True, ordered[1:] > ordered[:-1]))
    missed = (np.cumsum(inside) - inside)[first]
    # Balanced accuracy up to a constant, in whole numbers so that equal ones compare equal.
    members = int(member.sum())
    gain = (first - missed) * members - missed * (len(values) - members)
    return float(ordered[first[np.argmax(gain)]])
