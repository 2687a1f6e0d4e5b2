"""Generator and discriminator of images of any even size.

Source: Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks
(Radford et al., 2016). Its 64 × 64 pixels are one case among others here.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from seepage.records import UserError

NOISE = 100
"""Length of the noise an image is made from."""

WIDTH, WIDEST = 64, 512
"""Channels next to the image, doubled with every halving of its sides, and the most there are."""

SMALLEST = 4
"""Sides are halved as long as they are even and no side gets shorter than this."""


def generator(
    channels: int, height: int, width: int, *, more: int = 0, first: int = WIDTH
) -> nn.Sequential:
    """A network that makes an image in [-1, 1] of ``(100 + more, 1, 1)`` numbers.

    On the meta device: shapes without values, see :func:`fresh`. ``more`` numbers beside the noise
    say what the image is to show; ``first`` are the channels next to the image. It normalises by
    the statistics of the batch at hand, always.

    Raises:
        UserError: A side is odd, or shorter than 8.
    """
    sides, widths = _scales(height, width, first)
    with torch.device("meta"):
        up = [nn.ConvTranspose2d(NOISE + more, widths[-1], sides[-1], bias=False), *_up(widths[-1])]
        for near, far in pairwise(widths):
            up[3:3] = [nn.ConvTranspose2d(far, near, 4, 2, 1, bias=False), *_up(near)]
        return nn.Sequential(*up, nn.ConvTranspose2d(widths[0], channels, 4, 2, 1), nn.Tanh())


def discriminator(channels: int, height: int, width: int, *, first: int = WIDTH) -> nn.Sequential:
    """A network that makes one number of an image; on the meta device, as :func:`generator`.

    Raises:
        UserError: A side is odd, or shorter than 8.
    """
    sides, widths = _scales(height, width, first)
    with torch.device("meta"):
        down = [nn.Conv2d(channels, widths[0], 4, 2, 1), nn.LeakyReLU(0.2)]
        for near, far in pairwise(widths):
            down += [nn.Conv2d(near, far, 4, 2, 1, bias=False), _norm(far), nn.LeakyReLU(0.2)]
        return nn.Sequential(*down, nn.Conv2d(widths[-1], 1, sides[-1]))


def fresh(network: nn.Sequential, device: torch.device, rng: torch.Generator) -> nn.Sequential:
    """With weights from N(0, 0.02²), around 1 in normalisation layers, and biases of 0."""
    made = network.to_empty(device=device)
    with torch.no_grad():
        for layer in made:
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.BatchNorm2d):
                drawn = 0.02 * torch.randn(layer.weight.shape, generator=rng)
                layer.weight.copy_(drawn + isinstance(layer, nn.BatchNorm2d))
                if layer.bias is not None:
                    layer.bias.zero_()
    return made


def noise(count: int, like: Tensor, rng: torch.Generator) -> Tensor:
    """Standard normal noise ``(count, 100, 1, 1)`` of the type and on the device of ``like``."""
    return torch.randn(count, NOISE, 1, 1, generator=rng).to(like)


def _scales(height: int, width: int, first: int) -> tuple[list[tuple[int, int]], list[int]]:
    """Sides from the image's down, and channels at each but the image's own."""
    if any(side % 2 or side < 2 * SMALLEST for side in (height, width)):
        raise UserError(
            f"images are made with even sides of at least {2 * SMALLEST} pixels, got "
            f"{height} × {width}. Resize them, or do without generated images."
        )
    sides = [(height, width)]
    while all(side % 2 == 0 and side >= 2 * SMALLEST for side in sides[-1]):
        sides.append((sides[-1][0] // 2, sides[-1][1] // 2))
    return sides, [min(first * 2**depth, WIDEST) for depth in range(len(sides) - 1)]


def _up(width: int) -> list[nn.Module]:
    return [_norm(width), nn.ReLU()]


def _norm(width: int) -> nn.Module:
    return nn.BatchNorm2d(width, track_running_stats=False)
