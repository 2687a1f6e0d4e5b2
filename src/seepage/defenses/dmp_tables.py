"""Rows of 0 and 1 that resemble those of a binary table, or do not."""

from __future__ import annotations

import torch
from torch import Tensor

PRIOR = 1.0
"""Records that the frequencies of the whole table count for among those of a class."""

ROUNDING = 1e-4
"""How far a 0 or 1 may be off after normalisation was taken back in float32."""


def is_binary_table(raw: Tensor) -> bool:
    """Whether ``raw`` is a table, shape ``(n, d)``, of zeros and ones."""
    whole = raw.round()
    binary = (whole == 0) | (whole == 1)
    return raw.ndim == 2 and bool((binary & ((raw - whole).abs() < ROUNDING)).all())


def random_bits(count: int, width: int, rng: torch.Generator) -> Tensor:
    """``count`` rows of ``width`` fair coins, float32 on the CPU."""
    return torch.randint(2, (count, width), generator=rng).float()


def synthetic_table(raw: Tensor, labels: Tensor, count: int, *, rng: torch.Generator) -> Tensor:
    r"""Rows drawn class by class, every column on its own.

    .. math:: c \sim \frac{n_c}{n}, \qquad x_j \mid c \sim \mathrm{Bernoulli}(p_{cj}), \qquad
        p_{cj} = \frac{n_{cj} + a\, n_j / n}{n_c + a}

    with :math:`n_c` rows of class *c*, :math:`n_{cj}` of them (and :math:`n_j` of all) with a one
    in column *j*, and :math:`a` = ``PRIOR``, so that no column is certain for a class that is not
    for the table. Draws are the same on every device.

    What columns say about each other beyond the class is lost. A tree of pairs (Chow and Liu,
    1968), in the table or in every class, made no better student on Location30:
    docs/decisions/0007-tabular-generator.md.

    Args:
        raw: Zeros and ones, shape ``(n, d)``.
        labels: Class numbers, shape ``(n,)``.
        count: Rows to draw.
        rng: A CPU generator.

    Returns:
        Float32, shape ``(count, d)``, on the CPU.
    """
    raw, labels = raw.cpu().round(), labels.cpu()
    members = torch.nn.functional.one_hot(labels).to(raw)
    ones = members.T @ raw + PRIOR * raw.mean(0)
    chances = ones / (members.sum(0) + PRIOR).unsqueeze(1)
    picked = labels[torch.randint(len(labels), (count,), generator=rng)]
    return (torch.rand(count, raw.shape[1], generator=rng) < chances[picked]).float()
