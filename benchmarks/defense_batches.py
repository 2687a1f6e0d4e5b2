"""What defenses on batches add to a round of a federation.

Run: python -m benchmarks.defense_batches     (some minutes)

Every side trains the same made-up images from the same weights, in turns; each figure is the median
over the turns of one run, after a turn to warm up. The limit is for augmentation and mixup.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch

from benchmarks.federated_round import Case, State, side_by_side
from seepage import models
from seepage.defenses import augmentation, instahide, mixup
from seepage.federation import run, settings_of
from seepage.protocols import Defense
from seepage.records import Dataset, Split
from seepage.training import choose_plan, keep_freed_memory

SEED, RATE, BATCH, CLIENTS, SAMPLES = 0, 0.01, 20, 10, 100
LIMIT = 1.15


def case(model: str, shape: tuple[int, ...], turn: int, turns: int) -> Case:
    """Ten clients of 100 images each."""
    number = CLIENTS * SAMPLES
    rng = torch.Generator().manual_seed(SEED)
    pixels = torch.rand(number, *shape, generator=rng)
    data = Dataset(
        name="random",
        inputs=(pixels - 0.5) / 0.25,
        labels=torch.randint(0, 10, (number,), generator=rng),
        classes=10,
        n_train=None,
        mean=(0.5,) * shape[0],
        std=(0.25,) * shape[0],
        checksum="",
    )
    split = Split(clients=tuple(np.split(np.arange(number), CLIENTS)), held_out=np.arange(0))
    title = f"{model}, images of {'×'.join(map(str, shape))}, batches of {BATCH}"
    return Case(title, models.build(model, shape, 10, seed=SEED), data, split, turn, turns)


def rounds(case: Case, defense: Defense | None) -> Iterator[State]:
    """Global parameters after each round."""
    settings = settings_of(rounds=case.rounds, batch_size=BATCH, learning_rate=RATE)
    plan = choose_plan(case.model, device="cpu", clients=CLIENTS, may_spawn=False)
    for what in run(
        case.model, case.dataset, case.split, settings, seed=SEED, defense=defense, plan=plan
    ):
        yield dict(what.after)


def table(case: Case) -> str:
    """One Markdown table."""
    augmented = partial(augmentation, mean=case.dataset.mean, std=case.dataset.std)
    sides = {
        "no defense": None,
        "augmentation, every part": augmented(),
        "augmentation, crop and flip left to right": augmented(
            vertical_flip=0, degrees=0, brightness=0, contrast=0
        ),
        "mixup": mixup(),
        "instahide": instahide(),
    }
    found = side_by_side(case, {name: rounds(case, defense) for name, defense in sides.items()})
    base = found["no defense"][0]
    lines = [f"**{case.title}**, {case.turns} turns of {case.turn} rounds, one thread", ""]
    lines += ["| defense | ms a round | against no defense | limit |", "|---|---:|---:|---:|"]
    for name, (seconds, _) in found.items():
        limit = f"{LIMIT:.2f}×" if name.startswith(("augmentation", "mixup")) else "–"
        lines.append(f"| {name} | {1e3 * seconds:.1f} | {seconds / base:.3f}× | {limit} |")
    return "\n".join(lines)


def main() -> str:
    """Both tables."""
    keep_freed_memory()  # as the command line and its workers do
    cases = [
        case("cnn_cifar", (3, 32, 32), turn=1, turns=7),
        case("cnn_mnist", (1, 28, 28), turn=2, turns=11),
    ]
    return "\n\n".join(table(each) for each in cases)


if __name__ == "__main__":
    print(main())
