"""How weights lie in memory while they are trained. It changes speed and the last digits alone."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

LINE = 16
"""Single-precision numbers in a cache line: rows of a multiple of it start on one."""


def own_copy(model: nn.Module, *, channels_last: bool) -> nn.Module:
    """A module to train in place: in training mode, in the layout that ``channels_last`` asks.

    The gradient of a linear layer's weights is written row by row; where rows of the inputs do
    not fill whole lines but columns of outputs do, the weights are held column by column, and
    their gradient with them.
    """
    module = copy.deepcopy(model).train()
    if channels_last:
        module.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    with torch.no_grad():
        for weight in linear_weights(module).values():
            if weight.shape[1] % LINE and not weight.shape[0] % LINE:
                weight.set_(by_column(weight))  # pyright: ignore[reportArgumentType]
    return module


def by_column(weights: Tensor) -> Tensor:
    """The same matrix, or stack of matrices, held column by column."""
    return weights.mT.contiguous().mT


def linear_weights(model: nn.Module) -> dict[str, nn.Parameter]:
    """The weights of linear layers by name; a shared one is named once."""
    of_linear = {id(layer.weight) for layer in model.modules() if isinstance(layer, nn.Linear)}
    return {name: p for name, p in model.named_parameters() if id(p) in of_linear}
