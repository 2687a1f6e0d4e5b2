"""The global models that a study inverts, from a federation trained to its last round."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seepage import __version__, federation
from seepage.audit.train import Progress, utility_of
from seepage.observe import RunStore, tensors
from seepage.results import RoundUtility, Utility
from seepage.states import state_of

if TYPE_CHECKING:
    from seepage.audit.inversion import PreparedInversion
    from seepage.records import Round, State
    from seepage.training import Executor

SAVE_EVERY_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class Upload:
    """What one client was sent in a round and sent back, as a server holds it."""

    number: int
    start: State
    upload: State
    learning_rate: float


@dataclass(frozen=True, kw_only=True)
class Trajectory:
    """What is kept of a federation to be inverted.

    Attributes:
        models: Global parameters by round; 0 are those before any training.
        uploads: What the client that a server is curious about sent, by round.
        utility: Accuracy per inverted round, and in the end.
        seconds: What training took in this run.
    """

    models: Mapping[int, State]
    uploads: Mapping[int, Upload]
    utility: Utility
    seconds: float


def begin(prepared: PreparedInversion, out: Path | None) -> RunStore | None:
    """Claim the run folder, or none.

    Raises:
        UserError: It holds another run.
    """
    if out is None:
        return None
    store = RunStore(out)
    store.begin(
        {
            "fingerprint": prepared.fingerprint,
            "seepage": __version__,
            "seed": prepared.study.seed,
            "data_checksum": prepared.dataset.checksum,
            "plan": str(prepared.plan),
            "study": prepared.study.model_dump(),
        }
    )
    return store


def trajectory(
    prepared: PreparedInversion,
    store: RunStore | None,
    tell: Progress,
    executor: Executor | None = None,
) -> Trajectory:
    """Train to the last round that anything is asked about, or read what an earlier run kept."""
    began = time.perf_counter()
    kept = _Kept(prepared, store)
    total = prepared.study.federation.rounds
    tell("training", kept.number, total)
    for what in _rounds(prepared, kept, executor):
        kept.take(what, last=what.number == total)
        tell("training", what.number, total)
    curve = {r: kept.curve[r] for r in sorted(kept.curve)}
    return Trajectory(
        models={r: kept.models[r] for r in prepared.rounds},
        uploads=kept.uploads,
        utility=Utility(
            per_round=[RoundUtility(round=r, **found) for r, found in curve.items()],
            **curve[total],
        ),
        seconds=time.perf_counter() - began,
    )


def _rounds(prepared: PreparedInversion, kept: _Kept, executor: Executor | None) -> Iterator[Round]:
    if kept.number == prepared.study.federation.rounds:
        return
    yield from federation.run(
        prepared.model,
        prepared.dataset,
        prepared.split,
        federation.settings_of(**prepared.study.federation.model_dump()),
        seed=prepared.study.seed,
        defense=prepared.defense,
        plan=prepared.plan,
        executor=executor,
        start=kept.state,
        first_round=kept.number + 1,
        memory=kept.memory,
    )


class _Kept:
    """The rounds so far, in memory and on disk; a run that was killed goes on from the disk."""

    def __init__(self, prepared: PreparedInversion, store: RunStore | None) -> None:
        self.prepared, self.store = prepared, store
        self.models: dict[int, State] = {}
        self.uploads: dict[int, Upload] = {}
        self.curve: dict[int, dict[str, float]] = {}
        self.number, self.state, self.memory = 0, None, {}
        self._saved = time.monotonic()
        asked = prepared.asked.gradients
        self.watched = None if asked is None else asked.client
        self.watched_rounds = [] if asked is None else asked.rounds or [1]
        if 0 in prepared.rounds:
            first = state_of(prepared.model)
            self.models[0], self.curve[0] = first, utility_of(prepared, first)
        if store is not None:
            self._read(store)

    def take(self, what: Round, *, last: bool) -> None:
        """Keep what is asked about of a finished round."""
        files: dict[str, Any] = {}
        facts: dict[str, Any] = {"learning_rate": what.learning_rate}
        number = what.number
        if number in self.prepared.rounds or last:
            self.models[number] = what.after
            self.curve[number] = facts["utility"] = utility_of(self.prepared, what.after)
            files[_name("global", number)] = partial(tensors.write_state, state=what.after)
        if number in self.watched_rounds and self.watched is not None:
            sent = what.uploads[self.watched]
            self.uploads[number] = Upload(
                number=number,
                start=what.start,
                upload=sent,
                learning_rate=what.learning_rate,
            )
            files[_name("upload", number)] = partial(
                tensors.write_memory, memory={"start": what.start, "upload": sent}
            )
        due = files or time.monotonic() - self._saved >= SAVE_EVERY_SECONDS
        if self.store is not None and due:
            self.store.commit_checkpoint(what, files, **facts)
            self._saved = time.monotonic()

    def _read(self, store: RunStore) -> None:
        found = store.checkpoint()
        if found is None:
            return
        self.number, self.state = found[0], self._on_device(found[1])
        self.memory = {who: self._on_device(own) for who, own in store.memory().items()}
        for line in store.rounds():
            number = line["round"]
            if "utility" in line:
                self.curve[number] = line["utility"]
            if (name := _name("global", number)) in line["files"]:
                self.models[number] = self._on_device(tensors.read_state(store.checked(line, name)))
            if (name := _name("upload", number)) in line["files"]:
                both = tensors.read_memory(store.checked(line, name))
                self.uploads[number] = Upload(
                    number=number,
                    start=self._on_device(both["start"]),
                    upload=self._on_device(both["upload"]),
                    learning_rate=line["learning_rate"],
                )

    def _on_device(self, state: State) -> State:
        device = self.prepared.dataset.inputs.device
        return {name: value.to(device) for name, value in state.items()}


def _name(what: str, number: int) -> str:
    return f"trace/{what}/r{number:05d}.safetensors"
