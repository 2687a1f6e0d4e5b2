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
    which ``mean`` and ``std`` lead back to. Only training meets changed images: an audit measures
    its signals on the images as they are.

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
    return _changed(amounts, inputs, draws), targets


def _changed(amounts: Amounts, images: Tensor, draws: Tensor) -> Tensor:
    """The images after the changes that ``draws``, shape ``(b, 7)`` in [0, 1), stand for."""
    fixed = _fixed(amounts, images.shape[1:], images.dtype, images.device)
    chosen = torch.addcmul(fixed.least, draws, fixed.spread).unsqueeze(2)
    if amounts.moving:
        images = _moved(amounts, fixed, images, chosen)
    if amounts.coloring:
        images = _colored(amounts, fixed, images, chosen.unsqueeze(3))
    return images


# In what follows a step costs more than its arithmetic, for images as small as those of benchmarks:
# rows and columns are worked on at once, and what no batch changes is made once.


def _moved(amounts: Amounts, fixed: _Fixed, images: Tensor, chosen: Tensor) -> Tensor:
    """Crop, flips and rotation: every pixel is one of the image's own, or black.

    Pixels are picked from the image in its frame by number, row by row. Steps are undone last to
    first: the rotation, the flips, the crop. The crop has cut the image off by the time it is
    turned, so what a turn brings in from outside the crop is black, whatever was there. Numbers are
    floating-point until they are used, exact up to 2^24 pixels.
    """
    count, channels, height, width = images.shape
    pad, across = amounts.padding, width + 2 * amounts.padding
    framed = fixed.frame.repeat(count, 1, 1, 1)
    framed[:, :, pad : pad + height, pad : pad + width] = images
    sign = torch.copysign(fixed.one, chosen[:, 2:4])
    turn = torch.cos(chosen[:, 4:5] + fixed.quarters)  # [[cos, sin], [-sin, cos]]
    place = (sign * turn).matmul(fixed.grid).add_(fixed.center).round_()
    shift = chosen[:, :2].floor()
    cell = torch.add(place[:, 1], place[:, 0], alpha=across)
    cell.add_(torch.add(shift[:, 1], shift[:, 0], alpha=across))
    if amounts.degrees:
        off = place.sub_(torch.minimum(place.clamp(min=0), fixed.last)).abs_()
        cells = (height + 2 * pad + 1) * across
        # one row or column off the crop is already in the frame's last row, or past it
        cell.add_(off[:, 0] + off[:, 1], alpha=cells).clamp_(max=cells - 1)
    picked = cell.long().unsqueeze(1).expand(-1, channels, -1)
    return framed.flatten(2).gather(2, picked).view(images.shape)


def _colored(amounts: Amounts, fixed: _Fixed, images: Tensor, chosen: Tensor) -> Tensor:
    """Brightness and contrast of the pixels that ``mean`` and ``std`` lead back to."""
    pixels = torch.addcmul(fixed.mean, images, fixed.std)
    if amounts.brightness:
        pixels.mul_(chosen[:, 5:6]).clamp_(0, 1)
    if amounts.contrast:
        gray = (pixels.mean((2, 3)) @ fixed.luma).view(-1, 1, 1, 1)
        pixels = torch.lerp(gray, pixels, chosen[:, 6:7]).clamp_(0, 1)
    return pixels.sub_(fixed.mean).div_(fixed.std)


@dataclass(frozen=True, kw_only=True)
class _Fixed:
    """What is the same for all batches of images of one shape.

    Attributes:
        least: What draws of 0 mean: shift down and right in the frame, chances of flips, angle,
            factors of brightness and contrast.
        spread: What draws of 1 would mean, less that.
        grid: Places of all pixels from the center, rows and columns, ``(2, height · width)``.
        center: What they are counted from, ``(2, 1)``.
        last: The last row and the last column, ``(2, 1)``.
        quarters: Angles that make cosines sines, ``(2, 2)``.
        one: Of shape ``(2, 1)``.
        frame: A black image with the padding on all sides and one row more, which stays black.
        mean: ``(channels or 1, 1, 1)``.
        std: ``(channels or 1, 1, 1)``.
        luma: What channels weigh in the gray, ``(channels,)``.
    """

    least: Tensor
    spread: Tensor
    grid: Tensor
    center: Tensor
    last: Tensor
    quarters: Tensor
    one: Tensor
    frame: Tensor
    mean: Tensor
    std: Tensor
    luma: Tensor


@lru_cache(maxsize=8)
def _fixed(amounts: Amounts, shape: torch.Size, dtype: torch.dtype, device: torch.device) -> _Fixed:
    tensor = partial(torch.tensor, dtype=dtype, device=device)
    channels, height, width = shape
    mean, std = (tensor(v).view(-1, 1, 1) for v in (amounts.mean, amounts.std))
    last = tensor([[height - 1], [width - 1]])
    places = torch.cartesian_prod(tensor(range(height)), tensor(range(width)))
    pad, turn = amounts.padding, math.radians(amounts.degrees)
    low = [max(0.0, 1 - amount) for amount in (amounts.brightness, amounts.contrast)]
    high = [1 + amounts.brightness, 1 + amounts.contrast]
    frame = (-mean / std).expand(channels, height + 2 * pad + 1, width + 2 * pad)
    return _Fixed(
        least=tensor([0, 0, -amounts.vertical_flip, -amounts.flip, -turn, *low]),
        spread=tensor(
            [2 * pad + 1, 2 * pad + 1, 1, 1, 2 * turn, high[0] - low[0], high[1] - low[1]]
        ),
        grid=places.T - last / 2,
        center=last / 2,
        last=last,
        quarters=tensor([[0, -math.pi / 2], [math.pi / 2, 0]]),
        one=tensor([[1], [1]]),
        frame=frame.contiguous(),
        mean=mean,
        std=std,
        luma=tensor(LUMA if channels == len(LUMA) else (1 / channels,) * channels),
    )
