"""DenseNet-BC for small images.

Sources: Huang et al., Densely Connected Convolutional Networks (CVPR 2017),
https://arxiv.org/abs/1608.06993, which states the layout; Chen and Pattabiraman, Overconfidence is
a Dangerous Thing (NDSS 2024), https://arxiv.org/abs/2307.01610, whose CIFAR models have depth 100
and growth 12 without dropout.
"""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor, nn

from seepage.models.norms import Norm, NormName, chosen
from seepage.models.shape import image_shape
from seepage.records import UserError

BLOCKS = 3
BOTTLENECK = 4
COMPRESSION = 2
GROUP = 6
"""Channels that share a mean in group normalisation: at growth 12 the largest number that divides
the width of every layer."""


class Dense(nn.Module):
    """A layer that hands on its input with ``growth`` new channels behind it."""

    def __init__(self, channels: int, growth: int, norm: Norm) -> None:
        super().__init__()
        inner = BOTTLENECK * growth
        self.new = nn.Sequential(
            norm(channels),
            nn.ReLU(),
            nn.Conv2d(channels, inner, 1, bias=False),
            norm(inner),
            nn.ReLU(),
            nn.Conv2d(inner, growth, 3, padding=1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.new(x)], dim=1)


def densenet(
    input_shape: tuple[int, ...],
    classes: int,
    *,
    depth: int = 100,
    growth: int = 12,
    norm: NormName = "group",
) -> nn.Sequential:
    r"""Three blocks in which every layer reads the outputs of all layers before it.

    A 3 × 3 convolution to 2·growth channels; three blocks of (depth − 4)/6 layers, each
    norm-ReLU-1×1 to 4·growth and norm-ReLU-3×3 to growth channels; between blocks norm-ReLU-1×1 to
    half the channels and 2 × 2 mean pooling; norm-ReLU, the mean of each channel, one linear layer.
    At 32 × 32 the blocks work on 32, 16 and 8 positions a side. 769,162 parameters at 10 classes,
    800,032 at 100, whatever the image size and the norm.

    Convolutions have no biases and start from :math:`N(0, \sigma^2)` with
    :math:`\sigma = \sqrt{2 / (k^2 c_\mathrm{out})}`, norms from scale 1 and shift 0, the linear
    layer as torch starts it.

    Both papers use ``norm="batch"``, with which a record's gradient in training depends on its
    batch. The default is therefore ``"group"``, as in ``resnet18``: as many groups as divide
    the channels evenly with at least 6 in each. It is not what the papers measured.

    Args:
        input_shape: ``(channels, h, w)``, both sides multiples of 4 and at least 8.
        classes: Number of outputs.
        depth: Layers with weights on the longest way through; 6·n + 4 with n ≥ 1.
        growth: Channels that a layer adds, at least 1.
        norm: ``"group"`` or ``"batch"``.

    Raises:
        UserError: The inputs are no images of such sides, or an option is out of range.
    """
    channels, _, _ = image_shape("densenet", input_shape, smallest=8, multiple=4)
    layers, normalised = _layers(depth), chosen("densenet", norm, _group_norm)
    _check_growth(growth)
    width = 2 * growth
    parts: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1, bias=False)]
    for block in range(BLOCKS):
        if block:
            parts += _transition(width, normalised)
            width //= COMPRESSION
        parts += [Dense(width + i * growth, growth, normalised) for i in range(layers)]
        width += layers * growth
    end = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes)]
    model = nn.Sequential(*parts, normalised(width), nn.ReLU(), *end)
    model.apply(_start)
    return model


def _transition(channels: int, norm: Norm) -> list[nn.Module]:
    narrow = nn.Conv2d(channels, channels // COMPRESSION, 1, bias=False)
    return [norm(channels), nn.ReLU(), narrow, nn.AvgPool2d(2)]


def _start(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv2d):
        high, wide = layer.kernel_size
        nn.init.normal_(layer.weight, std=sqrt(2 / (high * wide * layer.out_channels)))


def _group_norm(channels: int) -> nn.GroupNorm:
    most = max(channels // GROUP, 1)
    return nn.GroupNorm(next(g for g in range(most, 0, -1) if channels % g == 0), channels)


def _layers(depth: int) -> int:
    if not isinstance(depth, int) or depth < 10 or (depth - 4) % 6:
        raise UserError(
            f"densenet: depth must be 6·n + 4 with n of at least 1, such as 22, 40 or 100, "
            f"got {depth!r}"
        )
    return (depth - 4) // 6


def _check_growth(growth: int) -> None:
    if not isinstance(growth, int) or growth < 1:
        raise UserError(f"densenet: growth must be a whole number of at least 1, got {growth!r}")
