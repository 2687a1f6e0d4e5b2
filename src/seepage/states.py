"""A model's state: its parameters, and what its normalisation layers keep of batches they saw.

Running statistics are no parameters, but a model gives other answers without them. So they travel
with the parameters wherever a model is trained, sent, averaged or kept; gradients, updates and the
defenses that act on these are of parameters alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from seepage.records import UserError

if TYPE_CHECKING:
    from seepage.records import State


def running_statistics(model: nn.Module) -> dict[str, Tensor]:
    """The buffers of all normalisation layers that keep running statistics, by name.

    Other buffers are constants of the architecture and belong to no state.
    """
    return {
        f"{name}.{key}" if name else key: buffer
        for name, layer in _keepers(model).items()
        for key, buffer in layer.named_buffers(recurse=False)
    }


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
    """Its parameters and then its running statistics, by name: the tensors, not copies."""
    return {**dict(model.named_parameters()), **running_statistics(model)}


def state_of(model: nn.Module) -> dict[str, Tensor]:
    """A copy of its parameters and running statistics, by name."""
    return {name: tensor.detach().clone() for name, tensor in tensors_of(model).items()}


@torch.no_grad()
def place(model: nn.Module, state: State) -> None:
    """Copy the parameters and running statistics of ``state`` into the model."""
    for name, tensor in tensors_of(model).items():
        tensor.copy_(state[name])


@torch.no_grad()
def aggregate(uploads: Mapping[int, State], weights: Mapping[int, float]) -> dict[str, Tensor]:
    r"""The weighted mean :math:`\sum_k w_k \theta_k` of what was sent.

    Summed in float64 in ascending order of client and rounded once, so the order in which uploads
    arrive changes nothing, bit for bit. Whole numbers, such as the batches that a normalisation
    layer counted, are rounded to the nearest.

    Differs from McMahan et al. (2017): the sum of weights is over the round's participants.
    """
    clients = sorted(uploads)
    first = uploads[clients[0]]
    sums = {name: torch.zeros_like(value, dtype=torch.float64) for name, value in first.items()}
    for client in clients:
        for name, total in sums.items():
            total.add_(uploads[client][name], alpha=weights[client])
    return {
        name: (total if first[name].is_floating_point() else total.round()).to(first[name].dtype)
        for name, total in sums.items()
    }


def refuse_running_statistics(model: nn.Module, why: str) -> None:
    """Make sure that no layer keeps running statistics.

    Args:
        model: The architecture.
        why: What they cannot go with; the second half of a sentence about the layer.

    Raises:
        UserError: A normalisation layer keeps them.
    """
    for name, layer in _keepers(model).items():
        raise UserError(
            f"layer {name!r} ({type(layer).__name__}) keeps running statistics, {why}. Use "
            "GroupNorm."
        )


def _keepers(model: nn.Module) -> dict[str, nn.Module]:
    return {
        name: layer
        for name, layer in model.named_modules()
        if isinstance(layer, nn.modules.batchnorm._NormBase) and layer.track_running_stats
    }
