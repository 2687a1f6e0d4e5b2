"""Blocks one after the other, and what makes logits of the last one."""

from __future__ import annotations

from functools import partial
from math import gcd

from torch import Tensor, nn

from seepage.models.norms import Norm

SLOPE = 0.2
"""Of the LeakyReLUs below zero."""


class Staged(nn.Module):
    """Blocks, whose outputs a defense may read, and a classifier of the last one's.

    Args:
        stages: The blocks, in order.
        features: Numbers that the last block gives for a sample.
        classes: Number of outputs.

    Attributes:
        blocks: Names of the blocks among the submodules, in order.
    """

    blocks: tuple[str, ...]

    def __init__(self, *stages: nn.Module, features: int, classes: int) -> None:
        super().__init__()
        self.stages = nn.Sequential(*stages)
        self.classifier = nn.Linear(features, classes)
        self.blocks = tuple(f"stages.{i}" for i in range(len(stages)))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.stages(x).flatten(1))


def convolution(
    channels_in: int, channels_out: int, kernel: int, *, padding: int, norm: Norm, pool: nn.Module
) -> nn.Sequential:
    """A block: a convolution, a normalisation, LeakyReLU, ``pool``."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, padding=padding),
        norm(channels_out),
        nn.LeakyReLU(SLOPE),
        pool,
    )


def group_norm(groups: int) -> Norm:
    """GroupNorm in at most so many groups: as many as divide both them and the channels."""
    return partial(_group_norm, groups)


def _group_norm(groups: int, channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(gcd(groups, channels), channels)
