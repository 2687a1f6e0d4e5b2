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
    distances_about,
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
        Shape ``(...)``. In float32, with pixels in [0, 1] and the defaults, it is off by about 1e-6
        of its value, and its gradient by 1e-5.

    Raises:
        UserError: ``sigma`` or ``epsilon`` is not positive, or rows are no floating numbers.
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
    if not (x.is_floating_point() and y.is_floating_point()):
        raise UserError(f"HSIC needs floating numbers, got {x.dtype} and {y.dtype}. Convert them.")
    if kernel == "gaussian":
        return _OfGaussians.apply(x, y, sigma, epsilon)
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

    .. math:: M = (\tilde K + \tfrac1m 1 1^T + \rho I)^{-1}, \qquad
        R = I - \rho M - \frac{1}{m (1 + \rho)} 1 1^T, \qquad
        \frac{\partial\, \mathrm{tr}(R_X R_Y)}{\partial K_X} = \rho\, M_X R_Y M_X

    with ρ = εm. It is what automatic differentiation finds, with half the calls, which is most of
    what an inversion pays for in every step. What is m × m is in double precision: it is small, and
    an inverse loses digits. The sum over all entries, along which :math:`\tilde K` is 0 and its
    inverse would be 1/ρ, stands apart for the same reason.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, sigma: float, epsilon: float) -> Tensor:
        alike = x.shape == y.shape and x.dtype == y.dtype
        # both at once where they can be: on so few numbers, what takes time is to ask for them
        sets = [torch.stack((x, y))] if alike else [x.unsqueeze(0), y.unsqueeze(0)]
        rows = [about_mean(part) for part in sets]
        scales = [-1 / (2 * sigma**2 * max(part.shape[-1], 1)) for part in rows]
        apart = [
            distances_about(part).double().mul_(scale)
            for part, scale in zip(rows, scales, strict=True)
        ]
        kernels = (apart[0] if alike else torch.cat(apart)).exp_()
        m, ridge = kernels.shape[-1], epsilon * kernels.shape[-1]
        inverse = kernels - kernels.mean(-1, keepdim=True)
        inverse -= inverse.mean(-2, keepdim=True) - 1 / m
        inverse.diagonal(dim1=-2, dim2=-1).add_(ridge)
        inverse = torch.linalg.inv_ex(inverse).inverse
        shrunk = (inverse * -ridge).sub_(1 / (m * (1 + ridge)))
        shrunk.diagonal(dim1=-2, dim2=-1).add_(1)
        wanted = ctx.needs_input_grad[:2]
        if any(wanted):  # here, where all that it takes is at hand
            pulls = (inverse @ shrunk.flip(0) @ inverse).mul_(kernels)
            of_sets = zip(pulls.split([len(part) for part in rows]), rows, scales, strict=True)
            ask = [True] if alike else wanted
            ctx.slopes = [
                one
                for (pull, part, scale), asked in zip(of_sets, ask, strict=True)
                for one in (_moved(pull * (4 * ridge * scale), part) if asked else (None,))
            ]
        return shrunk.prod(0).sum((-2, -1)).to(torch.promote_types(x.dtype, y.dtype))

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        if torch.is_grad_enabled():  # else it would pass for a constant
            raise RuntimeError(
                "the gradient of normalized_hsic with two Gaussian kernels cannot be "
                "differentiated again; biased_hsic and coco have second derivatives"
            )
        outer = slopes[0][..., None, None]
        of_x, of_y = (None if own is None else (own * outer).to(own.dtype) for own in ctx.slopes)
        return of_x, of_y, None, None


def _moved(pulls: Tensor, rows: Tensor) -> Tensor:
    """``Σ_j W_ij (x_i - x_j)``: what the pull of each pair of rows adds up to."""
    pulls = pulls.to(rows.dtype)
    return (pulls.sum(-1, keepdim=True) * rows).sub_(pulls @ rows)


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
