"""A multilayer perceptron."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod

from torch import nn

from seepage.records import UserError


def mlp(
    input_shape: tuple[int, ...], classes: int, *, hidden: Sequence[int] = (128,)
) -> nn.Sequential:
    """Flattened inputs, one linear layer and a ReLU for each hidden width, one linear layer.

    Args:
        input_shape: Shape of one input, any number of axes.
        classes: Number of outputs.
        hidden: Widths of the hidden layers; none gives softmax regression.

    Raises:
        UserError: A width is not a positive whole number.
    """
    if isinstance(hidden, str) or not all(isinstance(w, int) and w >= 1 for w in hidden):
        raise UserError(f"mlp: hidden must be a list of widths of at least 1, got {hidden!r}")
    *inner, last = pairwise((prod(input_shape), *hidden, classes))
    layers: list[nn.Module] = [nn.Flatten()]
    for width_in, width_out in inner:
        layers += [nn.Linear(width_in, width_out), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(*last))
