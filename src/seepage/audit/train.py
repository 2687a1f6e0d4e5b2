"""The federation of a study, trained and watched from its start or from where it was left."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from seepage import __version__, federation
from seepage.audit.claimed_folder import release
from seepage.audit.inside import AT_THE_END, OF_A_ROUND
from seepage.audit.inside_signals import measure_at_the_end, measure_inside
from seepage.audit.noise import NoiseWatch
from seepage.audit.prepare import Prepared
from seepage.audit.remeasure import measure_view
from seepage.observe import SERVER, Recorder, RunStore, seen_by
from seepage.records import UserError
from seepage.results import NoiseCheck, RoundUtility, Utility
from seepage.training import cpu_threads, forward_threads

if TYPE_CHECKING:
    import xarray as xr

    from seepage.audit.inversion import PreparedInversion
    from seepage.protocols import Insider, InsideTurn
    from seepage.records import Round, State
    from seepage.training import Executor

PART = 8192
"""Records whose accuracy is taken in one go."""

Progress = Callable[[str, int, int], None]
"""``(stage, done, total)``, called as the work goes on."""


def begin_store(prepared: Prepared, out: Path | None) -> RunStore | None:
    """Claim the run folder, or none."""
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
    store.verify()
    return store


class Trained(NamedTuple):
    """A federation that was trained and watched to its end.

    Attributes:
        recorder: What was kept of it.
        utility: How good its models are.
        noise: Whether the noise promised was added; None where none was.
        memory: What clients, server and insider kept from the last round.
        inside: Seconds of watching that the insider spent.
    """

    recorder: Recorder
    utility: Utility
    noise: NoiseCheck | None
    memory: Mapping[str, State]
    inside: float


def train(
    prepared: Prepared, store: RunStore | None, tell: Progress, executor: Executor | None = None
) -> Trained:
    """Run the federation from its start, or from the last committed round, recording it.

    Raises:
        UserError: Training diverged, or cannot be gone on with; then a folder in which nothing
            was committed is given back.
    """
    try:
        return _train(prepared, store, tell, executor)
    except UserError:
        if store is not None:
            release(store, prepared.fingerprint)
        raise


def _train(
    prepared: Prepared, store: RunStore | None, tell: Progress, executor: Executor | None
) -> Trained:
    study = prepared.study
    recorder = _recorder(prepared, store)
    insider, spent = clocked(prepared.insider)
    number, state, memory = _left_at(prepared, store)
    final = state
    lines = store.rounds() if store else []
    curve = {line["round"]: line["utility"] for line in lines if "utility" in line}
    dealt = insider is not None and insider.deal is not None  # then uploads start elsewhere
    watch = NoiseWatch(None if dealt else prepared.defense.noise, lines, memory)
    total = study.federation.rounds
    rounds = federation.run(
        prepared.model,
        prepared.dataset,
        prepared.split,
        federation.settings_of(**study.federation.model_dump()),
        seed=study.seed,
        defense=prepared.defense,
        plan=prepared.plan,
        executor=executor,
        start=state,
        first_round=number + 1,
        memory=memory,
        insider=insider,
    )
    tell("training", number, total)
    for what in rounds:
        final, memory = what.after, what.memory
        facts = watch(what, observed=what.number in recorder.observed)
        if what.number in recorder.observed:
            curve[what.number] = utility_of(prepared, what.after)
            facts["utility"] = curve[what.number]
        recorder(what, **facts)
        tell("training", what.number, total)
    last = curve.get(total) or utility_of(prepared, final)
    per_round = [RoundUtility(round=r, **curve[r]) for r in sorted(curve)]
    told = Utility(per_round=per_round, **last)
    return Trained(recorder, told, watch.check(), memory, sum(spent))


def _recorder(prepared: Prepared, store: RunStore | None) -> Recorder:
    study = prepared.study
    return Recorder(
        store,
        observed=study.observed_rounds,
        measure=partial(measure_round, prepared),
        weights=study.observe.weights,
        finish=partial(measure_at_the_end, prepared) if study.insider.clients else None,
        last=study.federation.rounds,
    )


def clocked(insider: Insider | None) -> tuple[Insider | None, list[float]]:
    """The insider, and a list that gets the seconds of every round that it watches."""
    spent: list[float] = []
    if insider is None or (watch := insider.watch) is None:
        return insider, spent

    def timed(turn: InsideTurn, after: State) -> None:
        began = time.perf_counter()
        watch(turn, after)
        spent.append(time.perf_counter() - began)

    return replace(insider, watch=timed), spent


def measure_round(prepared: Prepared, what: Round) -> xr.Dataset:
    """Every signal the study wants of a round, each out of what its adversary holds of it."""
    inside = AT_THE_END | OF_A_ROUND
    names = [name for name in prepared.signals if name not in inside]
    if not set(prepared.signals) & OF_A_ROUND:
        return measure_view(prepared, seen_by(SERVER, what), names)
    found = measure_inside(prepared, what)
    if not names:
        return found
    return found.merge(measure_view(prepared, seen_by(SERVER, what), names), join="outer")


def _left_at(
    prepared: Prepared, store: RunStore | None
) -> tuple[int, State | None, dict[str, State]]:
    """The last committed round, what it ended with and what everyone kept; 0 at the start."""
    found = store.checkpoint() if store else None
    if store is None or found is None:
        return 0, None, {}
    memory = {who: _on_device(kept, prepared) for who, kept in store.memory().items()}
    return found[0], _on_device(found[1], prepared), memory


def _on_device(state: State, prepared: Prepared) -> State:
    return {name: value.to(prepared.dataset.inputs.device) for name, value in state.items()}


def utility_of(prepared: Prepared | PreparedInversion, state: Any) -> dict[str, float]:
    """Accuracy on all the clients' records and on those nobody trained on."""
    data = prepared.dataset

    def accuracy(ids: np.ndarray) -> float:
        parts = np.array_split(ids, -(-len(ids) // PART))  # so that no copy of all is made
        found = [
            federation.evaluate(prepared.model, state, data.inputs[p], data.labels[p]).accuracy
            for p in parts
        ]
        return float(np.average(found, weights=[len(part) for part in parts]))

    with cpu_threads(forward_threads(prepared.model)):
        return {
            "train_accuracy": accuracy(np.concatenate(prepared.split.clients)),
            "test_accuracy": accuracy(prepared.split.held_out),
        }
