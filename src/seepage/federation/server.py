"""What the server does: draw the round's clients and weigh them."""

from __future__ import annotations

import math
from collections.abc import Mapping

from seepage._rng import child


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
