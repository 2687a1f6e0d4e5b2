"""The work of training reference models, cut into units and spread over anything that submits.

A unit is a pure function of (bench, numbers) that writes one file a model and skips the models
whose files stand. Resuming, job arrays and many machines need nothing else.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from seepage.records import UserError
from seepage.reference.bench import Bench
from seepage.reference.store import ModelStore
from seepage.reference.workspace import workspace
from seepage.training import Executor, cpu_threads
from seepage.training.worker import start_worker

Tell = Callable[[int, int], None]
"""``(models done, models in all)``."""


@dataclass(frozen=True, kw_only=True)
class Unit:
    """Models to train and to question: all that a worker needs, small and picklable.

    Attributes:
        bench: Path of the pickled bench, without its samples.
        samples: Path of the samples.
        folder: The store's folder.
        numbers: The models.
    """

    bench: str
    samples: str
    folder: str
    numbers: tuple[int, ...]


def train_models(
    bench: Bench,
    store: ModelStore,
    *,
    numbers: Sequence[int] | None = None,
    workers: int = 1,
    executor: Executor | None = None,
    tell: Tell | None = None,
) -> None:
    """Train and question every model that is not yet in the store.

    Guarantees:
        * a finished model is never trained again, and one whose answers are there is not asked
          again;
        * killed at any moment, the same call goes on after the last finished unit and ends with
          the same numbers (up to rounding, where the kill came while a stack was written);
        * a model's numbers do not depend on workers, order or on which others are trained, up to
          rounding.

    Args:
        bench: What is trained, on what, and what is asked.
        store: Where models and answers are kept.
        numbers: The models to see to; None is all of them.
        workers: Processes to start when no executor is given; 1 works in this process.
        executor: Anything with ``submit(function, argument) -> future``. Its workers must see the
            store's folder.
        tell: Told how many models are done.

    Raises:
        UserError: Training diverged, a worker died, or something cannot be sent to workers.
    """
    if executor is not None and bench.dataset.inputs.is_cuda:
        raise UserError(
            "workers of an executor train on the CPU, and this study is on a GPU. Set "
            "compute.device = 'cpu', or leave the executor out."
        )
    wanted = list(range(bench.models)) if numbers is None else list(numbers)
    units = [part for part in _cut(wanted, bench, workers) if not _finished(part, bench, store)]
    done = len(wanted) - sum(map(len, units))
    if tell:
        tell(done, len(wanted))
    if executor is None and (workers == 1 or len(units) < 2):
        finished = (see_to(bench, store, part) for part in units)
    else:
        finished = _spread(bench, store, units, workers, executor)
    for count in finished:
        done += count
        if tell:
            tell(done, len(wanted))


def share_of(models: int, index: int, of: int) -> list[int]:
    """The models of job ``index`` of ``of``: every ``of``-th pair, so that shares are alike.

    Raises:
        UserError: ``index`` is not in ``[0, of)``.
    """
    if not 0 <= index < of:
        raise UserError(f"--index {index} --of {of}: expected an index from 0 to {of - 1}.")
    return [number for number in range(models) if number // 2 % of == index]


def see_to(bench: Bench, store: ModelStore, numbers: Sequence[int]) -> int:
    """Train what is not trained, ask what is not asked, and say how many models that makes."""
    found = {number: store.get(bench.keys[number]) for number in numbers}
    untrained = [number for number in numbers if found[number] is None]
    with cpu_threads(bench.plan.threads):
        for number, fitted in (bench.fit(untrained) if untrained else {}).items():
            store.put(bench.keys[number], fitted)
            found[number] = fitted
        for number, fitted in found.items():
            assert fitted is not None
            asked = bench.measuring
            if not store.has_answers(bench.keys[number], asked):
                store.put_answers(bench.keys[number], asked, bench.measure(number, fitted))
    return len(numbers)


def work(unit: Unit) -> int:
    """See to a unit, in a process that knows nothing yet."""
    return see_to(_bench(unit.bench, unit.samples), ModelStore(unit.folder), unit.numbers)


@lru_cache(maxsize=1)
def _bench(path: str, samples: str) -> Bench:
    bench: Bench = pickle.loads(Path(path).read_bytes())
    tensors = load_file(samples)
    return replace(bench, dataset=replace(bench.dataset, **tensors))


def _finished(part: Sequence[int], bench: Bench, store: ModelStore) -> bool:
    return all(store.has_answers(bench.keys[n], bench.measuring) for n in part)


def _cut(numbers: Sequence[int], bench: Bench, workers: int) -> list[tuple[int, ...]]:
    """Units of a chunk of models; smaller ones where workers would be left without work.

    Finished models are cut with the others: a run that goes on meets the same units.
    """
    size = bench.together
    if workers > 1:
        size = max(1, min(size, -(-len(numbers) // workers)))
    return [tuple(numbers[i : i + size]) for i in range(0, len(numbers), size)]


def _spread(
    bench: Bench,
    store: ModelStore,
    units: Sequence[tuple[int, ...]],
    workers: int,
    executor: Executor | None,
) -> Iterator[int]:
    with workspace(store.folder) as shared:
        sent = _send(bench, shared)
        with _workers(executor, min(workers, len(units))) as pool:
            futures = [
                pool.submit(work, Unit(folder=str(store.folder), numbers=part, **sent))
                for part in units
            ]
            for future in _in_turn(futures):
                yield _count(future)


def _send(bench: Bench, folder: Path) -> dict[str, str]:
    data = bench.dataset
    samples, path = folder / "samples.safetensors", folder / "bench"
    save_file(
        {"inputs": data.inputs.cpu().contiguous(), "labels": data.labels.cpu().contiguous()},
        samples,
    )
    nothing = replace(data, inputs=data.inputs[:0], labels=data.labels[:0])
    light = replace(bench, dataset=nothing)
    try:
        path.write_bytes(pickle.dumps(light))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise UserError(
            f"the model or the defense cannot be sent to worker processes: {error}. Define it at "
            "the top level of a module, or use compute.plan = 'one_by_one'."
        ) from error
    return {"bench": str(path), "samples": str(samples)}


@contextmanager
def _workers(executor: Executor | None, count: int) -> Iterator[Any]:
    if executor is not None:
        yield executor
        return
    pool = ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=start_worker)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _in_turn(futures: Sequence[Any]) -> Iterator[Any]:
    """As they finish, where they are the standard library's; else in their own order."""
    try:
        yield from as_completed(futures)
    except (AttributeError, TypeError):
        yield from futures


def _count(future: Any) -> int:
    try:
        return future.result()
    except UserError:
        raise
    except BrokenExecutor as error:
        raise UserError(
            "a worker process died. It may have run out of memory (use fewer compute.workers), or "
            "the script that started the run lacks `if __name__ == '__main__':` around its call. "
            "The same command goes on from the last finished model."
        ) from error
