"""Small samples and models for the tests of local training."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from torch import nn


@pytest.fixture
def samples() -> SimpleNamespace:
    rng = torch.Generator().manual_seed(0)
    return SimpleNamespace(
        inputs=torch.randn(60, 6, generator=rng),
        labels=torch.randint(0, 3, (60,), generator=rng),
        classes=3,
    )


@pytest.fixture
def mlp() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))


@pytest.fixture
def shards() -> dict[int, torch.Tensor]:
    """Sizes 7, 16, 1, 19 and 8: one below a batch of 8, one of exactly two, ragged ones."""
    rows = torch.randperm(60, generator=torch.Generator().manual_seed(2))
    return dict(enumerate(rows[:51].split([7, 16, 1, 19, 8])))


@pytest.fixture
def start_of() -> Callable[[nn.Module], dict[str, torch.Tensor]]:
    return lambda model: {n: p.detach().clone() for n, p in model.named_parameters()}
