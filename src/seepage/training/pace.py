"""Where the models of a chunk stand in their epochs, and what follows for their optimizers.

Models with fewer samples have shorter epochs, so in one and the same step of a stack they may
be at different step sizes. They are sorted by their number of steps: those in equal state are
neighbors, and an optimizer steps each such run as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from seepage.training.local import Job


@dataclass(frozen=True)
class Run:
    """Neighboring models of a chunk that take a step alike.

    Attributes:
        first: Place of the first one in the chunk.
        last: One past the place of the last one.
        rate: Step size.
        age: Steps that their optimizers remember, this one included; from 1.
    """

    first: int
    last: int
    rate: float
    age: int


class Pace:
    """The epochs of each model of a chunk.

    Args:
        job: Settings and step size.
        samples: Samples of each model; sorted by number of steps, most first.
    """

    def __init__(self, job: Job, samples: Sequence[int]) -> None:
        self._restarts = job.settings.restart_each_epoch
        self._rates = [
            job.learning_rate * job.settings.factor(epoch) for epoch in range(job.settings.epochs)
        ]
        lengths = [job.settings.batches(count) for count in samples]
        self._groups = [(length, len(list(same))) for length, same in groupby(lengths)]

    def runs(self, number: int, active: int) -> list[Run]:
        """How the first ``active`` models take step ``number``, counted from 0."""
        runs: list[Run] = []
        last = 0
        for length, count in self._groups:
            first, last = last, last + count
            if first >= active:
                break
            epoch, batch = divmod(number, length)
            rate, age = self._rates[epoch], 1 + (batch if self._restarts else number)
            if runs and (runs[-1].rate, runs[-1].age) == (rate, age):
                first = runs.pop().first
            runs.append(Run(first, last, rate, age))
        return runs

    def ended(self, number: int, active: int) -> list[int]:
        """Places of the models whose epoch ends with step ``number``."""
        places: list[int] = []
        first = 0
        for length, count in self._groups:
            if first < active and (number + 1) % length == 0:
                places += range(first, first + count)
            first += count
        return places
