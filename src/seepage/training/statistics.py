"""Running statistics: what a normalisation layer keeps of the batches it has seen.

They are no parameters, but a model gives other answers without them. A model that is trained as
a whole carries them in its state; a federation, which sends parameters, refuses them.
"""

from __future__ import annotations

from torch import Tensor, nn

from seepage.records import UserError


def running_statistics(model: nn.Module) -> dict[str, Tensor]:
    """The buffers of all normalisation layers that keep running statistics, by name.

    Other buffers are constants of the architecture and belong to no state.
    """
    return {
        f"{name}.{key}" if name else key: buffer
        for name, layer in _keepers(model).items()
        for key, buffer in layer.named_buffers(recurse=False)
    }


def refuse_running_statistics(model: nn.Module) -> None:
    """Running statistics are no parameters, so no round would carry them: better none at all.

    Raises:
        UserError: A normalisation layer keeps them.
    """
    for name, layer in _keepers(model).items():
        raise UserError(
            f"layer {name!r} ({type(layer).__name__}) keeps running statistics, which are not "
            "parameters and are not sent in a federation. Use GroupNorm, or "
            "track_running_stats=False."
        )


def _keepers(model: nn.Module) -> dict[str, nn.Module]:
    return {
        name: layer
        for name, layer in model.named_modules()
        if isinstance(layer, nn.modules.batchnorm._NormBase) and layer.track_running_stats
    }
