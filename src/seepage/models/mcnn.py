"""The network for MNIST of the studies of model inversion.

Sources: Wu et al., FedInverse (ICLR 2024), released code, and Zhang et al., The secret revealer
(GMI, CVPR 2020), from whose code it comes.
"""

from __future__ import annotations

from functools import partial

from torch import nn

from seepage.models.norms import NormName, chosen
from seepage.models.shape import image_shape
from seepage.models.staged import Staged, convolution, group_norm

GROUPS = 32

SMALLEST = 28
"""Smallest side: 28 → 14 → 10 → 5 → 1 positions with a padding of 3."""


def mcnn(input_shape: tuple[int, ...], classes: int, *, norm: NormName = "group") -> Staged:
    """Three blocks of 64, 128 and 256 channels with kernels of 7, 5 and 5, then one linear layer.

    Each is a convolution, a normalisation and a LeakyReLU of slope 0.2; the first two end in
    a maximum over 2 × 2. The first convolution has a padding of 1, the others none: 32 → 28 → 14 →
    10 → 5 → 1 positions a side. Images with a side below 32 get a padding of 3, with which 28 × 28
    gives the same numbers of positions. Where larger images leave more than one position, their
    mean is taken. 1,029,765 parameters at one channel and 5 classes.

    The released code has ``norm="batch"``, and enlarges MNIST to 32 × 32.

    Args:
        input_shape: ``(channels, h, w)``, both sides at least 28.
        classes: Number of outputs.
        norm: ``"group"``, GroupNorm in 32 groups, or ``"batch"``.

    Returns:
        A model whose ``blocks`` name the three.

    Raises:
        UserError: The inputs are no images, or smaller than 28 × 28, or there is no such norm.
    """
    channels, height, width = image_shape("mcnn", input_shape, smallest=SMALLEST)
    padding = 1 if min(height, width) >= 32 else 3
    block = partial(convolution, norm=chosen("mcnn", norm, group_norm(GROUPS)))
    return Staged(
        block(channels, 64, 7, padding=padding, pool=nn.MaxPool2d(2)),
        block(64, 128, 5, padding=0, pool=nn.MaxPool2d(2)),
        block(128, 256, 5, padding=0, pool=nn.AdaptiveAvgPool2d(1)),
        features=256,
        classes=classes,
    )
