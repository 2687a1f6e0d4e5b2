"""``run(study)``: train, measure, attack, report. The one place that knows every stage."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seepage import __version__, federation
from seepage.audit.anyone import ask_anyone, on_sums, score_anyone
from seepage.audit.blind import blind_rows
from seepage.audit.claim import federated_claim
from seepage.audit.folder import finished, save_result
from seepage.audit.labels import is_skewed, label_rows
from seepage.audit.loading import ModelFactory
from seepage.audit.models import PreparedModels
from seepage.audit.models_run import run_models
from seepage.audit.noise import NoiseWatch
from seepage.audit.prepare import Prepared, prepare
from seepage.audit.recipes import resolve
from seepage.audit.remeasure import measure_view
from seepage.audit.result import Result
from seepage.audit.score import Scored, attack_rows, questions, score_attacks, scores_frame
from seepage.observe import SERVER, Recorder, RunStore, seen_by
from seepage.records import Dataset, UserError
from seepage.results import NoiseCheck, Results, RoundUtility, Seconds, Utility
from seepage.study import Study, build_study, load_study
from seepage.training import cpu_threads, forward_threads

if TYPE_CHECKING:
    import xarray as xr

    from seepage.protocols import Attack
    from seepage.records import State
    from seepage.training import Executor

PART = 8192
"""Records whose accuracy is taken in one go."""

Progress = Callable[[str, int, int], None]
"""``(stage, done, total)``, called as the work goes on."""


def run(
    study: Study | Mapping[str, Any] | str | Path | None = None,
    *,
    data: Dataset | tuple[Any, Any] | None = None,
    model: ModelFactory | None = None,
    attacks: dict[str, Attack] | None = None,
    data_root: Path | None = None,
    out: str | Path | None = None,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> Result:
    """Audit one federation, or many models as black boxes, from the data to the report.

    Args:
        study: A study, its plain data, or a study file; None is the default recipe.
        data: Samples to use instead of the study's: a Dataset, or ``(inputs, labels)``.
        model: ``factory(input_shape, classes)`` (or with no argument) to use instead of the
            study's model.
        attacks: Your own attacks by name, run beside those of the table.
        data_root: Folder to look for data sets in, before ``SEEPAGE_DATA``.
        out: The run folder. A run found there goes on from its last committed round. None
            writes nothing to disk.
        executor: Anything with ``submit(function, argument) -> future`` to train on, such as an
            executor of the standard library, of Dask or of submitit.
        progress: Told how far the work is.

    Returns:
        The results with scores and signals. The same study on the same device gives the same
        numbers, whether or not the run was interrupted.

    Raises:
        UserError: The study, the data or the folder is wrong, or training diverged.
    """
    prepared = prepare(_study(study), data=data, model=model, attacks=attacks, data_root=data_root)
    folder = None if out is None else Path(out)
    return run_prepared(prepared, out=folder, executor=executor, progress=progress)


def run_prepared(
    prepared: Prepared | PreparedModels,
    *,
    out: Path | None = None,
    store: Path | None = None,
    executor: Executor | None = None,
    progress: Progress | None = None,
    draw: bool = True,
) -> Result:
    """The run of a study that :func:`~seepage.audit.prepare` has made ready.

    ``store`` is where a black-box audit keeps its models: ``out/models`` if None. Without ``draw``
    the folder holds all but the report and its figures.
    """
    if isinstance(prepared, PreparedModels):
        return run_models(
            prepared, out=out, store=store, executor=executor, progress=progress, draw=draw
        )
    tell = progress or (lambda stage, done, total: None)
    if done := finished(out, prepared.fingerprint, prepared.attacks):
        return done
    kept = begin_store(prepared, out)
    began = time.perf_counter()
    recorder, utility, noise = train(prepared, kept, tell, executor)
    training = time.perf_counter() - began - recorder.seconds
    signals = recorder.signals()
    began = time.perf_counter()
    tell("attacks", 0, 1)
    scored, found = _attack(prepared, signals)
    tell("attacks", 1, 1)
    spent = Seconds(
        data=prepared.seconds,
        training=training,
        signals=recorder.seconds,
        attacks=time.perf_counter() - began,
        report=0.0,
    )
    results = Results(
        seepage=__version__,
        fingerprint=prepared.fingerprint,
        study=prepared.study.model_dump(),
        utility=utility,
        **found,
        noise=noise,
        seconds=spent,
    )
    result = Result(
        results=results,
        scores=scores_frame(scored, prepared.truth, prepared.targets),
        signals=signals,
        truth=prepared.truth,
        folder=out,
    )
    return save_result(result, prepared.dataset, tell, draw=draw) if out is not None else result


def _attack(prepared: Prepared, signals: xr.Dataset) -> tuple[list[Scored], dict[str, Any]]:
    """The scores, and what ``results.json`` says of them: ``attacks``, ``claim`` and so on."""
    study, truth, targets = prepared.study, prepared.truth, prepared.targets
    redrawn = study.candidates.redraw_candidates  # then scores are of other records than they say
    scored = score_attacks(
        prepared.attacks,
        signals,
        truth,
        targets,
        redraw_seed=study.seed if redrawn else None,
    )
    rows_of = partial(
        attack_rows,
        ids=truth.ids,
        fprs=study.metrics.fpr,
        confidence=study.metrics.confidence,
        seed=study.seed,
    )
    rows = rows_of(scored, list(questions(truth, targets)))
    everyone = score_anyone(prepared.attacks, [] if redrawn else scored, signals, truth, targets)
    rows += rows_of(everyone, ask_anyone(truth))
    scored += on_sums(everyone)
    skewed, candidates = is_skewed(study), prepared.candidates
    blind = blind_rows(
        scored, truth, targets, candidates=candidates, seed=study.seed, skewed=skewed
    )
    labels = None
    if not redrawn:
        labels = label_rows(
            scored,
            rows,
            truth,
            targets,
            candidates.labels.cpu().numpy(),
            skewed=skewed,
            confidence=study.metrics.confidence,
            seed=study.seed,
        )
    claim = federated_claim(prepared, scored)
    return scored, {"attacks": rows, "blind": blind, "labels": labels, "claim": claim}


def _study(study: Study | Mapping[str, Any] | str | Path | None) -> Study:
    if study is None:
        return resolve()
    if isinstance(study, Study):
        return study
    if isinstance(study, str | Path):
        return load_study(study)
    if isinstance(study, Mapping):
        return build_study(study)
    raise UserError(f"a study is a Study, a mapping or a path, got {type(study).__name__}.")


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


def train(
    prepared: Prepared, store: RunStore | None, tell: Progress, executor: Executor | None = None
) -> tuple[Recorder, Utility, NoiseCheck | None]:
    """Run the federation from its start, or from the last committed round, recording it."""
    study, observed = prepared.study, prepared.study.observed_rounds
    recorder = Recorder(
        store,
        observed=observed,
        measure=lambda what: measure_view(prepared, seen_by(SERVER, what), prepared.signals),
        weights=study.observe.weights,
    )
    number, state, memory = _left_at(prepared, store)
    final = state
    lines = store.rounds() if store else []
    curve = {line["round"]: line["utility"] for line in lines if "utility" in line}
    watch = NoiseWatch(prepared.defense.noise, lines, memory)
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
    )
    tell("training", number, total)
    for what in rounds:
        final = what.after
        facts = watch(what, observed=what.number in recorder.observed)
        if what.number in recorder.observed:
            curve[what.number] = utility_of(prepared, what.after)
            facts["utility"] = curve[what.number]
        recorder(what, **facts)
        tell("training", what.number, total)
    last = curve.get(total) or utility_of(prepared, final)
    per_round = [RoundUtility(round=r, **curve[r]) for r in sorted(curve)]
    return recorder, Utility(per_round=per_round, **last), watch.check()


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


def utility_of(prepared: Prepared, state: Any) -> dict[str, float]:
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
