"""How near reconstructions lie to real records: nearest neighbors, and the balls they span.

Distances are Euclidean, between rows that hold pixels or features. They are taken difference by
difference, not from products of rows: a copy is at distance 0 exactly, and a pair has the same
distance from both sides and in every block, so that a point on the rim of a ball is inside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist

from seepage.records import UserError

Float64Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

BLOCK = 1 << 22
"""Distances held at a time: 32 MiB."""


class Nearest(NamedTuple):
    """The nearest row of another set, for every row of a set of *m*.

    Attributes:
        squared: Squared distance to it, shape ``(m,)``.
        row: Where it is in the other set, the first of equals, shape ``(m,)``.
    """

    squared: Float64Array
    row: IntArray


class Prdc(NamedTuple):
    """What :func:`prdc` returns: shares in [0, 1], but density, which is at least 0."""

    precision: float
    recall: float
    density: float
    coverage: float


def as_rows(values: ArrayLike, side: str) -> Float64Array:
    """One record a row, float64, shape ``(n, d)``: axes after the first are flattened.

    Args:
        values: Shape ``(n, ...)``.
        side: What the records are, for the error message.

    Raises:
        UserError: There is no record, or a value is NaN or infinite.
    """
    rows = np.asarray(values, dtype=np.float64)
    if rows.ndim == 0 or rows.size == 0:
        raise UserError(
            f"{side} records need shape (n, ...) with at least one record and one value, got "
            f"{rows.shape}. Keep more of them, or leave the metric out."
        )
    rows = np.ascontiguousarray(rows.reshape(len(rows), -1))
    bad = len(rows) - int(np.isfinite(rows).all(1).sum())
    if bad:
        raise UserError(
            f"{bad} of {len(rows)} {side} records hold NaN or infinite values, which have no "
            "distance. Mend what made them, or leave them out."
        )
    return rows


def as_pair(one: ArrayLike, other: ArrayLike, *sides: str) -> tuple[Float64Array, Float64Array]:
    """Two sets of records as :func:`as_rows`, of the same width.

    Raises:
        UserError: As :func:`as_rows`, or the widths differ.
    """
    first, second = as_rows(one, sides[0]), as_rows(other, sides[1])
    if first.shape[1] != second.shape[1]:
        raise UserError(
            f"{sides[0]} records have {first.shape[1]} values and {sides[1]} records "
            f"{second.shape[1]}; both must lie in one space. Take the same pixels or features."
        )
    return first, second


def squared_blocks(
    points: Float64Array, others: Float64Array
) -> Iterator[tuple[slice, Float64Array]]:
    """Squared distances of all ``points`` to all ``others``, in blocks of whole rows.

    Yields:
        Rows of ``points`` as a slice, and the block, shape ``(rows, len(others))``.
    """
    step = max(1, BLOCK // len(others))
    for first in range(0, len(points), step):
        rows = slice(first, first + step)
        yield rows, np.asarray(cdist(points[rows], others, "sqeuclidean"), dtype=np.float64)


def knn_distance(fake: ArrayLike, real: ArrayLike) -> Nearest:
    r"""The nearest real record of every reconstruction, and the squared distance to it.

    .. math:: d_j = \min_i \lVert f_j - x_i \rVert^2

    The mean of :math:`d` over the reconstructions of a class, against the training images of that
    class in the features of a classifier that had no part in the attack, is what the literature on
    model inversion tables as *KNN distance*; its released code squares, its papers do not say so.
    It compares within one space of features only.

    Args:
        fake: Reconstructions *f*, shape ``(m, ...)``.
        real: Real records *x*, shape ``(n, ...)``, as wide as ``fake``.

    Raises:
        UserError: A side is empty or holds NaN or infinite values, or the widths differ.

    References:
        | The Secret Revealer: Generative Model-Inversion Attacks Against Deep Neural Networks
          (Zhang et al., 2020), https://arxiv.org/abs/1911.07135
    """
    points, others = as_pair(fake, real, "reconstructed", "real")
    squared, row = np.empty(len(points)), np.empty(len(points), dtype=np.int64)
    for rows, block in squared_blocks(points, others):
        row[rows] = block.argmin(1)
        squared[rows] = block.min(1)
    return Nearest(squared, row)


def prdc(
    real: ArrayLike, fake: ArrayLike, k: int, *, balls: Literal["all", "nearest"] = "all"
) -> Prdc:
    r"""Precision, recall, density and coverage of reconstructions.

    With :math:`B(x_i)` the closed ball around a real record that reaches to its *k*-th nearest
    other real record, and :math:`B(f_j)` likewise among reconstructions:

    .. math::
        \text{precision} &= \tfrac1m \#\{j : f_j \in \textstyle\bigcup_i B(x_i)\} &\quad
        \text{recall} &= \tfrac1n \#\{i : x_i \in \textstyle\bigcup_j B(f_j)\} \\
        \text{density} &= \tfrac1{km} \textstyle\sum_j \#\{i : f_j \in B(x_i)\} &\quad
        \text{coverage} &= \tfrac1n \#\{i : B(x_i) \text{ holds some } f_j\}

    Guarantees:
        * of a set with itself precision, recall and coverage are 1, and density is
          :math:`(k + 1) / k` where no two distances are equal;
        * a rotation, a shift or a change of scale of both sets changes nothing, up to rounding.

    Args:
        real: Real records *x*, shape ``(n, ...)``.
        fake: Reconstructions *f*, shape ``(m, ...)``, as wide as ``real``.
        k: Neighbors that a ball reaches to, at least 1 and below *n* and *m*.
        balls: ``all`` as above. ``nearest`` asks for precision and recall whether a point is in
            the ball of its nearest neighbor on the other side alone, so neither is larger than
            with ``all``; density and coverage stay.

    Raises:
        UserError: As for :func:`knn_distance`, or there are too few records for ``k``.

    References:
        | Improved Precision and Recall Metric for Assessing Generative Models (Kynkäänniemi et
          al., 2019), https://arxiv.org/abs/1904.06991
        | Reliable Fidelity and Diversity Metrics for Generative Models (Naeem et al., 2020),
          https://arxiv.org/abs/2002.09797

    Differs from the second paper's code, whose balls are open: there a set that holds records more
    than *k* times does not cover itself. Released code for model inversion reports what is
    ``nearest`` here under the names of precision and recall.
    """
    if balls not in ("all", "nearest"):
        raise UserError(f"prdc: balls must be 'all' or 'nearest', got {balls!r}")
    points, others = as_pair(real, fake, "real", "reconstructed")
    reach, reach_fake = _reach(points, k, "real"), _reach(others, k, "reconstructed")
    holders = np.zeros(len(others), dtype=np.int64)  # real balls that each reconstruction is in
    recalled = covered = 0
    for rows, squared in squared_blocks(points, others):
        inside = squared <= reach[rows, None]
        holders += inside.sum(0)
        covered += int(inside.any(1).sum())
        recalled += int((squared <= reach_fake).any(1).sum())
    precision, recall = float(np.mean(holders > 0)), recalled / len(points)
    if balls == "nearest":
        precision = _in_nearest(others, points, reach)
        recall = _in_nearest(points, others, reach_fake)
    return Prdc(precision, recall, float(holders.mean() / k), covered / len(points))


def coverage(real: ArrayLike, fake: ArrayLike, k: int) -> float:
    """The ``coverage`` of :func:`prdc`, which a single reconstruction has already.

    Raises:
        UserError: As for :func:`prdc`, but any number of reconstructions is enough.
    """
    points, others = as_pair(real, fake, "real", "reconstructed")
    return float(np.mean(knn_distance(points, others).squared <= _reach(points, k, "real")))


def _reach(points: Float64Array, k: int, side: str) -> Float64Array:
    """Squared distance of each point to its k-th nearest other one, shape ``(n,)``."""
    if isinstance(k, bool) or not isinstance(k, int | np.integer):
        raise UserError(f"k must be a whole number of neighbors, got {k!r}. Choose another k.")
    if not 1 <= k < len(points):
        raise UserError(
            f"k = {k} neighbors need k >= 1 and at least {max(k, 1) + 1} {side} records, got "
            f"{len(points)}. Choose another k, or keep more records."
        )
    reach = np.empty(len(points))
    for rows, block in squared_blocks(points, points):
        reach[rows] = np.partition(block, k, axis=1)[:, k]  # the nearest is the point itself
    return reach


def _in_nearest(points: Float64Array, others: Float64Array, reach: Float64Array) -> float:
    """Share of points within the ball of the nearest of ``others``."""
    squared, row = knn_distance(points, others)
    return float(np.mean(squared <= reach[row]))
