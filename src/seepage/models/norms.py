"""Which normalisation the networks that leave the choice have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from torch import nn

from seepage.records import UserError

Norm = Callable[[int], nn.Module]
"""A layer for so many channels."""

NormName = Literal["batch", "group"]


def chosen(family: str, name: NormName, group: Norm) -> Norm:
    """The normalisation called ``name``.

    ``group`` looks at one sample at a time. ``batch`` is what papers mostly have: in training a
    sample's gradient depends on its batch, and the running statistics that answers are made with
    are sent and averaged in a federation beside the parameters.

    Args:
        family: Whose option it is, for the error message.
        name: ``"group"`` or ``"batch"``.
        group: What ``"group"`` stands for in this family.

    Raises:
        UserError: Another name.
    """
    if name not in ("batch", "group"):
        raise UserError(f"{family}: norm must be 'group' or 'batch', got {name!r}")
    return nn.BatchNorm2d if name == "batch" else group
