"""How long one round of a federation takes, beside the plain way of doing the same work.

``python -m benchmarks.federated_round`` prints a Markdown table. All programs of a part start from
the same weights, meet the same batches in the same order and do the same number of rounds in
turns; each figure is the median over the turns of one run, after a turn to warm up. The digest is
the sum of the absolute values of the final weights: equal digests mean equal arithmetic.

The plain loop keeps nothing but the running average and gets its batch orders for free; ours draws
them, keeps every upload and checks it. Peers are timed by their own interpreters, named by
``SEEPAGE_BENCH_PFL_PYTHON`` and ``SEEPAGE_BENCH_FLWR_PYTHON``, and left out where those are not
set.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from seepage._rng import torch_child
from seepage.federation import run, settings_of
from seepage.records import Dataset, Split
from seepage.training import Plan, choose_plan, cpu_threads

SEED, RATE, BATCH = 0, 0.1, 32
PEERS = {"pfl-research": "SEEPAGE_BENCH_PFL_PYTHON", "Flower": "SEEPAGE_BENCH_FLWR_PYTHON"}

State = dict[str, Tensor]


@dataclass(frozen=True)
class Case:
    """One task: a model, samples, shares of them, and how long to measure."""

    title: str
    model: nn.Module
    dataset: Dataset
    split: Split
    turn: int
    turns: int
    peers: bool = False

    @property
    def rounds(self) -> int:
        return self.turn * (self.turns + 1)


def digits() -> Case:
    """The embedded digits, an MLP 64–128–10, ten clients of 143 or 144 samples."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    inputs = torch.tensor(bunch.data / 16, dtype=torch.float32)
    order = np.random.default_rng(SEED).permutation(len(inputs))[:1437]
    split = Split(
        clients=tuple(np.sort(part) for part in np.array_split(order, 10)), held_out=order[:0]
    )
    torch.manual_seed(SEED)
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    data = _dataset("digits", inputs, torch.tensor(bunch.target))
    return Case("digits, MLP 64–128–10, K = 10", model, data, split, turn=20, turns=9, peers=True)


def images() -> Case:
    """Random 28×28 images, two convolutions and two linear layers, ten clients of 500."""
    torch.manual_seed(SEED)
    model = nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(3136, 128), nn.ReLU(), nn.Linear(128, 10),
    )  # fmt: skip
    data = _dataset("random", torch.randn(5000, 1, 28, 28), torch.randint(0, 10, (5000,)))
    split = Split(clients=tuple(np.split(np.arange(5000), 10)), held_out=np.arange(0))
    return Case("28×28 images, CNN of 421,642 parameters, K = 10", model, data, split, 1, 5)


def _dataset(name: str, inputs: Tensor, labels: Tensor) -> Dataset:
    return Dataset(
        name=name,
        inputs=inputs,
        labels=labels,
        classes=10,
        n_train=None,
        mean=(0.0,),
        std=(1.0,),
        checksum="",
    )


def orders(case: Case) -> list[list[Tensor]]:
    """The rows each client meets in each round, in order: those that our engine draws."""
    return [
        [
            torch.from_numpy(ids)[
                torch.randperm(
                    len(ids),
                    generator=torch_child(SEED, "client", k, "round", number, "epoch", 0),
                )
            ]
            for k, ids in enumerate(case.split.clients)
        ]
        for number in range(1, case.rounds + 1)
    ]


def plain(case: Case) -> Iterator[State]:
    """FedAvg as one would write it with a module, ``torch.optim.SGD`` and tensors for data."""
    import copy

    model, inputs, labels = copy.deepcopy(case.model), case.dataset.inputs, case.dataset.labels
    state = {n: p.detach().clone() for n, p in model.state_dict().items()}
    total = sum(map(len, case.split.clients))
    criterion = nn.CrossEntropyLoss()
    for clients in orders(case):
        mean = {n: torch.zeros_like(p) for n, p in state.items()}
        for order in clients:
            model.load_state_dict(state)
            optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
            for batch in order.split(BATCH):
                optimizer.zero_grad()
                criterion(model(inputs[batch]), labels[batch]).backward()
                optimizer.step()
            with torch.no_grad():
                for name, parameter in model.named_parameters():
                    mean[name].add_(parameter, alpha=len(order) / total)
        state = mean
        yield state


def ours(case: Case, plan: Plan) -> Iterator[State]:
    """The same through :func:`seepage.federation.run`."""
    settings = settings_of(rounds=case.rounds, batch_size=BATCH, learning_rate=RATE)
    for what in run(case.model, case.dataset, case.split, settings, seed=SEED, plan=plan):
        yield dict(what.after)


def side_by_side(
    case: Case, programs: dict[str, Iterator[State]]
) -> dict[str, tuple[float, float]]:
    """Median seconds a round and digest of each program, taking turns."""
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    digest = {}
    with cpu_threads(1):
        for _ in range(case.turns + 1):
            for name, states in programs.items():
                began = time.perf_counter()
                for _ in range(case.turn):
                    state = next(states)
                seconds[name].append((time.perf_counter() - began) / case.turn)
                digest[name] = float(sum(p.double().abs().sum() for p in state.values()))
    return {name: (statistics.median(times[1:]), digest[name]) for name, times in seconds.items()}


def peer(name: str, case: Case) -> tuple[float, float] | None:
    """Seconds a round and digest of a peer, from a script run by the peer's own interpreter."""
    python = os.environ.get(PEERS[name])
    if not python:
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "task.npz"
        rows = np.concatenate([np.concatenate(r) for r in orders(case)])
        np.savez(
            path,
            inputs=case.dataset.inputs.numpy(),
            labels=case.dataset.labels.numpy(),
            sizes=[len(ids) for ids in case.split.clients],
            orders=rows.reshape(case.rounds, -1),
            warm=case.turn,
            **{f"start/{n}": p.detach().numpy() for n, p in case.model.named_parameters()},
        )
        script = Path(__file__).parent / "peers" / f"{name.split('-')[0].lower()}_round.py"
        quiet = {"FLWR_TELEMETRY_ENABLED": "0", "RAY_USAGE_STATS_ENABLED": "0"}
        out = subprocess.run(
            [python, script, path],
            capture_output=True,
            text=True,
            env={**os.environ, **quiet, "OMP_NUM_THREADS": "1"},
            check=True,
        )
    answer = json.loads(out.stdout.strip().splitlines()[-1])
    return answer["seconds"], answer["digest"]


def table(case: Case, plans: dict[str, Plan]) -> str:
    """One Markdown table."""
    programs = {"plain loop, one thread": plain(case)}
    programs |= {f"seepage: {name}": ours(case, plan) for name, plan in plans.items()}
    rows = side_by_side(case, programs)
    notes = []
    for name in PEERS if case.peers else ():
        found = peer(name, case)
        if found is None:
            notes.append(f"{name}: left out, {PEERS[name]} is not set.")
        else:
            rows[name] = found
    base, digest = rows["plain loop, one thread"]
    for name, (_, other) in rows.items():
        if abs(other - digest) > 1e-4 * digest:
            raise RuntimeError(f"{name} did other arithmetic: digest {other}, not {digest}")
    lines = [f"**{case.title}**, {case.turns} turns of {case.turn} rounds", ""]
    lines += ["| program | ms a round | rounds/s | against the plain loop | digest |"]
    lines += ["|---|---:|---:|---:|---:|"]
    lines += [
        f"| {name} | {1e3 * s:.2f} | {1 / s:.1f} | {base / s:.2f}× | {d:.4f} |"
        for name, (s, d) in rows.items()
    ]
    return "\n".join([*lines, *(["", *notes] if notes else [])])


def main() -> str:
    """Both tables."""
    parts: list[tuple[Callable[[], Case], dict[str, Plan] | None]] = [
        (digits, {"one by one": Plan(kind="one_by_one")}),
        (images, {"one by one, channels last": Plan(kind="one_by_one", channels_last=True)}),
    ]
    tables = []
    for make, others in parts:
        case = make()
        best = choose_plan(case.model, device="cpu", clients=len(case.split.clients))
        tables.append(table(case, {str(best): best} | (others or {})))
    return "\n\n".join(tables)


if __name__ == "__main__":
    print(main())
