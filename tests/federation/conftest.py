"""A small federation: 60 samples in 6 dimensions, clients of 7, 16, 1, 19 and 8."""

import numpy as np
import pytest
import torch
from torch import nn

from seepage.records import Dataset, Split


@pytest.fixture
def dataset() -> Dataset:
    rng = torch.Generator().manual_seed(0)
    return Dataset(
        name="made up",
        inputs=torch.randn(60, 6, generator=rng),
        labels=torch.randint(0, 3, (60,), generator=rng),
        classes=3,
        n_train=None,
        mean=(0.0,),
        std=(1.0,),
        checksum="",
    )


@pytest.fixture
def split() -> Split:
    ids = np.arange(51)
    clients = np.split(ids, np.cumsum([7, 16, 1, 19]))
    return Split(clients=tuple(clients), held_out=np.arange(51, 60))


@pytest.fixture
def mlp() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
