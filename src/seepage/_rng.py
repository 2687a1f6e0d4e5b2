"""One seed, many independent generators, each found by name.

Every random draw of a run comes from ``child(seed, *path)``. The path says what the draw is for
(``child(seed, "client", 3, "round", 7)``), so adding a draw somewhere, skipping a round, or
training the clients in another order changes no other draw: that is what makes a resumed run
and every way of batching end with the same numbers.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def child_seed(seed: int, *path: str | int) -> int:
    """A 63-bit seed that depends on ``seed`` and on every element of ``path``, in order.

    Guarantees:
        * the same arguments give the same seed, on any machine and in any process;
        * ``1`` and ``"1"`` are different elements.
    """
    name = "/".join([str(int(seed)), *(repr(part) for part in path)])
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little") >> 1


def child(seed: int, *path: str | int) -> np.random.Generator:
    """A NumPy generator for the draw that ``path`` names."""
    return np.random.default_rng(child_seed(seed, *path))


def torch_child(seed: int, *path: str | int) -> torch.Generator:
    """A torch CPU generator for the draw that ``path`` names.

    Always on the CPU: what it draws (batch orders, noise, initial weights) is moved to the
    device afterwards, so that a CPU and a CUDA run start from the same numbers.
    """
    import torch

    return torch.Generator().manual_seed(child_seed(seed, *path))
