"""How long the many models of a black-box audit take to train, beside a DataLoader loop for each.

``python -m benchmarks.reference_models`` prints Markdown. All programs of a part start from the
same weights, meet the same batches in the same order and train the same models in turns; each
figure is the median over the turns of one run, after a turn to warm up. The digest is the sum of
the absolute values of all final weights: equal digests mean equal arithmetic.

A turn of the large network is ten epochs, where the study of Location30 trains for 50 or 100: what
it costs to send a model to a worker and back weighs a little more here than there.

The loop is what one would write with ``DataLoader``, ``torch.optim.SGD`` and one model after
another; it gets its batch orders for free. Samples are made up, in the shape of Location30: 446
features of 0 and 1, 30 classes.
"""

from __future__ import annotations

import copy
import os
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.data import DataLoader, TensorDataset

from seepage.training import (
    LocalTraining,
    Plan,
    Softened,
    Spread,
    choose_plan,
    cpu_threads,
    keep_freed_memory,
    train,
)
from seepage.training.local import Job
from seepage.training.worker import start_worker

SEED, RATE, RECORDS, ROLE = 0, 0.1, 5010, "reference"
PRODUCTS = ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm")
KINDS = {
    "matrix products": PRODUCTS,
    "optimizer": ("aten::_fused_sgd_",),
    "gather": ("aten::index_select",),
    "activation": ("aten::tanh", "aten::tanh_backward"),
}

State = dict[str, Tensor]


@dataclass(frozen=True)
class Case:
    """One task: an MLP, how many of it, records of each, epochs a turn and turns."""

    widths: tuple[int, ...]
    models: int = 16
    rows: int = 1350
    epochs: int = 1
    turns: int = 5

    @property
    def title(self) -> str:
        size = sum(a * b + b for a, b in zip(self.widths, self.widths[1:], strict=False))
        shape = "–".join(map(str, self.widths))
        what = f"{self.models} MLPs {shape} ({size:,} parameters)"
        return f"{what}, {self.rows:,} records each, epochs a turn: {self.epochs}"

    @property
    def settings(self) -> LocalTraining:
        return LocalTraining(epochs=self.epochs, batch_size=64, momentum=0.9)

    @property
    def steps(self) -> int:
        return self.models * self.settings.steps(self.rows)

    @property
    def flop(self) -> int:
        """Of one step's products: forward, weights, and inputs of all layers but the first."""
        products = [a * b for a, b in zip(self.widths, self.widths[1:], strict=False)]
        return 2 * 64 * (3 * sum(products) - products[0])


LARGE = Case((446, 1024, 512, 256, 128, 30), epochs=10, turns=2)
SMALL = Case((446, 64, 30), epochs=4)


@dataclass(frozen=True)
class Task:
    """A case made: the architecture and its start, all samples, each model's rows."""

    model: nn.Module
    start: State
    samples: Softened
    shards: dict[int, Tensor]


@lru_cache(maxsize=2)
def task(case: Case) -> Task:
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        layers = []
        for width, following in zip(case.widths, case.widths[1:], strict=False):
            layers += [nn.Linear(width, following), nn.Tanh()]
        model = nn.Sequential(*layers[:-1])
        inputs = (torch.rand(RECORDS, case.widths[0]) < 0.12).float()
        labels = torch.randint(0, case.widths[-1], (RECORDS,))
        shards = {k: torch.randperm(RECORDS)[: case.rows] for k in range(case.models)}
    start = {name: p.detach().clone() for name, p in model.named_parameters()}
    return Task(model, start, Softened(inputs, labels, case.widths[-1]), shards)


def loop(case: Case) -> dict[int, State]:
    """One DataLoader loop per model, one after another."""
    made, trained = task(case), {}
    job = Job(settings=case.settings, learning_rate=RATE, seed=SEED, role=ROLE)
    orders = {
        k: [job.order(k, epoch, case.rows).tolist() for epoch in range(case.epochs)]
        for k in made.shards
    }
    for number, rows in made.shards.items():
        model = copy.deepcopy(made.model)
        optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=0.9)
        criterion = nn.CrossEntropyLoss()
        data = TensorDataset(made.samples.inputs[rows], made.samples.labels[rows])
        for order in orders[number]:
            for inputs, labels in DataLoader(data, batch_size=64, sampler=order):
                optimizer.zero_grad()
                criterion(model(inputs), labels).backward()
                optimizer.step()
        trained[number] = {n: p.detach() for n, p in model.named_parameters()}
    return trained


def ours(case: Case, plan: Plan, *, spread: Spread | None = None) -> dict[int, State]:
    """The same through :func:`seepage.training.train`."""
    return part(case, plan, tuple(range(case.models)), spread=spread)


def part(
    case: Case, plan: Plan, numbers: tuple[int, ...], *, spread: Spread | None = None
) -> dict[int, State]:
    """Some of the models; what a worker of a study is given."""
    made = task(case)
    trained = train(
        made.model,
        made.start,
        {number: made.shards[number] for number in numbers},
        made.samples,
        case.settings,
        learning_rate=RATE,
        seed=SEED,
        role=ROLE,
        plan=plan,
        spread=spread,
    )
    return {number: dict(state) for number, state in trained.items()}


def in_workers(case: Case, plan: Plan, pool: Executor, workers: int) -> dict[int, State]:
    """Chunks of models over worker processes, as a study with reference models spreads them."""
    each = -(-case.models // workers)
    parts = [tuple(range(i, min(i + each, case.models))) for i in range(0, case.models, each)]
    done = [pool.submit(part, case, plan, numbers) for numbers in parts]
    return {number: state for future in done for number, state in future.result().items()}


def side_by_side(
    case: Case, programs: dict[str, tuple[int, Callable[[], dict[int, State]]]]
) -> dict[str, tuple[float, float]]:
    """Median seconds a step of one model and digest of each program, taking turns."""
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    digest = {}
    for _ in range(case.turns + 1):
        for name, (threads, program) in programs.items():
            with cpu_threads(threads):
                began = time.perf_counter()
                states = program()
                seconds[name].append((time.perf_counter() - began) / case.steps)
            digest[name] = sum(
                float(p.double().abs().sum()) for s in states.values() for p in s.values()
            )
    return {name: (statistics.median(times[1:]), digest[name]) for name, times in seconds.items()}


def table(case: Case, programs: dict[str, tuple[int, Callable[[], dict[int, State]]]]) -> str:
    """One Markdown table; ratios are to the faster of the loops."""
    rows = side_by_side(case, programs)
    loops = [found for name, found in rows.items() if name.startswith("DataLoader")]
    base, digest = min(loops)
    for name, (_, other) in rows.items():
        if abs(other - digest) > 1e-4 * digest:
            raise RuntimeError(f"{name} did other arithmetic: digest {other}, not {digest}")
    lines = [f"**{case.title}**, {case.turns} turns", ""]
    lines += ["| program | ms a step of one model | against the best loop | digest |"]
    lines += ["|---|---:|---:|---:|"]
    lines += [f"| {n} | {1e3 * s:.3f} | {base / s:.2f}× | {d:.2f} |" for n, (s, d) in rows.items()]
    return "\n".join(lines)


def loops(case: Case) -> dict[str, tuple[int, Callable[[], dict[int, State]]]]:
    """The loop at each thread setting."""
    return {
        f"DataLoader loop, {threads} thread(s)": (threads, lambda: loop(case))
        for threads in sorted({1, os.cpu_count() or 1})
    }


def product_rate(case: Case) -> float:
    """FLOP a second of ``torch.mm`` on the products of one step, each alone, on one thread."""
    seconds = 0.0
    for number, (before, after) in enumerate(zip(case.widths, case.widths[1:], strict=False)):
        inputs, weights, errors = (
            torch.rand(64, before),
            torch.rand(after, before),
            torch.rand(64, after),
        )
        products = [(inputs, weights.t()), (errors.t(), inputs), (errors, weights)]
        for one, other in products if number else products[:2]:
            times = []
            for _ in range(60):
                began = time.process_time()
                torch.mm(one, other)
                times.append(time.process_time() - began)
            seconds += statistics.median(times[10:])
    return case.flop / seconds


def shares(case: Case, plan: Plan) -> dict[str, float]:
    """What part of the time of training goes where, by the profiler's own count."""
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        ours(case, plan)
    events = {event.key: event.self_cpu_time_total for event in profiler.key_averages()}
    whole = sum(events.values())
    found = {
        kind: sum(events.get(name, 0.0) for name in names) / whole for kind, names in KINDS.items()
    }
    return found | {"the rest": 1 - sum(found.values())}


def breakdown(case: Case, plan: Plan) -> str:
    """Where the time of one core goes, in CPU time: what else the machine does is not counted."""
    rates, times = [], []
    with cpu_threads(1):
        ours(case, plan)
        for _ in range(case.turns):
            rates.append(product_rate(case))
            began = time.process_time()
            ours(case, plan)
            times.append((time.process_time() - began) / case.steps)
        parts = shares(case, plan)
    rate, achieved = statistics.median(rates), case.flop / statistics.median(times)
    listed = ", ".join(f"{kind} {share:.0%}" for kind, share in parts.items())
    return (
        f"One core, {plan.kind}: {achieved / 1e9:.1f} GFLOP/s over the whole of training, "
        f"{achieved / rate:.0%} of the {rate / 1e9:.1f} that `torch.mm` reaches on the same shapes "
        f"alone. By the profiler: {listed}."
    )


@contextmanager
def workers(count: int) -> Iterator[Executor]:
    """Processes that stay, one thread each."""
    pool = ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=start_worker)
    with pool:
        yield pool


def main() -> str:
    """Both tables, each with where its time goes."""
    cores = os.cpu_count() or 1
    large = choose_plan(task(LARGE).model, device="cpu", clients=LARGE.models, workers=cores)
    small = choose_plan(task(SMALL).model, device="cpu", clients=SMALL.models)
    alone = Plan(kind="one_by_one")
    with Spread(task(LARGE).samples, workers=cores) as spread:
        programs = loops(LARGE) | {
            f"seepage: {large}": (1, lambda: ours(LARGE, large, spread=spread)),
            f"seepage: {alone}": (1, lambda: ours(LARGE, alone)),
        }
        of_large = table(LARGE, programs)
    with workers(cores) as pool:
        programs = loops(SMALL) | {
            f"seepage: {small}": (1, lambda: ours(SMALL, small)),
            f"seepage: the same in {cores} worker processes": (
                1,
                lambda: in_workers(SMALL, small, pool, cores),
            ),
        }
        of_small = table(SMALL, programs)
    keep_freed_memory()  # as the command line and its workers do; the loops above ran without
    return "\n\n".join([of_large, breakdown(LARGE, alone), of_small, breakdown(SMALL, small)])


if __name__ == "__main__":
    print(main())
