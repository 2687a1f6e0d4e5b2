"""``run(study)``: train, measure, attack, report. The one place that knows every stage."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seepage import __version__
from seepage.audit.anyone import ask_anyone, on_sums, score_anyone
from seepage.audit.blind import blind_rows
from seepage.audit.claim import federated_claim
from seepage.audit.folder import finished, save_result
from seepage.audit.labels import is_skewed, label_rows
from seepage.audit.loading import ModelFactory
from seepage.audit.models import PreparedModels
from seepage.audit.models_run import run_models
from seepage.audit.prepare import Prepared, prepare
from seepage.audit.recipes import resolve
from seepage.audit.result import Result
from seepage.audit.score import Scored, attack_rows, questions, score_attacks, scores_frame
from seepage.audit.source import source
from seepage.audit.train import Progress, begin_store, train
from seepage.audit.users import users_of
from seepage.records import Dataset, IntArray, UserError
from seepage.results import AttackRow, Blind, Labels, Results, Seconds, Source
from seepage.study import Study, build_study, load_study

if TYPE_CHECKING:
    import xarray as xr

    from seepage.protocols import Attack
    from seepage.training import Executor


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
    trained = train(prepared, kept, tell, executor)
    training = time.perf_counter() - began - trained.recorder.seconds
    signals = trained.recorder.signals()
    began = time.perf_counter()
    tell("attacks", 0, 1)
    scored, found = _attack(prepared, signals)
    found["users"] = users_of(prepared, trained.memory, trained.inside)
    tell("attacks", 1, 1)
    spent = Seconds(
        data=prepared.seconds,
        training=training,
        signals=trained.recorder.seconds,
        attacks=time.perf_counter() - began,
        report=0.0,
    )
    found |= {"utility": trained.utility, "noise": trained.noise, "seconds": spent}
    results = Results(
        seepage=__version__,
        fingerprint=prepared.fingerprint,
        study=prepared.study.model_dump(),
        **found,
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
    redraw_seed = study.seed if redrawn else None
    scored = score_attacks(prepared.attacks, signals, truth, targets, redraw_seed=redraw_seed)
    rows_of = partial(
        attack_rows,
        ids=truth.ids,
        fprs=study.metrics.fpr,
        confidence=study.metrics.confidence,
        seed=study.seed,
        declared={k: np.flatnonzero(held).tolist() for k, held in enumerate(prepared.declared)},
        labels=_dealt(prepared),
    )
    rows = rows_of(scored, list(questions(truth, targets)))
    everyone = score_anyone(prepared.attacks, [] if redrawn else scored, signals, truth, targets)
    rows += rows_of(everyone, ask_anyone(truth))
    scored += on_sums(everyone)
    found = _beside(prepared, scored, everyone, rows)
    found |= {"claim": federated_claim(prepared, scored), "source": _source(prepared, signals)}
    return scored, {"attacks": rows} | found


def _source(prepared: Prepared, signals: xr.Dataset) -> Source | None:
    """Who holds a record, where that was asked of records that are the ones they say."""
    asked = "source_inference" in prepared.attacks
    if not asked or prepared.study.candidates.redraw_candidates:
        return None
    return source(
        signals,
        prepared.truth,
        labels=_dealt(prepared),
        confidence=prepared.study.metrics.confidence,
    )


def _dealt(prepared: Prepared) -> IntArray | None:
    """The candidates' classes, where these were dealt out unevenly on purpose; else None."""
    return prepared.candidates.labels.cpu().numpy() if is_skewed(prepared.study) else None


def _beside(
    prepared: Prepared, scored: list[Scored], everyone: list[Scored], rows: list[AttackRow]
) -> dict[str, Blind | Labels | None]:
    """The checks that decide whether the rows can be believed, and what labels tell alone."""
    study, truth, targets = prepared.study, prepared.truth, prepared.targets
    alike: dict[str, Any] = {"seed": study.seed, "skewed": is_skewed(study)}
    blind = blind_rows(scored, truth, targets, candidates=prepared.candidates, **alike)
    if study.candidates.redraw_candidates:
        return {"blind": blind, "labels": None}
    classes = prepared.candidates.labels.cpu().numpy()
    alike["confidence"] = study.metrics.confidence
    return {
        "blind": blind,
        "labels": label_rows(scored, everyone, rows, truth, targets, classes, **alike),
    }


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
