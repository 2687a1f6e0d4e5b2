"""The images an insider keeps of what its generator drew, and changed copies of images."""

from __future__ import annotations

import math
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from seepage.records import State

RECENT = 500
"""Images of a class that are kept; the oldest make room."""

EVERY, SHOWN = 10, 8
"""Of rounds with a number divisible by the first, so many of a class are kept for good."""

TURN, SHIFT, SCALE, SHEAR = math.radians(15), 1 / 14, 0.18, 0.2
"""The most a copy is turned, shifted (as a share of its side), scaled and sheared."""


@dataclass(frozen=True, kw_only=True)
class Images:
    """Images with the class each is to show and the round it was drawn in, on the CPU.

    Attributes:
        pixels: In [0, 1], float32, shape ``(n, channels, h, w)``.
        labels: Shape ``(n,)``.
        rounds: Shape ``(n,)``, ascending.
    """

    pixels: Tensor
    labels: Tensor
    rounds: Tensor


def kept_images(kept: State) -> Images | None:
    """What :func:`keep` kept so far; None before the first image."""
    if "images" not in kept or not len(kept["images"]):
        return None
    return Images(
        pixels=as_pixels(kept["images"]), labels=kept["labels"].cpu(), rounds=kept["rounds"].cpu()
    )


def as_pixels(shades: Tensor) -> Tensor:
    """Pixels in [0, 1], on the CPU, of images as they are kept."""
    return shades.cpu().float() / 255


def keep(kept: MutableMapping[str, Tensor], pixels: Tensor, labels: Tensor, number: int) -> None:
    """Add the images of a round, in 256 shades, and let the oldest of each class go.

    Of every class the last ``RECENT`` are kept, so that images of many rounds teach: a generator
    drifts from round to round, and that is most of the variety there is. Of every tenth round a
    few stay for good, to be looked at.

    Args:
        kept: The insider's own memory.
        pixels: In [0, 1], shape ``(m, channels, h, w)``.
        labels: The class each is to show, shape ``(m,)``.
        number: The round.
    """
    new = {
        "images": (pixels * 255).round().to(torch.uint8).cpu(),
        "labels": labels.cpu(),
        "rounds": torch.full((len(labels),), number),
    }
    if "images" in kept:
        new = {name: torch.cat([_cpu(kept, name), value]) for name, value in new.items()}
    stays = _stays(new["labels"], new["rounds"])
    for name, value in new.items():
        kept[name] = value[stays]


def _cpu(kept: Mapping[str, Tensor], name: str) -> Tensor:
    return kept[name].cpu()


def _stays(labels: Tensor, rounds: Tensor) -> Tensor:
    stays = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels.numpy() == label)
        own = rounds.numpy()[rows]  # ascending, so that a round's images stand together
        of_round = np.arange(len(rows)) - np.searchsorted(own, own)
        stays[rows[-RECENT:]] = True
        stays[rows[(own % EVERY == 0) & (of_round < SHOWN)]] = True
    return torch.from_numpy(stays)


def changed(images: Tensor, rng: torch.Generator) -> Tensor:
    """Every image turned, shifted, scaled and sheared a little, each by draws of its own.

    What lies beyond the edge is taken to be the edge itself.
    """
    count = len(images)

    def within(most: float) -> Tensor:
        return (torch.rand(count, generator=rng) * 2 - 1) * most

    angle, wide, high, shear = within(TURN), 1 + within(SCALE), 1 + within(SCALE), within(SHEAR)
    across, down = within(2 * SHIFT), within(2 * SHIFT)
    rows = [
        torch.stack([wide * angle.cos(), shear - wide * angle.sin(), across], 1),
        torch.stack([high * angle.sin(), high * angle.cos(), down], 1),
    ]
    grid = nn.functional.affine_grid(
        torch.stack(rows, 1).to(images), list(images.shape), align_corners=False
    )
    return nn.functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
