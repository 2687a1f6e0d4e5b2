"""FedInverse's regularizer: how much the two halves of a batch of images depend on each other."""

from __future__ import annotations

import math
from functools import partial

from torch import Tensor

from seepage import dependence
from seepage.inversion.contract import Regularizer
from seepage.inversion.settings import Scale, checked


def normalized_hsic(x: Tensor, y: Tensor, *, sigma: float = 5.0, epsilon: float = 1e-5) -> Tensor:
    """The normalized HSIC of two batches of images, or of anything else, one row a sample.

    :func:`seepage.dependence.normalized_hsic` with Gaussian kernels; that one takes many batches at
    once. Here the first dim counts samples and all others are flattened.

    Args:
        x: Samples, shape ``(m, ...)``, such as images ``(m, c, h, w)``.
        y: As many, shape ``(m, ...)``.
        sigma: Width of the kernels, in root-mean-square distance of two samples.
        epsilon: Ridge.

    Returns:
        One number in [0, m - 1], shape ``()``, differentiable.

    Raises:
        UserError: ``sigma`` or ``epsilon`` is not positive.
        ValueError: The numbers of samples differ.
    """
    first, second = (part.reshape(len(part), math.prod(part.shape[1:])) for part in (x, y))
    return dependence.normalized_hsic(first, second, sigma=sigma, epsilon=epsilon)


@checked
def hsic(*, weight: float = 0.05, sigma: Scale = 5.0) -> Regularizer:
    r"""Add the normalized HSIC of a group's two halves to what is minimised.

    .. math:: \lambda \, \mathrm{tr}(R_A R_B)

    *A* are the first ⌊b/2⌋ images of a group of *b* and *B* the next ⌊b/2⌋; an odd one is left out.
    Below four images there is nothing to compare, and the penalty is 0.

    **A positive weight contracts**: it draws the images of a half together and makes the batch less
    diverse; a negative one drives them apart. For two images a half the measure is

    .. math:: \frac{1 - k_A}{1 - k_A + 2\varepsilon} \cdot \frac{1 - k_B}{1 - k_B + 2\varepsilon}

    with *k* the kernel of the two: it rises with either distance, and how the halves are paired
    does not enter. FedInverse speaks of a diversity that is adjusted. Adjusted it is, downwards for
    its sign.

    Args:
        weight: λ, of either sign.
        sigma: Width of the kernels, in root-mean-square distance of two images.

    Raises:
        UserError: An option is out of range.

    References:
        | FedInverse (Wu et al., 2024), https://openreview.net/forum?id=nTNgkEIfeb

    Differs from the released code, which cuts whole batches, of GMI and KED-MI with many labels in
    them. Here a group is what is cut, and whoever calls decides what stands in it.
    """
    return partial(_hsic, weight, sigma)


def halves(images: Tensor) -> tuple[Tensor, Tensor]:
    """Groups of images ``(g, b, ...)`` cut in two by position: rows, twice ``(g, b // 2, p)``."""
    rows = images.flatten(2)
    half = rows.shape[1] // 2
    even = rows if rows.shape[1] == 2 * half else rows[:, : 2 * half]
    first, second = even.unflatten(1, (2, half)).unbind(1)
    return first, second


def _hsic(weight: float, sigma: float, images: Tensor, latents: Tensor) -> Tensor:
    return weight * dependence.normalized_hsic(*halves(images), sigma=sigma)
