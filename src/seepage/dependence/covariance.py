"""Dependence as covariance: the biased HSIC, and the constrained covariance."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from seepage.dependence.kernels import Kernel, centre, matrix, nothing, paired_rows, safe_root
from seepage.records import UserError

Norm = Literal["spectral", "frobenius"]
"""What is taken of the product of two kernel matrices."""


def biased_hsic(
    x: Tensor, y: Tensor, *, sigma: float | None = None, kernel: Kernel = "gaussian"
) -> Tensor:
    r"""The Hilbert-Schmidt independence criterion, in its biased estimate.

    .. math:: \frac{\mathrm{tr}(\tilde K \tilde L)}{(m - 1)^2}

    In [0, 1] with Gaussian kernels; of independent rows it falls with 1/m.

    Args:
        x: Rows, shape ``(..., m, p)``.
        y: Their partners, shape ``(..., m, q)``.
        sigma: Width of the Gaussian kernels. None takes σ²p as the median squared distance of two
            rows, for ``x`` and for ``y``, of each leading index: then the unit of neither matters.
            Gradients take that median as a constant.
        kernel: Of ``y``.

    Returns:
        Shape ``(...)``.

    Raises:
        UserError: ``sigma`` is not positive.
        ValueError: The numbers of rows differ.

    References:
        | Measuring Statistical Dependence with Hilbert-Schmidt Norms (Gretton et al., 2005)

    Differs from the released code of FedInverse, whose median rule divides squared distances by the
    square of a squared distance.
    """
    m = paired_rows(x, y)
    if m < 2:
        return nothing(x, y)
    first, second = _centred(x, y, sigma, kernel)
    return (first * second).sum((-2, -1)) / (m - 1) ** 2


def coco(
    x: Tensor,
    y: Tensor,
    *,
    sigma: float = 5.0,
    kernel: Kernel = "gaussian",
    norm: Norm = "spectral",
) -> Tensor:
    r"""The constrained covariance.

    .. math:: \frac1m \sqrt{\lVert \tilde K \tilde L \rVert}

    Args:
        x: Rows, shape ``(..., m, p)``.
        y: Their partners, shape ``(..., m, q)``.
        sigma: Width σ > 0 of the Gaussian kernels.
        kernel: Of ``y``.
        norm: ``spectral``, the largest singular value, as in the paper; or ``frobenius``, never
            smaller, as in the released code of BiDO and FedInverse.

    Returns:
        Shape ``(...)``, ≥ 0.

    Raises:
        UserError: ``sigma`` is not positive, or there is no such norm.
        ValueError: The numbers of rows differ.

    References:
        | Kernel Methods for Measuring Independence (Gretton et al., 2005)
        | Bilateral Dependency Optimization (Peng et al., 2022), https://arxiv.org/abs/2206.05483
    """
    if norm not in ("spectral", "frobenius"):
        raise UserError(f"norm must be spectral or frobenius, got {norm!r}.")
    m = paired_rows(x, y)
    if m < 2:
        return nothing(x, y)
    first, second = _centred(x, y, sigma, kernel)
    size = torch.linalg.matrix_norm(first @ second, 2 if norm == "spectral" else "fro")
    return safe_root(size) / m


def _centred(x: Tensor, y: Tensor, sigma: float | None, kernel: Kernel) -> Tensor:
    """The centred kernel matrices of both, ``(2, ..., m, m)``.

    Both at once where their shapes allow it: on a batch of an attack, most of the time is spent on
    calls and little on numbers.
    """
    if x.shape == y.shape and kernel == "gaussian":
        pair = matrix(torch.stack((x, y)), sigma, kernel)
    else:
        pair = torch.stack((matrix(x, sigma, "gaussian"), matrix(y, sigma, kernel)))
    return centre(pair)
