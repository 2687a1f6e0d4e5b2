"""What a curious participant's generator adds to a round of a federation.

Run: python -m benchmarks.curious_participant     (about a minute)

Every side trains the same made-up images from the same weights, in turns; each figure is the median
over the turns of one run, after a turn to warm up. The settings are those of the quick recipe. The
attack's own work is to stay below the training of the same rounds: less than 2×.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from benchmarks.federated_round import Case, State, side_by_side
from seepage import models
from seepage.federation import run, settings_of
from seepage.insiders import Generation, generating
from seepage.protocols import Insider
from seepage.records import Dataset, Split
from seepage.training import choose_plan, keep_freed_memory

SEED, RATE, BATCH, SHARE = 0, 0.01, 50, 0.2
IMAGES = 40
SIZES = (1000, 1000, 2000, 3000, 3000)
SHAPE, CLASSES = (1, 28, 28), 10
SOON = 1e-9
"""An accuracy that is reached in the first round: drawing starts at once."""

LIMIT = 2.0


def case(turn: int, turns: int) -> Case:
    """Five clients with as many images as in the quick recipe, labels drawn at random."""
    number = sum(SIZES)
    rng = torch.Generator().manual_seed(SEED)
    pixels = torch.rand(number, *SHAPE, generator=rng)
    data = Dataset(
        name="random",
        inputs=(pixels - 0.5) / 0.25,
        labels=torch.randint(0, CLASSES, (number,), generator=rng),
        classes=CLASSES + 1,
        n_train=None,
        mean=(0.5,),
        std=(0.25,),
        checksum="",
    )
    parts = np.split(np.arange(number), np.cumsum(SIZES)[:-1])
    title = f"cnn_mnist, five clients of {min(SIZES)} to {max(SIZES)} images, a fifth a round"
    model = models.build("cnn_mnist", SHAPE, CLASSES + 1, seed=SEED)
    split = Split(clients=tuple(parts), held_out=np.arange(0))
    return Case(title, model, data, split, turn, turns)


def insider(case: Case, *, active: bool, steps: int) -> Insider:
    """Client 0 with a generator that begins at once."""
    generation = Generation(
        classes=CLASSES,
        shape=SHAPE,
        mean=case.dataset.mean,
        std=case.dataset.std,
        active=active,
        start=SOON,
        steps=steps,
        batch_size=IMAGES,
    )
    return generating([0], generation, case.model)


def rounds(case: Case, who: Insider | None) -> Iterator[State]:
    """Global parameters after each round."""
    settings = settings_of(
        rounds=case.rounds, batch_size=BATCH, local_share=SHARE, learning_rate=RATE
    )
    plan = choose_plan(case.model, device="cpu", clients=len(SIZES), may_spawn=False)
    for what in run(
        case.model, case.dataset, case.split, settings, seed=SEED, plan=plan, insider=who
    ):
        yield dict(what.after)


def table(case: Case) -> str:
    """One Markdown table."""
    sides = {
        "nobody is curious": None,
        "client 0 listens, 8 steps": insider(case, active=False, steps=8),
        "client 0 injects, 14 steps": insider(case, active=True, steps=14),
    }
    found = side_by_side(case, {name: rounds(case, who) for name, who in sides.items()})
    base = found["nobody is curious"][0]
    lines = [f"**{case.title}**, {case.turns} turns of {case.turn} rounds, one thread", ""]
    lines += ["| who | ms a round | against nobody | limit |", "|---|---:|---:|---:|"]
    for name, (seconds, _) in found.items():
        limit = "–" if seconds == base else f"{LIMIT:.2f}×"
        lines.append(f"| {name} | {1e3 * seconds:.0f} | {seconds / base:.2f}× | {limit} |")
    return "\n".join(lines)


def main() -> str:
    torch.set_num_threads(1)
    keep_freed_memory()
    return table(case(turn=4, turns=5))


if __name__ == "__main__":
    print(main())
