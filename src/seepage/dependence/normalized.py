"""The normalized Hilbert-Schmidt independence criterion."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seepage.dependence.kernels import (
    Kernel,
    about_mean,
    centre,
    check_sigma,
    matrix,
    nothing,
    paired_rows,
)
from seepage.records import UserError


def normalized_hsic(
    x: Tensor,
    y: Tensor,
    *,
    sigma: float = 5.0,
    epsilon: float = 1e-5,
    kernel: Kernel = "gaussian",
) -> Tensor:
    r"""The normalized Hilbert-Schmidt independence criterion.

    .. math:: \mathrm{tr}(R_X R_Y), \qquad R_X = \tilde K (\tilde K + \varepsilon m I)^{-1}

    Guarantees:
        * bounded: a number in [0, m - 1], up to rounding.
        * symmetric: with Gaussian kernels, exchanging ``x`` and ``y`` changes nothing.
        * paired: one permutation of the rows of both changes nothing.

    It is no test of dependence on small batches: every eigenvalue of a kernel matrix that is well
    above εm counts as one, so values come close to m - 1 for any rows that differ enough.

    With two Gaussian kernels it has a first derivative alone, and no rule for ``torch.func``: many
    batches are leading dims.

    Args:
        x: Rows, shape ``(..., m, p)``.
        y: Their partners, shape ``(..., m, q)``.
        sigma: Width σ > 0 of the Gaussian kernels.
        epsilon: Ridge ε > 0.
        kernel: Of ``y``.

    Returns:
        Shape ``(...)``. In float32, with pixels in [0, 1] and the defaults, it and its gradient are
        off by about 1e-7 with two Gaussian kernels; with a linear one by 1e-6 and 1e-5.

    Raises:
        UserError: ``sigma`` or ``epsilon`` is not positive.
        ValueError: The numbers of rows differ.

    References:
        | Kernel Measures of Conditional Dependence (Fukumizu et al., 2007), where it is NOCCO
        | FedInverse (Wu et al., 2024), https://openreview.net/forum?id=nTNgkEIfeb

    Differs from the released code of FedInverse, which inverts ``K H + ε m I`` in float32 on the
    CPU, whatever came in. The trace is the same number; in double precision it keeps its digits.
    """
    if not epsilon > 0:
        raise UserError(f"epsilon must be > 0, got {epsilon}. The usual one is 1e-5.")
    m = paired_rows(x, y)
    if m < 2:
        return nothing(x, y)
    check_sigma(sigma)
    if kernel == "gaussian":
        wide = max(x.shape[-1], y.shape[-1])
        return _OfGaussians.apply(_widened(x, wide), _widened(y, wide), sigma, epsilon)
    ridge = epsilon * m
    first = _shrunk(centre(matrix(x, sigma, "gaussian")), ridge)
    narrow = kernel == "linear" and y.shape[-1] < m
    second = (
        _shrunk_product(about_mean(y), ridge)
        if narrow
        else _shrunk(centre(matrix(y, sigma, kernel)), ridge)
    )
    return (first * second.mT).sum((-2, -1))


class _OfGaussians(torch.autograd.Function):
    r"""Both kernels Gaussian, with the gradient written out.

    .. math:: M = (\tilde K + \rho I)^{-1}, \qquad R = I - \rho M, \qquad
        \frac{\partial\, \mathrm{tr}(R_X R_Y)}{\partial K_X} = \rho\, M_X R_Y M_X

    with ρ = εm. It is what automatic differentiation finds, in two thirds of the time: an inversion
    asks in every step, and on so few numbers most of that is calls. In double precision throughout,
    which costs nothing on matrices of this size and keeps the digits that an inverse loses.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, sigma: float, epsilon: float) -> Tensor:
        rows = torch.stack((x, y)).double()
        scale, ridge = 1 / (sigma**2 * rows.shape[-1]), epsilon * rows.shape[-2]
        kernels = _distances(rows).mul_(-scale / 2).exp_()
        inverse = kernels - kernels.mean(-1, keepdim=True)
        inverse -= inverse.mean(-2, keepdim=True)
        inverse.diagonal(dim1=-2, dim2=-1).add_(ridge)
        inverse = torch.linalg.inv_ex(inverse).inverse
        shrunk = inverse * -ridge
        shrunk.diagonal(dim1=-2, dim2=-1).add_(1)
        if any(ctx.needs_input_grad):  # here, where all that it takes is at hand
            # not centred again: rows of M R M sum to 0, as those of R do
            pulls = (inverse @ shrunk.flip(0) @ inverse).mul_(kernels).mul_(-2 * ridge * scale)
            slopes = (pulls.sum(-1, keepdim=True) * rows).sub_(pulls @ rows)
            ctx.save_for_backward(slopes.to(x.dtype))
        return shrunk.prod(0).sum((-2, -1)).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, Tensor, None, None]:
        if torch.is_grad_enabled():  # else it would pass for a constant
            raise RuntimeError(
                "the gradient of normalized_hsic with two Gaussian kernels cannot be "
                "differentiated again; biased_hsic and coco have second derivatives"
            )
        (slope,), (own,) = slopes, ctx.saved_tensors
        of_x, of_y = own * slope[..., None, None]
        return of_x, of_y, None, None


def _distances(rows: Tensor) -> Tensor:
    """Squared distances, about the first row; for double precision, which needs no more care."""
    about = rows - rows[..., :1, :]
    products = about @ about.mT
    squares = products.diagonal(dim1=-2, dim2=-1)
    return (squares.unsqueeze(-1) + squares.unsqueeze(-2)).sub_(products, alpha=2)


def _widened(rows: Tensor, wide: int) -> Tensor:
    """Rows of ``wide`` columns with the same root-mean-square distances."""
    own = rows.shape[-1]
    if own == wide:
        return rows
    return torch.nn.functional.pad(rows * (wide / own) ** 0.5, (0, wide - own))


def _shrunk(matrix: Tensor, ridge: float) -> Tensor:
    return torch.linalg.solve(matrix + _identity(matrix, ridge), matrix)


def _shrunk_product(factor: Tensor, ridge: float) -> Tensor:
    """``_shrunk`` of ``factor factor^T``, by its few columns.

    That matrix has as many directions without any weight as rows exceed columns, and rounding
    fills them: in float32 up to half of a gradient. The smaller product has no such directions.
    """
    inner = factor.mT @ factor
    return factor @ torch.linalg.solve(inner + _identity(inner, ridge), factor.mT)


def _identity(like: Tensor, scale: float) -> Tensor:
    return scale * torch.eye(like.shape[-1], dtype=like.dtype, device=like.device)
