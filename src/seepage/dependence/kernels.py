"""Kernel matrices of rows, and how they are centred."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from seepage.records import UserError

Kernel = Literal["gaussian", "linear"]
"""Of the second argument; the first always has the Gaussian one."""


def gaussian_kernel(rows: Tensor, *, sigma: float) -> Tensor:
    """``K`` of rows ``(..., m, p)``, shape ``(..., m, m)``, with ones on its diagonal.

    Raises:
        UserError: ``sigma`` is not positive.
    """
    return _exponent(rows, sigma).exp()


def squared_distances(rows: Tensor) -> Tensor:
    """Squared Euclidean distances of rows ``(..., m, p)``, ``(..., m, m)``, ≥ 0, diagonal 0.

    By inner products, so that memory is m² and not m²p; about the mean row, so that little cancels.
    """
    return distances_about(about_mean(rows))


def distances_about(about: Tensor) -> Tensor:
    """:func:`squared_distances` of rows that are about their mean already."""
    products = about @ about.mT
    # from the products themselves, so that the diagonal cancels to the last bit
    squares = products.diagonal(dim1=-2, dim2=-1)
    sums = squares.unsqueeze(-1) + squares.unsqueeze(-2)
    return torch.sub(sums, products, alpha=2).clamp_min(0)


def safe_root(values: Tensor) -> Tensor:
    """Square roots of ``values >= 0``, with gradient 0 in place of infinity at 0."""
    above = values > 0
    return torch.where(above, values, 1).sqrt() * above


def check_sigma(sigma: float) -> None:
    """Refuse a width that is not positive and finite.

    Raises:
        UserError: It is not.
    """
    if not 1e-100 < sigma < 1e100:  # its square has to be a number, too
        raise UserError(
            f"sigma must be finite and > 0, got {sigma}. It is a root-mean-square distance of rows."
        )


def paired_rows(x: Tensor, y: Tensor) -> int:
    """How many pairs of rows there are.

    Raises:
        ValueError: The numbers of rows differ.
    """
    if x.shape[-2] != y.shape[-2]:
        raise ValueError(
            f"rows come in pairs, got shapes {tuple(x.shape)} and {tuple(y.shape)}: "
            "the last but one must agree"
        )
    return x.shape[-2]


def nothing(x: Tensor, y: Tensor) -> Tensor:
    """Zeros that gradients pass through: the sum of no rows, which a NaN in one cannot reach."""
    return x[..., :0, :].sum((-2, -1)) + y[..., :0, :].sum((-2, -1))


def matrix(rows: Tensor, sigma: float | None, kernel: Kernel) -> Tensor:
    """A kernel matrix, but for what centring takes away."""
    if kernel == "gaussian":
        # K - 1 keeps the digits that K, which is close to 1 for wide kernels, would lose
        return _exponent(rows, sigma).expm1()
    if kernel == "linear":
        about = about_mean(rows)
        return about @ about.mT
    raise UserError(f"kernel must be gaussian or linear, got {kernel!r}.")


def centre(matrix: Tensor) -> Tensor:
    """``H K H`` of symmetric matrices ``(..., m, m)``."""
    across = matrix.mean(-1, keepdim=True)
    return matrix - across - across.mT + across.mean(-2, keepdim=True)


def about_mean(rows: Tensor) -> Tensor:
    """Rows less their mean row."""
    return rows - rows.mean(-2, keepdim=True)


def _exponent(rows: Tensor, sigma: float | None) -> Tensor:
    if sigma is None:
        squared = squared_distances(rows)
        return squared / (-2 * _median(rows.detach(), squared.detach()))
    check_sigma(sigma)
    squared = squared_distances(rows)
    return squared / (-2 * sigma**2 * rows.shape[-1])


def _median(rows: Tensor, squared: Tensor) -> Tensor:
    """Of squared distances of distinct rows, ``(..., 1, 1)``.

    Rounding sets equal rows apart, by some units in the last place of their squares.
    """
    limits = torch.finfo(rows.dtype)
    squares = about_mean(rows).square().sum(-1).mean(-1)[..., None, None]
    rounding = 10 * limits.eps * squares + limits.tiny
    apart = squared.masked_fill(squared <= rounding, float("nan")).flatten(-2)
    return apart.nanmedian(-1).values[..., None, None].nan_to_num(nan=1.0)
