"""What clients and server remember from round to round, and the turns that hooks are given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from seepage._rng import torch_child
from seepage.protocols import Turn

if TYPE_CHECKING:
    from torch import Tensor

    from seepage.records import State

SERVER = "server"


class Turns:
    """The turns of one round.

    A turn's draws are named by (seed, client or server, round), so the order in which clients
    come changes nothing. What a hook keeps goes into a copy: the memory given stays as it was.

    Args:
        seed: The run's seed.
        number: The round.
        weights: Aggregation weights of its clients; the server hears these alone.
        memory: What everyone kept from the rounds before, as :meth:`memory` gave it.
    """

    def __init__(
        self, seed: int, number: int, weights: Mapping[int, float], memory: Mapping[str, State]
    ) -> None:
        self._seed, self._number, self._weights = seed, number, weights
        self._kept: dict[str, dict[str, Tensor]] = {n: dict(own) for n, own in memory.items()}
        self._said: dict[int, dict[str, Tensor]] = {}

    def client(self, client: int) -> Turn:
        """The turn of one client; what it says is heard by the server afterwards."""
        return Turn(
            rng=torch_child(self._seed, "defense", client, self._number),
            weights=self._weights,
            kept=self._kept.setdefault(f"c{client:03d}", {}),
            told=dict(self._kept.get(SERVER, {})),
            said=self._said.setdefault(client, {}),
        )

    def server(self) -> Turn:
        """The server's turn, after all clients'."""
        kept = self._kept.setdefault(SERVER, {})
        return Turn(
            rng=torch_child(self._seed, "defense", SERVER, self._number),
            weights=self._weights,
            kept=kept,
            told=kept,
            heard={k: said for k, said in self._said.items() if k in self._weights},
        )

    def memory(self) -> dict[str, dict[str, Tensor]]:
        """What everyone keeps for the next round; who keeps nothing is not in it."""
        return {name: kept for name, kept in self._kept.items() if kept}
