"""What can be added to an inversion's loss so that its images differ more, or less.

All look at the images of a group, some also at the latents they were made of. Latents are a
yardstick: a penalty has no gradient to them but through the images, for else it would pay to move
the yardstick instead of what it measures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from seepage.dependence import (
    Norm,
    biased_hsic,
    gaussian_kernel,
    safe_root,
    squared_distances,
)
from seepage.dependence import coco as covariance
from seepage.inversion.contract import Regularizer
from seepage.inversion.hsic import halves, hsic
from seepage.inversion.settings import Scale, checked
from seepage.records import UserError, suggestion

CLOSEST = 1e-5
"""Added to the distance of two latents, since those of equal images may be equal."""


@checked
def coco(*, weight: float = 0.05, sigma: Scale = 5.0, norm: Norm = "spectral") -> Regularizer:
    r"""Add the constrained covariance of a group's two halves to what is minimised.

    .. math:: \frac{\lambda}{m} \sqrt{\lVert \tilde K_A \tilde K_B \rVert}

    The halves are those of ``hsic``, and so is the direction: a positive weight contracts, where
    images are closer than ``sigma``. Unlike ``hsic`` it does not saturate.

    Args:
        weight: λ, of either sign.
        sigma: Width of the kernels, in root-mean-square distance of two images.
        norm: ``spectral``, or ``frobenius`` as in the released code of FedInverse.

    Raises:
        UserError: An option is out of range.

    References:
        | Kernel Methods for Measuring Independence (Gretton et al., 2005)
        | FedInverse (Wu et al., 2024), https://openreview.net/forum?id=nTNgkEIfeb
    """
    return partial(_coco, weight, sigma, norm)


@checked
def hsic_biased(*, weight: float = 1.0) -> Regularizer:
    r"""Reward that images depend on their latents.

    .. math:: -\lambda \, \frac{\mathrm{tr}(\tilde K_Z \tilde K_{G(Z)})}{(b - 1)^2}

    **A positive weight guards against collapse**: it drives images apart, most where their latents
    are apart. Widths follow the medians of a group, so the value knows no unit: it says how well
    images follow latents, not how far apart they are. Gradients take the medians as constants; else
    none could spread a group as a whole.

    Args:
        weight: λ, of either sign; the reward lies in [0, λ].

    Raises:
        UserError: ``weight`` is not a finite number.

    References:
        | Measuring Statistical Dependence with Hilbert-Schmidt Norms (Gretton et al., 2005)
    """
    return partial(_hsic_biased, weight)


@checked
def mode_seeking(*, weight: float = 0.5) -> Regularizer:
    r"""Reward that latents apart give images apart.

    .. math:: -\lambda \, \underset{i < j}{\mathrm{mean}} \;
        \frac{\lVert x_i - x_j \rVert}{\lVert z_i - z_j \rVert}

    Plain Euclidean norms, of all pixels and of all latent numbers. **A positive weight drives
    images apart.**

    Args:
        weight: λ, of either sign.

    Raises:
        UserError: ``weight`` is not a finite number.

    References:
        | Mode Seeking Generative Adversarial Networks (Mao et al., 2019)
        | The Secret Revealer (Zhang et al., 2020), https://arxiv.org/abs/1911.07135

    Differs from both, which train a generator by it; and from the latter, whose distances are of
    the target's features.
    """
    return partial(_mode_seeking, weight)


@checked
def log_det(*, weight: float = 0.05, sigma: Scale = 0.5, ridge: Scale = 1e-3) -> Regularizer:
    r"""Reward the volume that a group's images span, as a determinantal point process does.

    .. math:: -\lambda \, \log \det \frac{K + r I}{1 + r}

    The division makes the diagonal 1. So the penalty is 0 for one image alone or for images far
    apart, and about :math:`\lambda (b - 1) \log (1/r)` for *b* equal ones. **A positive weight
    drives images apart.**

    Args:
        weight: λ, of either sign.
        sigma: Width of the kernel, in root-mean-square distance of two images: those much farther
            apart than this do not repel each other.
        ridge: *r* > 0.

    Raises:
        UserError: An option is out of range.

    References:
        | Determinantal Point Processes for Machine Learning (Kulesza and Taskar, 2012)
    """
    return partial(_log_det, weight, sigma, ridge)


@dataclass(frozen=True, kw_only=True)
class Penalty:
    """An entry of the table of regularizers.

    Attributes:
        factory: ``(**options) -> Regularizer``; a weight of zero makes it exactly zero.
        summary: One line for tables, with what a positive weight does.
        paper: Where it comes from, with its year.
        options: What each option means.
    """

    factory: Callable[..., Regularizer]
    summary: str
    paper: str
    options: Mapping[str, str] = field(default_factory=dict)


WIDTH = "width of the kernel, in root-mean-square distance of two images"

REGULARIZERS: dict[str, Penalty] = {
    "coco": Penalty(
        factory=coco,
        summary="constrained covariance of a group's halves; a positive weight contracts",
        paper="Kernel Methods for Measuring Independence (Gretton et al., 2005)",
        options={
            "weight": "of either sign",
            "sigma": WIDTH,
            "norm": "spectral, or frobenius as in the released code",
        },
    ),
    "hsic": Penalty(
        factory=hsic,
        summary="normalized HSIC of a group's halves; a positive weight contracts",
        paper="FedInverse (Wu et al., 2024)",
        options={"weight": "of either sign", "sigma": WIDTH},
    ),
    "hsic_biased": Penalty(
        factory=hsic_biased,
        summary="HSIC of latents and images; a positive weight drives apart what latents part",
        paper="Measuring Statistical Dependence with Hilbert-Schmidt Norms (Gretton et al., 2005)",
        options={"weight": "of either sign"},
    ),
    "log_det": Penalty(
        factory=log_det,
        summary="log-determinant of a group's kernel matrix; a positive weight drives apart",
        paper="Determinantal Point Processes for Machine Learning (Kulesza and Taskar, 2012)",
        options={
            "weight": "of either sign",
            "sigma": WIDTH,
            "ridge": "added to the kernel matrix's diagonal of ones",
        },
    ),
    "mode_seeking": Penalty(
        factory=mode_seeking,
        summary="distance of images over that of latents; a positive weight drives apart",
        paper="Mode Seeking Generative Adversarial Networks (Mao et al., 2019)",
        options={"weight": "of either sign"},
    ),
}


def build_regularizer(name: str, /, **options: object) -> Regularizer | None:
    """The regularizer called ``name``, made with ``options``; None for ``none``.

    Raises:
        UserError: No such regularizer or option, with the nearest name there is; or an option's
            value is out of range.
    """
    known = ["none", *REGULARIZERS]
    if name not in known:
        raise UserError(f"there is no regularizer {name!r}; {suggestion(name, known)}")
    meanings = {} if name == "none" else REGULARIZERS[name].options
    for key in options:
        if key not in meanings:
            raise UserError(
                f"regularizer {name!r} has no option {key!r}; {suggestion(key, meanings)}"
            )
    return None if name == "none" else REGULARIZERS[name].factory(**options)


def _coco(weight: float, sigma: float, norm: Norm, images: Tensor, latents: Tensor) -> Tensor:
    return weight * covariance(*halves(images), sigma=sigma, norm=norm)


def _hsic_biased(weight: float, images: Tensor, latents: Tensor) -> Tensor:
    return -weight * biased_hsic(latents.detach(), images.flatten(2))


def _mode_seeking(weight: float, images: Tensor, latents: Tensor) -> Tensor:
    apart = safe_root(squared_distances(images.flatten(2)))
    count = images.shape[1]
    ratios = apart / (safe_root(squared_distances(latents.detach())) + CLOSEST)
    # the diagonal is 0 / CLOSEST; a single image has no pairs
    return -weight * ratios.sum((1, 2)) / max(count * (count - 1), 1)


def _log_det(weight: float, sigma: float, ridge: float, images: Tensor, latents: Tensor) -> Tensor:
    kernel = gaussian_kernel(images.flatten(2), sigma=sigma)
    ridged = kernel + ridge * torch.eye(kernel.shape[-1], dtype=kernel.dtype, device=kernel.device)
    return -weight * torch.linalg.slogdet(ridged / (1 + ridge)).logabsdet
