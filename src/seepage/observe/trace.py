"""A stored trace, one round at a time, through the eyes of one adversary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from seepage.observe.adversary import ADVERSARIES, Adversary, View, seen_by
from seepage.observe.store import RunStore
from seepage.records import UserError


class Trace:
    """The rounds a run folder keeps with their parameters. Never held in memory whole.

    Args:
        folder: A run folder written with ``observe.weights`` set to ``half`` or ``full``.

    Raises:
        UserError: The folder is not a run, or kept no parameters.
    """

    def __init__(self, folder: str | Path) -> None:
        self.store = RunStore(Path(folder))
        self.manifest = self.store.manifest()
        self.lines = [
            line
            for line in self.store.rounds()
            if any(name.startswith("trace/updates/") for name in line["files"])
        ]
        if not self.lines:
            raise UserError(
                f"{folder}: this run kept signals only, no parameters. "
                "Run it again with --set observe.weights=half to measure other signals later."
            )

    @property
    def rounds(self) -> list[int]:
        """Numbers of the rounds that can be seen."""
        return [line["round"] for line in self.lines]

    def seen_by(
        self,
        adversary: Adversary | str,
        *,
        participants: Sequence[int] = (),
        attendance: bool = False,
    ) -> Iterator[View]:
        """The views of one adversary, round by round; of a querier, the last round alone."""
        who = ADVERSARIES[adversary] if isinstance(adversary, str) else adversary
        lines = self.lines[-1:] if who.last_round_only else self.lines
        for line in lines:
            what = self.store.round_at(line)
            assert what is not None  # chosen above because it has parameters
            yield seen_by(who, what, participants=participants, attendance=attendance)
