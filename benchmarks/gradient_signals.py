"""Gradient signals against the plain way and against one training pass, side by side in one run.

``python -m benchmarks.gradient_signals`` prints a Markdown table. Three things are timed in turn,
for each repetition, after one of each as warm-up; medians are reported:

* *plain*: per-sample gradients by ``vmap(grad)`` in batches of 10, flattened; then for every row a
  cosine, ``‖u - g‖²`` and ``‖g‖²``, in a loop; all of it again for every client. Timed on
  ``PLAIN_CANDIDATES`` candidates and one client and scaled up, both of which it is linear in;
* *pass*: one forward and one backward pass over the same candidates with the gradients of all
  parameters, in micro-batches of 100, channels last or not, whichever is faster;
* *ours*: ``seepage.signals.gradient_products``, from updates to products, checks included.

Operations are those of matrix products and convolutions, two for a multiplication with an addition.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from seepage.models import build
from seepage.signals import gradient_products

CLIENTS, CLASSES, SHAPE = 10, 100, (3, 32, 32)
CANDIDATES = {"alexnet": 400, "resnet18": 100}
PLAIN_CANDIDATES, PLAIN_BATCH, PASS_BATCH = 20, 10, 100
REPETITIONS = 5
MEMORY_SIZES = (200, 800)
HEAD = """\
| model | threads | n | plain, s, scaled | pass, s | ours, s | plain / ours | ours / pass |
|---|---|---|---|---|---|---|---|
"""
MEMORY_HEAD = """
| model | candidates | peak memory over the start of the call, MiB | candidates × parameters, MiB |
|---|---|---|---|
"""

Work = Callable[[], object]


def problem(name: str, n: int) -> tuple[nn.Module, Tensor, Tensor, Tensor]:
    """A model, candidates, labels and updates, drawn at random."""
    model = build(name, SHAPE, CLASSES, seed=0)
    rng = torch.Generator().manual_seed(0)
    size = sum(p.numel() for p in model.parameters())
    inputs = torch.randn(n, *SHAPE, generator=rng)
    labels = torch.randint(0, CLASSES, (n,), generator=rng)
    return model, inputs, labels, torch.randn(CLIENTS, size, generator=rng)


def plain_way(model: nn.Module, inputs: Tensor, labels: Tensor, update: Tensor) -> list[Tensor]:
    """One client's measures of every candidate: the plain way."""
    weights = {name: p.detach() for name, p in model.named_parameters()}

    def loss(weights: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return functional.cross_entropy(functional_call(model, weights, (x[None],)), y[None])

    rows = []
    for first in range(0, len(inputs), PLAIN_BATCH):
        batch = slice(first, first + PLAIN_BATCH)
        gradients = vmap(grad(loss), in_dims=(None, 0, 0))(weights, inputs[batch], labels[batch])
        matrix = torch.cat([g.flatten(1) for g in gradients.values()], 1)
        for g in matrix:
            cosine = functional.cosine_similarity(g, update, dim=0)
            rows.append(torch.stack([cosine, (update - g).square().sum(), g.square().sum()]))
    return rows


def training_pass(model: nn.Module, inputs: Tensor, labels: Tensor) -> None:
    """Forward and backward with all parameter gradients, as training does it."""
    model.zero_grad(set_to_none=True)
    for x, y in zip(inputs.split(PASS_BATCH), labels.split(PASS_BATCH), strict=True):
        functional.cross_entropy(model(x), y, reduction="sum").backward()
    model.zero_grad(set_to_none=True)


def works(name: str) -> dict[str, Work]:
    """What is timed for one model, by name."""
    model, inputs, labels, updates = problem(name, CANDIDATES[name])
    last = build(name, SHAPE, CLASSES, seed=0)
    for parameter in last.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    inputs_last = inputs.contiguous(memory_format=torch.channels_last)
    few = slice(0, PLAIN_CANDIDATES)
    return {
        "plain": lambda: plain_way(model, inputs[few], labels[few], updates[0]),
        "pass": lambda: training_pass(model, inputs, labels),
        "pass, channels last": lambda: training_pass(last, inputs_last, labels),
        "ours": lambda: gradient_products(model, inputs, labels, updates),
    }


def seconds(todo: dict[str, Work]) -> dict[str, float]:
    """Median seconds of each, taken in turn so that a busy machine slows all alike."""
    times: dict[str, list[float]] = {name: [] for name in todo}
    for repetition in range(REPETITIONS + 1):
        for name, work in todo.items():
            start = perf_counter()
            work()
            if repetition:
                times[name].append(perf_counter() - start)
    return {name: median(each) for name, each in times.items()}


def timing_row(name: str, threads: int) -> str:
    torch.set_num_threads(threads)
    n = CANDIDATES[name]
    taken = seconds(works(name))
    plain = taken["plain"] * n / PLAIN_CANDIDATES * CLIENTS
    one_pass = min(taken["pass"], taken["pass, channels last"])
    ours = taken["ours"]
    return (
        f"| {name} | {threads} | {n} | {plain:.1f} | {one_pass:.3f} | {ours:.3f} "
        f"| {plain / ours:.0f}× | {ours / one_pass:.2f} |\n"
    )


def operations(name: str) -> str:
    counts = {}
    for what, work in works(name).items():
        with FlopCounterMode(display=False) as counter:
            work()
        counts[what] = counter.get_total_flops() / 1e9
    plain = counts["plain"] * CANDIDATES[name] / PLAIN_CANDIDATES * CLIENTS
    return (
        f"\n{name}, {CANDIDATES[name]} candidates, {CLIENTS} updates, in GFLOP: plain {plain:.0f}, "
        f"pass {counts['pass']:.1f}, ours {counts['ours']:.1f}.\n"
    )


def memory_row(name: str, n: int) -> str:
    """Peak memory in a process of its own, over what it held when the call began."""
    command = [sys.executable, "-m", "benchmarks.gradient_signals", "memory", name, str(n)]
    grown = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    size = sum(p.numel() for p in build(name, SHAPE, CLASSES, seed=0).parameters())
    return f"| {name} | {n} | {grown:.0f} | {n * size * 4 / 2**20:.0f} |\n"


def peak_growth(name: str, n: int) -> float:
    """MiB by which one call raises the process's peak."""
    torch.set_num_threads(1)
    todo = problem(name, n)
    before = peak_kib()
    gradient_products(*todo)
    return (peak_kib() - before) / 1024


def peak_kib() -> int:
    """Peak resident memory of this process; Linux. ``ru_maxrss`` would count the parent's too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


def main() -> str:
    """All tables, as Markdown."""
    table = HEAD + "".join(timing_row(name, t) for name in CANDIDATES for t in (1, 2))
    table += "".join(operations(name) for name in CANDIDATES)
    return (
        table
        + MEMORY_HEAD
        + "".join(memory_row(name, n) for name in CANDIDATES for n in MEMORY_SIZES)
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["memory"]:
        print(peak_growth(sys.argv[2], int(sys.argv[3])))
    else:
        print(main())
