"""VGG16 with normalisation, for images of 64 × 64.

Sources: Simonyan and Zisserman, Very deep convolutional networks for large-scale image recognition
(ICLR 2015), https://arxiv.org/abs/1409.1556, configuration D; Wu et al., FedInverse (ICLR 2024),
released code, whose network for CelebA has its convolutions and a single linear layer.
"""

from __future__ import annotations

from torch import nn

from seepage.models.norms import Norm, NormName, chosen
from seepage.models.shape import image_shape
from seepage.models.staged import Staged, group_norm

STAGES = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))
"""Convolutions and channels of each stage."""

GROUPS = 32


def vgg16(input_shape: tuple[int, ...], classes: int, *, norm: NormName = "group") -> Staged:
    """Five stages of 3 × 3 convolutions, 13 in all, each stage pooled, then one linear layer.

    Every convolution (padding 1) is followed by a normalisation and a ReLU, every stage by
    a maximum over 2 × 2: 64 → 32 → 16 → 8 → 4 → 2 positions a side, 2,048 features. 16,772,136
    parameters at 64 × 64, three channels and 1,000 classes.

    The released code has ``norm="batch"``, and differs: it normalises the features once more, and
    starts from weights that ImageNet taught, where this starts from random ones, as nothing is
    downloaded.

    Args:
        input_shape: ``(channels, h, w)``, both sides at least 32.
        classes: Number of outputs.
        norm: ``"group"``, GroupNorm in 32 groups, or ``"batch"``.

    Returns:
        A model whose ``blocks`` name the five stages.

    Raises:
        UserError: The inputs are no images, or smaller than 32 × 32, or there is no such norm.
    """
    channels, height, width = image_shape("vgg16", input_shape, smallest=2 ** len(STAGES))
    layer_norm, stages = chosen("vgg16", norm, group_norm(GROUPS)), list[nn.Module]()
    for count, channels_out in STAGES:
        layers: list[nn.Module] = []
        for _ in range(count):
            layers += _layer(channels, channels_out, layer_norm)
            channels = channels_out
        stages.append(nn.Sequential(*layers, nn.MaxPool2d(2)))
    positions = (height >> len(STAGES)) * (width >> len(STAGES))
    return Staged(*stages, features=channels * positions, classes=classes)


def _layer(channels_in: int, channels_out: int, norm: Norm) -> list[nn.Module]:
    return [
        nn.Conv2d(channels_in, channels_out, 3, padding=1),
        norm(channels_out),
        nn.ReLU(),
    ]
