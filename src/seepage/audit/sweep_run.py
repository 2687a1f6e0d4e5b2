"""Running the points of a sweep, side by side, and what came of them."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from seepage import __version__
from seepage.audit.claimed_folder import claim_folder
from seepage.audit.device import find_device
from seepage.audit.folder import read_results, write_results
from seepage.audit.loading import load_data
from seepage.audit.prepare import prepare
from seepage.audit.run import run_prepared
from seepage.audit.sweep import Point, Sweep, sweep_digest
from seepage.audit.sweep_fronts import sweep_fronts
from seepage.audit.sweep_points import reading_of, sweep_point
from seepage.audit.sweep_users import point_users
from seepage.data import is_found
from seepage.defenses import DEFENSES
from seepage.records import UserError
from seepage.report import write_sweep
from seepage.results import Failure, Results, SweepPoint, SweepResults
from seepage.study import build_study
from seepage.training import cores, cores_limited, end_with_parent, keep_freed_memory

Progress = Callable[[str, int, int], None]
"""``(stage, done, total)``, called as the work goes on."""


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One point to run: all that a worker needs, as plain data.

    Attributes:
        study: The study as plain data.
        label: What its folder is called, after its fingerprint.
        data_root: Folder to look for data sets in.
        points: Folder that holds the points' folders.
    """

    study: dict[str, Any]
    label: str
    data_root: str | None
    points: str


def run_point(unit: Unit) -> str:
    """Audit one point on one core, or find it finished; a pure function of its argument.

    One core whoever runs it, so that the numbers are the same for any number of workers. The
    folder holds signals, scores and results, and no report: drawing one costs more than a small
    training. :func:`~seepage.audit.redraw_report` makes it when somebody wants to look.

    Returns:
        The name of its folder, ``FINGERPRINT-LABEL``.

    Raises:
        UserError: The point cannot be run, or its training diverged.
    """
    root = None if unit.data_root is None else Path(unit.data_root)
    with cores_limited(1):
        prepared = prepare(build_study(unit.study, source=unit.label), data_root=root)
        folder = Path(unit.points) / f"{prepared.fingerprint}-{unit.label}"
        run_prepared(prepared, out=folder, draw=False)
    return folder.name


def run_sweep(
    sweep: Sweep,
    *,
    out: Path,
    data_root: Path | None = None,
    jobs: int | None = 1,
    progress: Progress | None = None,
) -> SweepResults:
    """Audit every point, and write the trade-off.

    A point that is finished is not run again, and one that was stopped goes on from its last
    committed round. One that cannot be run becomes a failure and the others go on.

    Guarantees:
        * the same numbers for any number of ``jobs``, and whether or not the sweep was stopped;
        * one core a point, and no processes but the ``jobs``.

    Args:
        sweep: The points.
        out: Folder for ``points/FINGERPRINT-LABEL``, one a point, and the trade-off.
        data_root: Folder to look for data sets in.
        jobs: Points that run side by side, each in a process that stays for the whole sweep. 1
            runs them here. None takes one a core, and 1 on a GPU, which one run fills. Processes
            import the calling script again: call this under ``if __name__ == "__main__":``.
        progress: Told how many points are done.

    Raises:
        UserError: The data is not here, the folder holds something else, a worker died, or no
            point could be run.
    """
    began = time.perf_counter()
    _check_data(sweep, data_root)
    claim_folder(out, "sweep", sweep_digest(sweep), [point.label for point in sweep.points])
    units = [
        Unit(
            study=point.study.model_dump(),
            label=point.label,
            data_root=None if data_root is None else str(data_root),
            points=str(out / "points"),
        )
        for point in sweep.points
    ]
    tell = progress or (lambda stage, done, total: None)
    tell("points", 0, len(units))
    ended: dict[int, str | UserError] = {}
    for index, how in _ended(units, jobs_of(sweep, jobs)):
        ended[index] = how
        tell("points", len(ended), len(units))
    results = _assembled(sweep, out, ended, time.perf_counter() - began)
    draw_sweep(out, results)
    write_results(out, results)
    return results


def draw_sweep(out: Path, results: SweepResults) -> list[Path]:
    """Write the page, figures and tables of a sweep."""
    return write_sweep(out, results, about={name: _about(name) for name in results.grid})


def _about(series: str) -> tuple[str, str]:
    """What a series' defenses do, and their papers; nothing for a series of another kind."""
    parts = [DEFENSES[name] for name in series.split("+") if name in DEFENSES]
    return "; ".join(part.summary for part in parts), "; ".join(part.paper for part in parts)


def jobs_of(sweep: Sweep, jobs: int | None) -> int:
    """Workers for a sweep: as asked for, or one a core and 1 on a GPU; never more than points."""
    if jobs is None:
        on_cpu = find_device(sweep.points[0].study.compute.device) == "cpu"
        jobs = cores() if on_cpu else 1
    return max(1, min(jobs, len(sweep.points)))


def _check_data(sweep: Sweep, root: Path | None) -> None:
    """Missing data is one error before any work, not one a point."""
    for name in dict.fromkeys(point.study.data.name for point in sweep.points):
        if not is_found(name, root=root):
            study = next(p.study for p in sweep.points if p.study.data.name == name)
            load_data(study, None, None, root)


def _ended(units: list[Unit], jobs: int) -> Iterator[tuple[int, str | UserError]]:
    """The folder of every unit, or why there is none, in the order they end."""
    if jobs == 1:
        for index, unit in enumerate(units):
            yield index, _folder_of(lambda unit=unit: run_point(unit))
        return
    context = get_context("spawn")
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_start_worker)
    try:
        futures = {pool.submit(run_point, unit): index for index, unit in enumerate(units)}
        for future in as_completed(futures):
            yield futures[future], _folder_of(future.result)
    except BrokenExecutor as error:
        raise UserError(
            "a worker process died. It may have run out of memory (use fewer --jobs), or the "
            "script that started the sweep lacks `if __name__ == '__main__':` around its call. "
            "What is finished is kept: the same call goes on from there."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _folder_of(run: Callable[[], str]) -> str | UserError:
    try:
        return run()
    except UserError as error:
        return error
    except (MemoryError, torch.OutOfMemoryError) as error:
        return UserError(f"out of memory ({error}). Use fewer --jobs, or a smaller study.")


def _start_worker() -> None:
    """An interrupt ends a worker at once: rounds are committed whole, and a point takes long."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    keep_freed_memory()
    end_with_parent()


def _assembled(
    sweep: Sweep, out: Path, ended: Mapping[int, str | UserError], seconds: float
) -> SweepResults:
    """The points and fronts from every point's ``results.json``."""
    found: list[tuple[Point, str, Results]] = []
    failures: list[Failure] = []
    for index, point in enumerate(sweep.points):
        how = ended[index]
        if isinstance(how, UserError):
            failures.append(Failure(label=point.label, defense=point.series, reason=str(how)))
        else:
            found.append((point, f"points/{how}", read_results(out / "points" / how)))
    if not found:
        raise UserError(f"no point of {sweep.name} could be run. The first: {failures[0].reason}")
    reading = reading_of([results for _, _, results in found])
    points: list[SweepPoint] = []
    for point, folder, results in found:
        try:
            users = point_users(out / folder, results, point.settings)
            points.append(sweep_point(point, folder, results, reading, users))
        except UserError as error:
            failures.append(Failure(label=point.label, defense=point.series, reason=str(error)))
    return SweepResults(
        seepage=__version__,
        name=sweep.name,
        recipe=sweep.recipe,
        scale=sweep.scale,
        dataset=sweep.dataset,
        grid=sweep.grid,
        seeds=sweep.seeds,
        at=reading.at,
        target=reading.target,
        block=reading.block,
        points=points,
        fronts=sweep_fronts(points),
        failures=failures,
        seconds=seconds,
    )
