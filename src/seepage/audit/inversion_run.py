"""An inversion from the first round of its federation to its report."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from seepage import __version__
from seepage.audit.folder import write_results
from seepage.audit.inversion import PreparedInversion, prepare_inversion
from seepage.audit.inversion_bench import Bench
from seepage.audit.inversion_folder import (
    Inverted,
    Kept,
    finished_inversion,
    pictures_of,
    save_pictures,
)
from seepage.audit.inversion_gradients import gradient_rows
from seepage.audit.inversion_measure import Judge, build_judge, comparable, shrinks
from seepage.audit.inversion_sides import judging
from seepage.audit.inversion_train import Trajectory, begin, trajectory
from seepage.audit.recipes import resolve
from seepage.inversion import PriorStore
from seepage.inversion.priors import SMALL
from seepage.records import UserError
from seepage.report import write_inversion
from seepage.results import InversionResults, InversionRow, Seconds
from seepage.study import Study, build_study, load_study
from seepage.training import cpu_threads

if TYPE_CHECKING:
    from seepage.audit.loading import ModelFactory
    from seepage.audit.train import Progress
    from seepage.records import Dataset
    from seepage.training import Executor


def invert(
    study: Study | Mapping[str, Any] | str | Path | None = None,
    *,
    data: Dataset | tuple[Any, Any] | None = None,
    model: ModelFactory | None = None,
    data_root: Path | None = None,
    out: str | Path | None = None,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> Inverted:
    """Invert the global models of one federation, from the data to the report.

    Args:
        study: A study with a section ``inversion``, its plain data, or a study file; None is the
            recipe ``fedinverse``.
        data: Samples to use instead of the study's: a Dataset, or ``(inputs, labels)``.
        model: ``factory(input_shape, classes)`` to use instead of the study's model.
        data_root: Folder to look for data sets in, before ``SEEPAGE_DATA``.
        out: The run folder. What an interrupted run finished there is not done again. None writes
            nothing to disk.
        executor: Anything with ``submit(function, argument) -> future`` to train on.
        progress: Told how far the work is.

    Returns:
        The results, with every reconstruction. The same study on the same device gives the same
        numbers, whether or not the run was interrupted.

    Raises:
        UserError: The study, the data or the folder is wrong, or a training diverged.
    """
    if study is None:
        study = resolve(recipe="fedinverse", data_root=data_root)
    elif isinstance(study, str | Path):
        study = load_study(study)
    elif isinstance(study, Mapping):
        study = build_study(study)
    if study.inversion is None:
        raise UserError(
            "this study asks for no inversion. Give it a section inversion with a table public, or "
            "use seepage.run for an audit of membership."
        )
    prepared = prepare_inversion(study, data=data, model=model, data_root=data_root)
    folder = None if out is None else Path(out)
    return run_inversion(prepared, out=folder, executor=executor, progress=progress)


def run_inversion(
    prepared: PreparedInversion,
    *,
    out: Path | None = None,
    store: Path | None = None,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> Inverted:
    """The run of a study that :func:`prepare_inversion` has made ready.

    ``store`` is where finished priors are kept and looked for: ``out/priors`` if None.
    """
    tell = progress or (lambda stage, done, total: None)
    if done := finished_inversion(out, prepared.fingerprint):
        return done
    trained = trajectory(prepared, begin(prepared, out), tell, executor)
    began = time.perf_counter()
    rows, real, note = judging(prepared.sides, prepared.split, prepared.study.seed)
    judge = build_judge(prepared, rows, real)
    measuring = time.perf_counter() - began
    began = time.perf_counter()
    priors = PriorStore(store or out / "priors") if (store or out) is not None else None  # pyright: ignore
    with cpu_threads(threads(prepared)):
        bench = Bench(prepared, trained, judge, priors, Kept(out), tell)
        found = bench.rows()
        gradients = gradient_rows(prepared, trained, judge, tell)
    attacks = time.perf_counter() - began
    spent = Seconds(
        data=prepared.seconds,
        training=trained.seconds,
        signals=measuring,
        attacks=attacks,
        report=0.0,
    )
    notes = [*prepared.sides.notes, *([note] if note else []), *gradients.notes]
    results = _results(prepared, trained, judge, bench, found)
    results = results.model_copy(
        update={"gradients": gradients.rows, "notes": notes, "seconds": spent}
    )
    pictures = pictures_of(judge, bench.made, bench.shown, gradients.pictures)
    result = Inverted(results=results, made=bench.made, folder=out)
    if out is not None:
        tell("report", 0, 1)
        save_pictures(out, pictures)
        write_inversion(out, results, pictures)
        write_results(out, results)
        tell("report", 1, 1)
    return result


def threads(prepared: PreparedInversion) -> int:
    """One for images that gain nothing from a second, else as many as there are."""
    _, height, width = prepared.dataset.inputs.shape[1:]
    return 1 if height * width <= SMALL else torch.get_num_threads()


def _results(
    prepared: PreparedInversion,
    trained: Trajectory,
    judge: Judge,
    bench: Bench,
    rows: list[InversionRow],
) -> InversionResults:
    known, data = prepared.sides.known, prepared.dataset
    names = list(known.class_names or map(str, range(known.classes)))
    count = rows[0].n // prepared.asked.repeats if rows else 0
    measured = comparable(judge, count)
    return InversionResults(
        seepage=__version__,
        fingerprint=prepared.fingerprint,
        study=prepared.study.model_dump(),
        utility=trained.utility,
        classes=list(data.class_names or map(str, range(data.classes))),
        known=[names[label] for label in judge.evaluator.classes],
        public=f"{prepared.sides.said}; {bench.holds}",
        evaluator_accuracy=judge.evaluator.accuracy,
        evaluator_tested=judge.evaluator.tested,
        shrunken_frechet=measured and shrinks(judge, count),
        frechet_images=count if measured else 0,
        inversions=rows,
        priors=bench.priors,
        seconds=Seconds(data=0, training=0, signals=0, attacks=0, report=0),
    )
