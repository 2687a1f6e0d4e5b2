"""Whose record it is, read off one point of a sweep: shares marked, areas and curves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seepage import metrics
from seepage.audit.folder import read_scores
from seepage.report.curves import part, two_sides
from seepage.report.users import HERS
from seepage.results import Results, SweepUser

if TYPE_CHECKING:
    import pandas as pd

    from seepage.records import Block, FloatArray

BLOCK: Block = "others"
"""The question is whose, so a victim's records are held against other participants'."""

LABELS = "data.labels_per_client"
"""The setting that victims with more and with fewer labels come from."""

POINTS = 40
"""Most points that a stored curve has."""

FLAT = 1e-12
"""A corner that encloses less is no corner."""


def point_users(folder: Path, results: Results, settings: Mapping[str, Any]) -> list[SweepUser]:
    """Every participant's attack on every victim of one run.

    Empty where no insider asked whose record it is, and where the sweep varies anything but the
    labels that clients hold: what is put side by side is the number of labels, and runs that
    differ in more are no repetitions of each other.

    Args:
        folder: The run's folder, whose ``scores.parquet`` the curves are drawn from.
        results: What its ``results.json`` holds.
        settings: What the sweep set at this point, by key.

    Raises:
        UserError: The scores cannot be read.
    """
    if results.users is None or set(settings) - {LABELS}:
        return []
    return users_of(results, read_scores(folder / "scores.parquet"))


def users_of(results: Results, scores: pd.DataFrame) -> list[SweepUser]:
    """The same from the scores themselves: a row each for attacks that decide, in their order.

    A victim that declared no labels has no place by their number and is left out.

    Args:
        results: Its rows name the victims, their labels and the shares marked.
        scores: Columns ``sample, attack, target, score, owner``.
    """
    found = []
    for row in results.attacks:
        marked, wrong = row.paper_accuracy, row.false_alarms
        if row.victim is None or row.block != BLOCK or not row.victim_labels:
            continue
        if row.adversary not in HERS:
            continue  # what a server finds is no participant's doing
        if marked is None or wrong is None:
            continue
        sides = two_sides(part(scores, row.name, row.victim), BLOCK)
        fpr, tpr, _ = metrics.roc_curve(*sides)
        found.append(
            SweepUser(
                name=row.name,
                victim=row.victim,
                labels=len(row.victim_labels),
                paper_accuracy=marked,
                false_alarms=wrong,
                auc=row.auc,
                auc_interval=row.auc_interval,
                curve=[(float(x), float(y)) for x, y in zip(*thinned(fpr, tpr), strict=True)],
            )
        )
    return found


def thinned(fpr: FloatArray, tpr: FloatArray, most: int = POINTS) -> tuple[FloatArray, FloatArray]:
    r"""The corners of a curve that matter to its shape, each one kept as it is.

    Corners go one by one, as long as there are more than ``most``. Dropping corner *i* changes the
    area under the curve by the signed area of the triangle with its neighbors,

    .. math:: s_i = \tfrac12 \left( (x_{i+1} - x_{i-1})(y_i - y_{i-1})
        - (x_i - x_{i-1})(y_{i+1} - y_{i-1}) \right),

    and the one that goes has the least :math:`|s_i| + |S + s_i|`, where *S* is what was lost so
    far: small corners first, those above the curve balanced by those below it.

    Args:
        fpr: False positive rates, ascending from 0 to 1, shape ``(n,)``.
        tpr: True positive rates, ascending to 1, shape ``(n,)``.
        most: At least 2.

    Returns:
        Rates of at most ``most`` points. The first is the highest at no false positive, the last
        (1, 1); points on a straight line between two others are gone.

    References:
        | Line generalisation by repeated elimination of points (Visvalingam and Whyatt, 1993)

    Differs from it by the balance, which keeps the area under the curve.
    """
    start = int(np.searchsorted(fpr, 0.0, side="right")) - 1
    x, y = fpr[start:], tpr[start:]
    lost = 0.0
    while len(x) > 2:
        area = _triangles(x, y)
        drop = int(np.argmin(np.abs(area)))
        if abs(area[drop]) > FLAT:
            if len(x) <= most:
                break
            drop = int(np.argmin(np.abs(area) + np.abs(lost + area)))
        lost += float(area[drop])
        x, y = np.delete(x, drop + 1), np.delete(y, drop + 1)
    return x, y


def _triangles(x: FloatArray, y: FloatArray) -> FloatArray:
    """Signed area between each inner point and its two neighbors; above their line is positive."""
    wide, high = x[2:] - x[:-2], y[2:] - y[:-2]
    return 0.5 * (wide * (y[1:-1] - y[:-2]) - (x[1:-1] - x[:-2]) * high)
