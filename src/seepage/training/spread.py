"""Training spread over any object with ``submit(function, argument) -> future``.

The standard library's executors have that method, and so have Dask's, Ray's wrappers and
submitit's. The unit of work is a pure function of one small picklable argument. What units share
(samples, the model, a start that several models have in common) is written once to a file named
by its content, which a worker reads once; so on several machines the folder must be shared.
"""

from __future__ import annotations

import hashlib
import pickle
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
import torch
from safetensors.torch import load_file, save, save_file
from torch import Tensor, nn

from seepage.records import UserError
from seepage.training.chunk import train_chunk
from seepage.training.layout import own_copy
from seepage.training.local import Job, Samples
from seepage.training.plan import Plan, cpu_threads
from seepage.training.worker import start_worker

if TYPE_CHECKING:
    from seepage.records import State

Arrays = dict[str, np.ndarray]


class Future(Protocol):
    """What ``submit`` returns."""

    def result(self) -> Any: ...


class Executor(Protocol):
    """Anything that runs functions elsewhere."""

    def submit(self, function: Any, argument: Any, /) -> Future: ...


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One model to train: all that a worker needs. Paths, an array and bytes.

    Attributes:
        samples: Path of the file with all samples.
        classes: Number of classes.
        model: Path of the pickled architecture.
        start: Path of the parameters to start from.
        member: The model's number.
        rows: Its rows of the samples.
        job: The pickled :class:`Job`.
        threads: CPU threads.
        channels_last: As in :class:`Plan`.
        validation: Path of the file with the samples that choose the best epoch, or None.
    """

    samples: str
    classes: int
    model: str
    start: str
    member: int
    rows: np.ndarray
    job: bytes
    threads: int
    channels_last: bool
    validation: str | None


@dataclass(frozen=True)
class _Mapped:
    inputs: Tensor
    labels: Tensor
    classes: int


def work(unit: Unit) -> Arrays:
    """Train one model. A pure function of its argument."""
    with cpu_threads(unit.threads):
        trained = train_chunk(
            _model(unit.model, unit.channels_last),
            [_start(unit.start)],
            {unit.member: torch.from_numpy(unit.rows)},
            _Mapped(*_samples(unit.samples), unit.classes),
            pickle.loads(unit.job),
            _Mapped(*_samples(unit.validation), unit.classes) if unit.validation else None,
        )
    return {name: value.numpy() for name, value in trained[unit.member].items()}


@lru_cache(maxsize=2)  # those to train on and those that choose the best epoch
def _samples(path: str) -> tuple[Tensor, Tensor]:
    tensors = load_file(path)
    return tensors["inputs"], tensors["labels"]


@lru_cache(maxsize=1)
def _start(path: str) -> State:
    return load_file(path)


@lru_cache(maxsize=1)
def _model(path: str, channels_last: bool) -> nn.Module:
    return own_copy(pickle.loads(Path(path).read_bytes()), channels_last=channels_last)


class Spread:
    """Workers that stay for a whole run, with its samples in a file they share.

    Use it in a ``with`` block. Workers of its own (spawned processes, one core each) end with the
    block; those of an executor that was handed in are left alone.

    Args:
        samples: All samples.
        workers: Worker processes to start when no executor is given.
        executor: Anything with ``submit``.
        folder: Where the samples are written; a temporary folder if None. Workers on other
            machines must see it under the same path.
    """

    def __init__(
        self,
        samples: Samples,
        *,
        workers: int = 1,
        executor: Executor | None = None,
        folder: Path | str | None = None,
    ) -> None:
        self._samples = samples
        self._workers = workers
        self._given = executor
        self._folder = folder

    def __enter__(self) -> Self:
        self._temporary = tempfile.TemporaryDirectory(prefix="seepage-", dir=self._folder)
        self._path = str(Path(self._temporary.name) / "samples.safetensors")
        save_file(_tensors(self._samples), self._path)
        self._own = None
        if self._given is None:
            self._own = ProcessPoolExecutor(
                self._workers, mp_context=get_context("spawn"), initializer=start_worker
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._own is not None:
            self._own.shutdown(cancel_futures=True)
        self._temporary.cleanup()

    def train(
        self,
        model: nn.Module,
        starts: Sequence[State],
        shards: Mapping[int, Tensor],
        job: Job,
        plan: Plan,
        validation: Samples | None = None,
    ) -> dict[int, State]:
        """Every model of ``shards``, submitted in that order.

        Raises:
            UserError: Training diverged, a worker died, or model or hooks cannot be sent.
            RuntimeError: A worker failed otherwise; the message names the model and the round.
        """
        executor = self._own or self._given
        assert executor is not None
        sent = self._shared(_pickled(model, "model")), _pickled(job, "defense's hooks")
        chosen_by = None
        if job.settings.keep == "best" and validation is not None:
            chosen_by = self._shared(save(_tensors(validation)))
        paths = {id(start): self._shared(save(_on_cpu(start))) for start in starts}
        futures = [
            executor.submit(
                work,
                Unit(
                    samples=self._path,
                    classes=self._samples.classes,
                    model=sent[0],
                    start=paths[id(start)],
                    member=member,
                    rows=rows.cpu().numpy(),
                    job=sent[1],
                    threads=plan.threads,
                    channels_last=plan.channels_last,
                    validation=chosen_by,
                ),
            )
            for start, (member, rows) in zip(starts, shards.items(), strict=True)
        ]
        done = [_result(f, m, job) for f, m in zip(futures, shards, strict=True)]
        for path in set(paths.values()):
            Path(path).unlink()
        return {
            member: {name: torch.from_numpy(value) for name, value in arrays.items()}
            for member, arrays in zip(shards, done, strict=True)
        }

    def _shared(self, content: bytes) -> str:
        """The path of a file that holds ``content``, named by it."""
        path = Path(self._temporary.name) / hashlib.sha256(content).hexdigest()
        if not path.exists():
            path.write_bytes(content)
        return str(path)


def _on_cpu(state: State) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}


def _tensors(samples: Samples) -> dict[str, Tensor]:
    return _on_cpu({"inputs": samples.inputs, "labels": samples.labels})


def _pickled(what: object, name: str) -> bytes:
    try:
        return pickle.dumps(what)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise UserError(
            f"the {name} cannot be sent to worker processes: {error}. Define its classes and "
            "functions at the top level of a module, or use the plan 'one_by_one'."
        ) from error


def _result(future: Future, member: int, job: Job) -> Arrays:
    where = f"{job.role} {member}, round {job.round_number}"
    try:
        return future.result()
    except UserError:
        raise
    except BrokenExecutor as error:
        raise UserError(
            f"{where}: a worker process died. It may have run out of memory (use fewer "
            "compute.workers), or the script that started the run lacks "
            "`if __name__ == '__main__':` around its call."
        ) from error
    except Exception as error:
        raise RuntimeError(f"{where}: a worker failed: {type(error).__name__}: {error}") from error
