"""Send changes with few bits."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch

from seepage.protocols import Defense
from seepage.records import UserError

if TYPE_CHECKING:
    from seepage.protocols import Turn
    from seepage.records import State

BLOCK = 1 << 14
"""Elements that are rounded together: their double precision stays in the processor's cache, and
they are too few for torch to wake its other threads for every step of it."""


def quantization(*, bits: int = 8) -> Defense:
    r"""Round each tensor's change down to a uniform grid between its least and largest value.

    .. math:: q = \lfloor (\Delta - m) / s \rfloor, \quad \Delta \mapsto m + s q,
        \qquad m = \min \Delta,\; s = (\max \Delta - m) / 2^b

    At most :math:`2^b + 1` levels (the maximum is one of its own), no element moves by more than
    s, up to rounding. A tensor whose elements are all equal is sent as it is.

    Args:
        bits: b in [1, 23]; beyond, float32 cannot count the levels.

    Raises:
        UserError: ``bits`` is not a whole number in [1, 23].

    References:
        | FedMIA (Zhu et al., 2025), appendix, https://arxiv.org/abs/2402.06289

    Computed in float64, then rounded to the tensor's own type once.
    """
    if isinstance(bits, bool) or not isinstance(bits, int) or not 1 <= bits <= 23:
        raise UserError(f"quantization needs a whole number of bits from 1 to 23, got {bits!r}")
    return Defense(update=partial(_quantize, bits))


def _quantize(bits: int, change: State, turn: Turn) -> State:
    return {name: _grid(value, 2**bits) for name, value in change.items()}


def _grid(value: torch.Tensor, levels: int) -> torch.Tensor:
    low, high = (float(end) for end in torch.aminmax(value))
    if low == high:
        return value
    step = (high - low) / levels
    flat = value.flatten()
    sent = torch.empty_like(flat)
    room = torch.empty(min(BLOCK, len(flat)), dtype=torch.float64, device=flat.device)
    for block, out in zip(flat.split(BLOCK), sent.split(BLOCK), strict=True):
        exact = room[: len(block)]
        exact.copy_(block).sub_(low).div_(step).floor_().mul_(step).add_(low)
        out.copy_(exact)
    return sent.view(value.shape)
