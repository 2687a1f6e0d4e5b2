"""What an honest client would have sent, for insiders that start from there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from seepage.protocols import InsideTurn
    from seepage.records import State


def honest(turn: InsideTurn) -> dict[int, State]:
    """Honest local training of the insider's clients that take part, by client id.

    It is what the federation itself would have made of them: same draws, same hooks. Equal up to
    rounding, and bit for bit where the federation's plan is the trainer's own.
    """
    return {
        client: trainer.train(
            {client: np.arange(len(trainer.samples.inputs))}, role="client", defense=turn.defense
        )[client]
        for client, trainer in turn.trainers.items()
    }
