"""Send only the largest changes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch

from seepage.protocols import Defense
from seepage.records import UserError

if TYPE_CHECKING:
    from seepage.protocols import Turn
    from seepage.records import State

SMALL = 1_000
"""Tensors with no more elements than this are sent whole."""


def sparsification(*, drop: float = 0.9) -> Defense:
    r"""In each large tensor keep the changes of largest size, and send 0 for the others.

    A tensor of :math:`n > 1000` elements keeps exactly :math:`\lfloor n (1 - d) \rfloor` of them;
    at equal size which of them is kept is left to the sort. Smaller tensors are sent as they are.
    What is dropped is lost: there is no error feedback.

    Args:
        drop: The share d in [0, 1] that is dropped; 0 sends everything as it is, bit for bit.

    Raises:
        UserError: ``drop`` is outside [0, 1].

    References:
        | FedMIA (Zhu et al., 2025), https://arxiv.org/abs/2402.06289; the bound of 1,000 is that
          of its authors' released code.
    """
    if not 0 <= drop <= 1:
        raise UserError(f"sparsification needs drop in [0, 1], got {drop}")
    return Defense(update=partial(_sparsify, drop))


def _sparsify(drop: float, change: State, turn: Turn) -> State:
    return {name: _largest(value, 1 - drop) for name, value in change.items()}


def _largest(value: torch.Tensor, share: float) -> torch.Tensor:
    count = int(value.numel() * share)
    if value.numel() <= SMALL or count == value.numel():
        return value
    flat = value.flatten()
    kept = flat.abs().topk(count, sorted=False).indices
    return torch.zeros_like(flat).index_copy(0, kept, flat[kept]).view(value.shape)
