"""A small convolutional network in three blocks, for images from 8 × 8 up."""

from __future__ import annotations

from functools import partial

from torch import nn

from seepage.models.norms import NormName, chosen
from seepage.models.shape import image_shape
from seepage.models.staged import Staged, convolution, group_norm
from seepage.records import UserError

GROUPS = 4


def cnn_blocks(
    input_shape: tuple[int, ...], classes: int, *, width: int = 16, norm: NormName = "group"
) -> Staged:
    """Three blocks of 3 × 3 convolutions with w, 2w and 4w channels, then one linear layer.

    Each is a convolution (padding 1), a normalisation and a LeakyReLU of slope 0.2; the first
    two end in a maximum over 2 × 2, the third in the mean of each quarter of the image. At 8 × 8
    they work on 8, 4 and 2 positions a side. 24,805 parameters at one channel, 5 classes and the
    default width, whatever the image size.

    The layout is that of ``mcnn`` in small.

    Args:
        input_shape: ``(channels, h, w)``, both sides at least 8.
        classes: Number of outputs.
        width: Channels w of the first block, at least 1.
        norm: ``"group"``, GroupNorm in 4 groups, or ``"batch"``.

    Returns:
        A model whose ``blocks`` name the three.

    Raises:
        UserError: The inputs are no images, or too small, or an option is out of range.
    """
    channels, _, _ = image_shape("cnn_blocks", input_shape, smallest=8)
    if not isinstance(width, int) or width < 1:
        raise UserError(f"cnn_blocks: width must be a whole number of at least 1, got {width!r}")
    normed = chosen("cnn_blocks", norm, group_norm(GROUPS))
    block = partial(convolution, kernel=3, padding=1, norm=normed)
    return Staged(
        block(channels, width, pool=nn.MaxPool2d(2)),
        block(width, 2 * width, pool=nn.MaxPool2d(2)),
        block(2 * width, 4 * width, pool=nn.AdaptiveAvgPool2d(2)),
        features=16 * width,
        classes=classes,
    )
