"""How long the defenses on updates take for ten clients with the parameters of a ResNet18.

Run: python -m benchmarks.defense_updates     (about two minutes)
"""

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from seepage.defenses import (
    dp_fedavg,
    perturbation,
    quantization,
    sparsification,
    top_k,
    weight_noise,
)
from seepage.models import build
from seepage.protocols import Defense, Turn
from seepage.training import cpu_threads, keep_freed_memory

CLIENTS, TURNS, THREADS = 10, 5, 2

State = dict[str, Tensor]


def change() -> State:
    """One client's change of ResNet18 on 100 classes of 32×32 images, with normal elements."""
    rng = torch.Generator().manual_seed(0)
    model = build("resnet18", (3, 32, 32), 100, seed=0)
    return {n: 1e-3 * torch.randn(p.shape, generator=rng) for n, p in model.named_parameters()}


def seconds(work: Callable[[], object]) -> float:
    """Median seconds over ``TURNS``, after one to warm up."""
    taken = []
    for _ in range(TURNS + 1):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken[1:])


def clients_turns(defense: Defense, sent: State) -> Callable[[], object]:
    """Ten clients' turns of one round, each with its own memory, which stays for the next."""
    hook, kept = defense.update, [{} for _ in range(CLIENTS)]
    assert hook is not None, "a defense on updates"

    def work() -> None:
        for client in range(CLIENTS):
            rng = torch.Generator().manual_seed(client)
            hook(sent, Turn(rng=rng, kept=kept[client]))

    return work


def by_partial_sort(sent: State, share: float) -> Callable[[], object]:
    """Ten times the plain way to send the largest: ``torch.topk`` and a scatter, per tensor."""

    def work() -> None:
        for _ in range(CLIENTS):
            for value in sent.values():
                flat = value.flatten()
                chosen = flat.abs().topk(int(len(flat) * share), sorted=False).indices
                torch.zeros_like(flat).index_copy(0, chosen, flat[chosen])

    return work


def main() -> str:
    """The table. Processes that audit keep freed memory, so this one does."""
    keep_freed_memory()
    sent = change()
    defenses = {
        "`sparsification`, drop 0.9": sparsification(drop=0.9),
        "the same with feedback": sparsification(drop=0.9, feedback=True),
        "`sparsification`, drop 0.5": sparsification(drop=0.5),
        "`top_k`, keep 0.01": top_k(keep=0.01),
        "`quantization`, 4 bits": quantization(bits=4),
        "`perturbation`, clipped and noised": perturbation(clip=0.1, sigma=1.0),
        "`dp_fedavg`, clients' part": dp_fedavg(clip=0.1),
        "`weight_noise`": weight_noise(sigma=0.1),
    }
    work = {name: clients_turns(defense, sent) for name, defense in defenses.items()}
    work["`torch.topk` and a scatter, share 0.1"] = by_partial_sort(sent, 0.1)
    with cpu_threads(THREADS):
        rows = [(name, seconds(one)) for name, one in work.items()]
    count = sum(value.numel() for value in sent.values())
    lines = [f"{CLIENTS} clients, {count:,} parameters each, {THREADS} threads.", ""]
    lines += ["| work | median seconds, all clients |", "|---|---|"]
    lines += [f"| {name} | {taken:.2f} |" for name, taken in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    print(main())
