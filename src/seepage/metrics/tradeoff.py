"""Two costs, both to be small: what a defense loses in accuracy against what still leaks."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from seepage.metrics.roc import Float64Array
from seepage.records import UserError


def _as_points(points: ArrayLike) -> Float64Array:
    values = np.asarray(points, dtype=np.float64)
    if values.size == 0:
        return np.empty((0, 2))
    if values.ndim != 2 or values.shape[1] != 2:
        raise UserError(f"points need shape (n, 2), one (error, tpr) each, got {values.shape}.")
    if not np.isfinite(values).all():
        raise UserError("points must be finite: leave out the ones that were not measured.")
    return values


def pareto_front(points: ArrayLike) -> Float64Array:
    """The points that no other point beats, both coordinates being costs.

    A point is beaten by one that is no larger in both coordinates and smaller in one.

    Args:
        points: ``(error, tpr)`` rows, shape ``(n, 2)``, in any order.

    Returns:
        The front by ascending error, hence strictly descending rate, shape ``(f, 2)``; equal points
        are given once.

    Raises:
        UserError: Another shape, or a value that is not finite.
    """
    ordered = np.unique(_as_points(points), axis=0)
    best_before = np.minimum.accumulate(np.concatenate([[np.inf], ordered[:, 1]]))[:-1]
    return ordered[ordered[:, 1] < best_before]


def hypervolume(points: ArrayLike, reference: tuple[float, float] = (1.0, 1.0)) -> float:
    """The area that the points dominate, up to the reference: larger is a better trade-off.

    The union of the rectangles between each point and ``reference``, both coordinates being costs.
    A point that is not below the reference in both adds nothing; no point gives 0.

    Args:
        points: ``(error, tpr)`` rows, shape ``(n, 2)``.
        reference: The worst values of both, ``(1, 1)`` for two rates.

    Returns:
        An area, at least 0; at most 1 for rates and the default reference.

    Raises:
        UserError: As for :func:`pareto_front`.

    References:
        | Multiobjective optimization using evolutionary algorithms (Zitzler and Thiele, 1998)
    """
    values = _as_points(points)
    front = pareto_front(values[(values < np.asarray(reference)).all(axis=1)])
    ceilings = np.concatenate([[reference[1]], front[:-1, 1]])
    return float(np.sum((reference[0] - front[:, 0]) * (ceilings - front[:, 1])))
