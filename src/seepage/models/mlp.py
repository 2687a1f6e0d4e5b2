"""A multilayer perceptron."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import Literal

from torch import nn

from seepage.records import UserError

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh}


def mlp(
    input_shape: tuple[int, ...],
    classes: int,
    *,
    hidden: Sequence[int] = (128,),
    activation: Literal["relu", "tanh"] = "relu",
) -> nn.Sequential:
    """Flattened inputs, a linear layer and an activation for each hidden width, one linear layer.

    With ``hidden=[1024, 512, 256, 128]`` and ``activation="tanh"`` it is the network for tables of
    HAMP (Chen and Pattabiraman, NDSS 2024), https://arxiv.org/abs/2307.01610.

    Args:
        input_shape: Shape of one input, any number of axes.
        classes: Number of outputs.
        hidden: Widths of the hidden layers; none gives softmax regression.
        activation: ``"relu"`` or ``"tanh"``, after each hidden layer. Weights start alike.

    Raises:
        UserError: A width is not a positive whole number, or the activation is another.
    """
    if isinstance(hidden, str) or not all(isinstance(w, int) and w >= 1 for w in hidden):
        raise UserError(f"mlp: hidden must be a list of widths of at least 1, got {hidden!r}")
    if activation not in list(ACTIVATIONS):
        raise UserError(f"mlp: activation must be 'relu' or 'tanh', got {activation!r}")
    *inner, last = pairwise((prod(input_shape), *hidden, classes))
    layers: list[nn.Module] = [nn.Flatten()]
    for width_in, width_out in inner:
        layers += [nn.Linear(width_in, width_out), ACTIVATIONS[activation]()]
    return nn.Sequential(*layers, nn.Linear(*last))
