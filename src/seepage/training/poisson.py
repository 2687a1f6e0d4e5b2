"""Batches by coins: every sample enters every batch with the same probability, on its own."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from seepage._rng import torch_child
from seepage.training.accountant import sampling_rate
from seepage.training.local import Job


def drawn(member: int, samples: int, job: Job) -> Iterator[Tensor]:
    """Positions of the samples in each batch of one model, ascending, int64; some may be empty.

    ``epochs · ceil(n / batch_size)`` batches, as many as an ordered run has, each with probability
    ``q = batch_size / n`` for every sample. Opacus draws as many, with ``q = 1 / ceil(n /
    batch_size)``: the two differ where the batch size does not divide n, there every sample enters
    ours a little more often than once an epoch.
    """
    path = (job.role, member, "round", job.round_number, "poisson")
    rng, rate = torch_child(job.seed, *path), sampling_rate(job.settings, samples)
    for _ in range(job.settings.steps(samples)):
        coins = torch.rand(samples, generator=rng, dtype=torch.float64)
        yield (coins < rate).nonzero().squeeze(1)
