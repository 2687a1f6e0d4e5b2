"""What a step of an inversion costs: many latents at once against one after another, and HSIC.

Run: python -m benchmarks.inversion_step     (about five minutes)

Networks have first weights: a step costs the same whatever they know. 100 latents at once and one
after another take turns, in an order that alternates; seconds are medians over the turns, ratios
medians of the turns' own ratios, after one to warm up. HSIC is added in every second step of one
descent, and 0 in the others: what it costs is less than what a step varies by within a second.
100 latents at once are to be 20 times as fast as one after another, and HSIC is to add less than a
tenth to a step.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from seepage import models
from seepage.inversion import INVERSIONS, Prior, PriorSettings, Target, build_regularizer
from seepage.inversion import networks as nets
from seepage.training import keep_freed_memory

CLASSES, EACH, STEPS, TURNS, ALONE = 5, 20, 20, 15, 5
WARM_UP = 20
PAIRS = {8: 500, 28: 200}
"""Steps with and without HSIC by the pixels of a side; more where one takes less."""
BOUND = (
    "A step on 28 × 28 pixels is bound by its arithmetic, which a batch does not save; one of 8 "
    "× 8 by calls, which it does."
)
SIDES = {
    "8 × 8": ((1, 8, 8), PriorSettings(latent=16, width=32, critic_width=32)),
    "28 × 28": ((1, 28, 28), PriorSettings(latent=32, width=24, critic_width=16)),
}


def case(shape: tuple[int, ...], settings: PriorSettings, kind: str) -> tuple[Target, Prior]:
    sizes = nets.Sizes(
        shape=shape,
        latent=settings.latent,
        width=settings.width,
        critic_width=settings.critic_width,
        outputs=CLASSES if kind == "inversion_gan" else 1,
        company=settings.batch_size - 1,
    )
    generator, critic = nets.fresh(kind, sizes, seed=0)
    nets.without_spectral_norm(critic)
    prior = Prior(kind=kind, generator=generator, critic=critic, latent=settings.latent)
    model = models.build("cnn_blocks", shape, CLASSES, seed=0)
    target = Target(model=model, classes=CLASSES, shape=shape, mean=(0.5,), std=(0.25,))
    return target, prior


def seconds_of(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


class Found(NamedTuple):
    """Median seconds of two sides, and the median of second over first."""

    first: float
    second: float
    ratio: float


def medians(first: Callable[[], object], second: Callable[[], object]) -> Found:
    turns: list[tuple[float, float]] = []
    for turn in range(TURNS + 1):
        order = (first, second) if turn % 2 else (second, first)
        seconds = {side: seconds_of(side) for side in order}
        turns.append((seconds[first], seconds[second]))
    kept = turns[1:]
    ratios = [other / one for one, other in kept]
    return Found(*(statistics.median(side) for side in (*zip(*kept, strict=True), ratios)))


def at_once(shape: tuple[int, ...], settings: PriorSettings) -> Found:
    """A step of 100 latents at once, and of some one after another, which is scaled."""
    target, prior = case(shape, settings, "wgan")
    gmi = INVERSIONS["gmi"].invert

    def together() -> object:
        rng = torch.Generator().manual_seed(0)
        return gmi(target, prior, torch.arange(CLASSES), EACH, None, rng, steps=STEPS)

    def one_by_one() -> None:
        rng = torch.Generator().manual_seed(0)
        for label in torch.arange(CLASSES)[:ALONE]:
            gmi(target, prior, label[None], 1, None, rng, steps=STEPS)

    found, times = medians(together, one_by_one), CLASSES * EACH / ALONE
    return Found(found.first, found.second * times, found.ratio * times)


class EverySecond:
    """HSIC in every second step and 0 in the others, with the seconds from call to call of each."""

    def __init__(self) -> None:
        self.penalties = (
            lambda images, _: images.new_zeros(len(images)),
            build_regularizer("hsic"),
        )
        self.calls: list[float] = []

    def __call__(self, images: Tensor, latents: Tensor) -> Tensor:
        self.calls.append(time.perf_counter())
        return self.penalties[len(self.calls) % 2](images, latents)

    def medians(self) -> tuple[float, float]:
        """Seconds of a step without and with it, without the first ones, which warm up."""
        seconds = [after - before for before, after in pairwise(self.calls)][WARM_UP:]
        return statistics.median(seconds[1::2]), statistics.median(seconds[::2])


def with_hsic(name: str, shape: tuple[int, ...], settings: PriorSettings) -> tuple[float, float]:
    """Seconds of a step without and with HSIC."""
    method = INVERSIONS[name]
    target, prior = case(shape, settings, method.prior)
    options = {"family": "gaussian"} if name == "vmi" else {}
    turns, rng = EverySecond(), torch.Generator().manual_seed(0)
    steps, labels = WARM_UP + 2 * PAIRS[shape[-1]], torch.arange(CLASSES)
    method.invert(target, prior, labels, EACH, turns, rng, steps=steps, **options)
    return turns.medians()


def main() -> str:
    torch.set_num_threads(1)
    keep_freed_memory()
    lines = ["100 latents, GMI, one thread", ""]
    lines += ["| images | at once, ms a step | one after another | ratio | at least |"]
    lines += ["|---|---:|---:|---:|---:|"]
    for title, side in SIDES.items():
        found = at_once(*side)
        many, few = (1e3 * seconds / STEPS for seconds in found[:2])
        lines.append(f"| {title} | {many:.1f} | {few:.0f} | {found.ratio:.0f}× | 20× |")
    lines += ["", "A step with HSIC against one without", ""]
    lines += ["| images | method | ms a step | with HSIC | ratio | at most |"]
    lines += ["|---|---|---:|---:|---:|---:|"]
    for title, side in SIDES.items():
        for name in ("gmi", "ked_mi", "vmi"):
            plain, more = (1e3 * seconds for seconds in with_hsic(name, *side))
            ratio = f"{more / plain:.3f}×"
            lines.append(f"| {title} | `{name}` | {plain:.2f} | {more:.2f} | {ratio} | 1.10× |")
    lines += ["", BOUND]
    return "\n".join(lines)


if __name__ == "__main__":
    print(main())
