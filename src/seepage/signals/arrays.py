"""How what was measured becomes an array: its dims and its type, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from torch import nn

from seepage.records import UserError
from seepage.signals import SIGNALS
from seepage.states import tensors_of

if TYPE_CHECKING:
    from seepage.records import State

WIDE = frozenset(
    {
        "adaptive_squared_gradient_norm",
        "gradient_difference",
        "inner_product",
        "squared_gradient_norm",
        "squared_update_norm",
    }
)
"""Kept as float64: squares leave float32's range, differences lose its precision."""


def dims_of(name: str) -> tuple[str, ...]:
    """The dims of a signal within one round."""
    return tuple(dim for dim in SIGNALS[name].dims if dim != "round")


def stored(name: str, values: np.ndarray) -> np.ndarray:
    """The values of a signal in the type that is kept of it: float32, or float64 if ``WIDE``.

    Raises:
        UserError: One of them is not finite there.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        kept = values.astype(np.float64 if name in WIDE else np.float32)
    if not np.isfinite(kept).all():
        raise UserError(
            f"signal {name!r} is not finite for some records: training diverged, or what was sent "
            "is too large. Use a lower learning rate, or less noise where a defense adds some."
        )
    return kept


def check_state(model: nn.Module, state: State) -> None:
    """Make sure that ``state`` has parameters and running statistics of ``model``, in shape.

    Raises:
        UserError: A name or a shape differs.
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors_of(model).items()}
    sent = {name: tuple(tensor.shape) for name, tensor in state.items()}
    if odd := sorted(name for name in shapes | sent if shapes.get(name) != sent.get(name)):
        raise UserError(
            "what is sent in a round must be the parameters of the model, and its running "
            f"statistics where it keeps any: for {odd[0]!r} expected shape "
            f"{shapes.get(odd[0], 'no such name')}, got {sent.get(odd[0], 'no such name')}"
        )
