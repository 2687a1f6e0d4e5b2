"""What the server does: draw the round's clients, weigh them, average what they sent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from seepage._rng import child
from seepage.training.optimizers import add_all

if TYPE_CHECKING:
    from seepage.records import State


def participants(clients: int, share: float, *, seed: int, round_number: int) -> list[int]:
    """The clients of a round, ascending: uniform without replacement, at least one.

    Their number is ``share · clients`` rounded to the nearest whole (halves to even). The draw
    depends on (seed, round) alone.
    """
    count = max(1, round(share * clients))
    if count == clients:
        return list(range(clients))
    drawn = child(seed, "participants", round_number).choice(clients, count, replace=False)
    return sorted(int(client) for client in drawn)


def weights(sizes: Mapping[int, int]) -> dict[int, float]:
    r"""Each client's share :math:`n_k / \sum_j n_j` of the round's samples; they sum to 1.

    By client id, over the clients that take part. The FedMIA authors' released code divides by
    the whole training set and lists weights and models in different orders; we do neither.
    """
    total = math.fsum(sizes.values())
    return {client: sizes[client] / total for client in sorted(sizes)}


def aggregate(
    uploads: Mapping[int, State], weights: Mapping[int, float]
) -> dict[str, torch.Tensor]:
    r"""The weighted mean :math:`\sum_k w_k \theta_k` of what was sent.

    Summed in float64 in ascending order of client and rounded once, so the order in which uploads
    arrive changes nothing, bit for bit. Whole numbers, such as the batches that a normalisation
    layer counted, are rounded to the nearest.

    Differs from McMahan et al. (2017): the sum of weights is over the round's participants.
    """
    clients = sorted(uploads)
    first = uploads[clients[0]]
    sums = [torch.zeros_like(value, dtype=torch.float64) for value in first.values()]
    for client in clients:
        add_all(sums, [uploads[client][name] for name in first], alpha=weights[client])
    return {n: _as(first[n], s) for n, s in zip(first, sums, strict=True)}


def _as(like: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
    return (mean if like.is_floating_point() else mean.round()).to(like.dtype)
