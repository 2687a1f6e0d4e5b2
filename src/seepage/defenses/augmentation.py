"""Train on images that are cropped, turned and recolored anew in every batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import torch
from torch import Tensor

from seepage.protocols import Defense
from seepage.records import UserError

LUMA = (0.299, 0.587, 0.114)
"""What red, green and blue weigh in the gray of an image (ITU-R BT.601)."""


def augmentation(
    *,
    strength: float = 1.0,
    padding: int = 4,
    flip: float = 0.5,
    vertical_flip: float = 0.5,
    degrees: float = 45.0,
    brightness: float = 0.25,
    contrast: float = 0.8,
    mean: Sequence[float] = (0.0,),
    std: Sequence[float] = (1.0,),
) -> Defense:
    r"""Change every image of a batch at random, and leave its target as it is.

    In this order, with *s* the strength and every image drawing for itself:

    | crop: shifted by whole pixels, uniform in [−p, p] along both axes, p = s · padding rounded
    | flips: left to right with chance s · flip, upside down with chance s · vertical_flip
    | rotation: about the center by an angle uniform in [−s · degrees, s · degrees]; every pixel
      takes the value of the nearest one
    | brightness: :math:`x \mapsto [f x]_0^1`, f uniform in [max(0, 1 − a), 1 + a],
      a = s · brightness
    | contrast: :math:`x \mapsto [m + f (x - m)]_0^1`, m the mean of the image's gray, f drawn
      like that of brightness

    What comes in from outside the image is black. Colors are changed as raw pixels in [0, 1],
    which ``mean`` and ``std`` lead back to.

    Guarantees:
        * neutral: with ``strength = 0``, or every part 0, it is no defense, bit for bit;
        * apart: an image's change depends on no other image of the batch;
        * coupled: all strengths, and all choices of parts, draw the same numbers.

    Args:
        strength: Scales all the others, in [0, 1].
        padding: Largest shift in pixels, ≥ 0.
        flip: Chance of a flip left to right, in [0, 1].
        vertical_flip: Chance of a flip upside down, in [0, 1].
        degrees: Largest angle, in [0, 180].
        brightness: Largest change of the factor, ≥ 0.
        contrast: Largest change of the factor, ≥ 0.
        mean: What was subtracted from raw pixels, one value a channel or one in all.
        std: What they were divided by, like ``mean``.

    Raises:
        UserError: An amount is out of range; in training, inputs are not images, shape
            ``(b, channels, height, width)``.

    References:
        | FedMIA (Zhu et al., 2025), https://arxiv.org/abs/2402.06289: the defaults are the parts
          of its authors' released code, for CIFAR-100.

    Differs from that code: it is on or off there. Brightness comes before contrast, where
    torchvision draws the order; the two commute up to clipping. The gray of images that have
    neither one nor three channels is the mean of the channels. Many data sets lose their labels'
    meaning under these defaults: digits and letters should have no flips and few degrees.
    """
    if not 0 <= strength <= 1:
        raise UserError(f"augmentation needs strength in [0, 1], got {strength}")
    amounts = Amounts(
        padding=padding,
        flip=flip,
        vertical_flip=vertical_flip,
        degrees=degrees,
        brightness=brightness,
        contrast=contrast,
        mean=tuple(mean),
        std=tuple(std),
    ).times(strength)
    return Defense(batch=partial(_augment, amounts) if amounts.moving or amounts.coloring else None)


MOST = {
    "padding": math.inf,
    "flip": 1,
    "vertical_flip": 1,
    "degrees": 180,
    "brightness": math.inf,
    "contrast": math.inf,
}
"""The amounts and the largest that each may be."""


@dataclass(frozen=True, kw_only=True)
class Amounts:
    """The options of :func:`augmentation` that its strength scales, and the data's mean and std."""

    padding: int
    flip: float
    vertical_flip: float
    degrees: float
    brightness: float
    contrast: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        for name, most in MOST.items():
            value = getattr(self, name)
            if not (0 <= value <= most and value < math.inf):
                limits = ">= 0" if most == math.inf else f"in [0, {most}]"
                raise UserError(f"augmentation needs a finite {name} {limits}, got {value}")

    def times(self, strength: float) -> Amounts:
        """All amounts scaled; the padding to a whole number of pixels."""
        scaled = {name: strength * getattr(self, name) for name in MOST}
        return replace(self, **scaled | {"padding": round(scaled["padding"])})

    @property
    def moving(self) -> bool:
        """Whether pixels change places."""
        return any((self.padding, self.flip, self.vertical_flip, self.degrees))

    @property
    def coloring(self) -> bool:
        """Whether pixels change values."""
        return any((self.brightness, self.contrast))


def _augment(
    amounts: Amounts, inputs: Tensor, targets: Tensor, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    if inputs.dim() != 4:
        raise UserError(
            "augmentation crops, turns and recolors images, inputs of shape (channels, height, "
            f"width); one of these inputs has shape {tuple(inputs.shape[1:])}. Choose data that "
            "are images, or another defense."
        )
    # all that a batch draws, also for parts that are off: the others' draws stay as they are
    draws = torch.rand(len(inputs), 7, generator=rng).to(inputs)
    images = _moved(amounts, inputs, draws[:, :5]) if amounts.moving else inputs
    return (_colored(amounts, images, draws[:, 5:]) if amounts.coloring else images), targets


def _moved(amounts: Amounts, images: Tensor, draws: Tensor) -> Tensor:
    """Crop, flips and rotation: every pixel is one of the image's own, or black."""
    count, channels, height, width = images.shape
    black = -images.new_tensor(amounts.mean) / images.new_tensor(amounts.std)
    # black is one more cell, which costs less than choosing between two images
    cells = torch.cat([images.flatten(2), black.view(1, -1, 1).expand(count, channels, 1)], 2)
    sources = _sources(amounts, draws, height, width).unsqueeze(1)
    return cells.gather(2, sources.expand(-1, channels, -1)).view(images.shape)


def _sources(amounts: Amounts, draws: Tensor, height: int, width: int) -> Tensor:
    """Where each pixel of the result comes from, shape ``(b, height · width)``.

    Numbers of the image's cells, row by row; ``height · width`` stands for black. Steps are undone
    last to first: the rotation, the flips, the crop. The crop has cut the image off by the time it
    is turned, so a place must lie in what is left of it.

    Rows and columns are worked on at once, and in floating point, which is exact for images of up
    to 2^24 pixels: for small images every step costs more than its arithmetic.
    """
    size, center, grid, quarter = _places(height, width, draws.dtype, draws.device)
    spread = math.radians(amounts.degrees)
    shift = (draws[:, :2] * (2 * amounts.padding + 1)).floor_().sub_(amounts.padding).unsqueeze(2)
    chance = size.new_tensor([[amounts.vertical_flip], [amounts.flip]])
    sign = torch.copysign(torch.ones_like(size), draws[:, 2:4, None] - chance)
    # [[cos, sin], [-sin, cos]], as four cosines
    turn = torch.cos((draws[:, 4:, None] * (2 * spread) - spread) + quarter)
    place = (sign * turn).matmul(grid).add_(center).round_()
    low, high = (-shift).clamp_(min=0), size - 1 - shift.clamp(min=0)
    high.masked_fill_(high < low, math.nan)  # shifted by its whole size, nothing is left of it
    outside = place != torch.minimum(torch.maximum(place, low), high)
    row, column = place.add_(shift).unbind(1)
    cells = torch.add(column, row, alpha=width)
    return cells.masked_fill_(outside[:, 0] | outside[:, 1], height * width).long()


def _colored(amounts: Amounts, images: Tensor, draws: Tensor) -> Tensor:
    """Brightness and contrast of the pixels that ``mean`` and ``std`` lead back to."""
    mean, std = (images.new_tensor(v).view(-1, 1, 1) for v in (amounts.mean, amounts.std))
    brighter, steeper = draws.view(-1, 2, 1, 1, 1).unbind(1)
    pixels = torch.addcmul(mean, images, std)
    if amounts.brightness:
        pixels.mul_(_factor(amounts.brightness, brighter)).clamp_(0, 1)
    if amounts.contrast:
        channels = images.shape[1]
        weights = images.new_tensor(LUMA if channels == len(LUMA) else (1 / channels,) * channels)
        gray = (pixels.mean((2, 3)) @ weights).view(-1, 1, 1, 1)
        pixels = torch.lerp(gray, pixels, _factor(amounts.contrast, steeper)).clamp_(0, 1)
    return pixels.sub_(mean).div_(std)


def _factor(amount: float, draw: Tensor) -> Tensor:
    least = max(0.0, 1 - amount)
    return draw * (1 + amount - least) + least


@lru_cache(maxsize=8)
def _places(
    height: int, width: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Constants: size and center along both axes, all places from the center, quarter turns."""
    size = torch.tensor([[height], [width]], dtype=dtype, device=device)
    center = (size - 1) / 2
    rows, columns = (torch.arange(n, dtype=dtype, device=device) for n in (height, width))
    grid = torch.stack([rows.repeat_interleave(width), columns.repeat(height)]) - center
    quarter = torch.tensor([[0.0, -0.5], [0.5, 0.0]], dtype=dtype, device=device) * math.pi
    return size, center, grid, quarter
