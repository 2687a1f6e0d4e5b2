"""The K updates, checked against the model and laid out as the layers' rules want them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn

from seepage.gradients.bilinear import Products, squares_of
from seepage.gradients.capture import Layer
from seepage.gradients.conv import prepare_weight_updates, unfolded
from seepage.gradients.layers import Call, conv2d
from seepage.records import UserError, suggestion

UpdatesLike: TypeAlias = Sequence[Mapping[str, Tensor]] | Mapping[str, Tensor] | Tensor
"""K mappings from parameter name to tensor, one mapping to tensors stacked on a leading axis of
K, or a matrix ``(K, P)`` in the order of ``model.parameters()``."""

Stacked = Callable[[str], Tensor]


def no_updates(model: nn.Module) -> Stacked:
    """K = 0 updates: what products are taken with where norms are all that is wanted."""
    named = dict(model.named_parameters())
    return lambda name: named[name].new_empty(0, *named[name].shape)


def stacker(model: nn.Module, updates: UpdatesLike) -> Stacked:
    """A function from a parameter's name to its updates, stacked ``(K, ...)``.

    Raises:
        UserError: A name is missing or unknown, a shape does not fit, or there is no update.
    """
    shapes = {name: p.shape for name, p in model.named_parameters()}
    if isinstance(updates, Tensor):
        return _of_matrix(shapes, updates)
    if isinstance(updates, Mapping):
        return _of_mapping(shapes, updates)
    if not updates:
        raise UserError("gradient products need at least one update, got none")
    for k, update in enumerate(updates):
        _check_names(shapes, update, f"update {k}")
        for name, tensor in update.items():
            _check_shape(name, tensor, tuple(shapes[name]), f"update {k}")
    return lambda name: torch.stack([update[name] for update in updates])


def _of_mapping(shapes: Mapping[str, torch.Size], updates: Mapping[str, Tensor]) -> Stacked:
    _check_names(shapes, updates, "the stacked updates")
    clients = len(updates[next(iter(shapes))])
    if clients == 0:
        raise UserError("gradient products need at least one update, got none")

    def stacked(name: str) -> Tensor:  # looked up once each, so a mapping may compute its values
        tensor = updates[name]
        _check_shape(name, tensor, (clients, *shapes[name]), "the stacked updates")
        return tensor

    return stacked


def _of_matrix(shapes: Mapping[str, torch.Size], updates: Tensor) -> Stacked:
    sizes = [shape.numel() for shape in shapes.values()]
    if updates.ndim != 2 or updates.shape[1] != sum(sizes) or not len(updates):
        raise UserError(
            f"a matrix of updates needs the shape (K, {sum(sizes)}), one row a client and one "
            f"column a parameter, got {tuple(updates.shape)}"
        )
    parts = dict(zip(shapes, updates.split(sizes, 1), strict=True))
    return lambda name: parts[name].reshape(len(updates), *shapes[name])


def _check_names(shapes: Iterable[str], update: Iterable[str], what: str) -> None:
    known, given = list(shapes), list(update)
    if missing := sorted(set(known) - set(given)):
        raise UserError(
            f"{what}: no tensor for parameter {missing[0]!r}; expected one for each of "
            f"the model's {len(known)} parameters"
        )
    if unknown := sorted(set(given) - set(known)):
        hint = suggestion(unknown[0], known)
        raise UserError(f"{what}: the model has no parameter {unknown[0]!r}; {hint}")


def _check_shape(name: str, tensor: Tensor, expected: tuple[int, ...], what: str) -> None:
    if tuple(tensor.shape) != expected:
        raise UserError(f"{what}: {name!r} needs the shape {expected}, got {tuple(tensor.shape)}")


class PreparedUpdates:
    """One copy of the updates, laid out layer by layer.

    Attributes:
        by_layer: For each layer its updates by local parameter name; parameters that ask for no
            gradient are left out.
        squared_norm: ``‖u_k‖²`` over the same parameters, shape ``(K,)``, float64.
        clients: K.
    """

    def __init__(self, model: nn.Module, layers: list[Layer], stacked: Stacked) -> None:
        like = {name: p for name, p in model.named_parameters() if p.requires_grad}
        if not like:
            raise UserError("no parameter of the model asks for a gradient; nothing to measure")
        self.by_layer: list[dict[str, Tensor]] = []
        squares = []
        for layer in layers:
            own: dict[str, Tensor] = {}
            for short, _ in layer.module.named_parameters():
                name = layer.prefix + short
                if name not in like:
                    continue
                u = stacked(name).detach().to(like[name])
                squares.append(squares_of(u.flatten(1)))
                own[short] = _laid_out(layer, short, u)
            self.by_layer.append(own)
        self.squared_norm = torch.stack(squares).sum(0)
        self.clients = len(self.squared_norm)

    def products(self, layers: list[Layer], calls: list[list[Call]], n: int) -> Products:
        """The layers' products for n samples, summed in float64; ``calls`` is emptied on the way.

        Args:
            layers: The layers this was made for.
            calls: What :func:`~seepage.gradients.capture.captured` returned.
            n: Number of samples in each call.
        """
        device = self.squared_norm.device
        inner = torch.zeros(n, self.clients, dtype=torch.float64, device=device)
        squared = torch.zeros(n, dtype=torch.float64, device=device)
        for i, layer in enumerate(layers):
            if calls[i] and self.by_layer[i]:
                for part in layer.rule(layer.module, calls[i], self.by_layer[i]):
                    inner += part.inner
                    squared += part.squared_norm
            calls[i] = []
        return Products(inner, squared)


def _laid_out(layer: Layer, short: str, u: Tensor) -> Tensor:
    if layer.rule is conv2d and short == "weight":
        assert isinstance(layer.module, nn.Conv2d)
        return prepare_weight_updates(layer.module, u)
    return u.contiguous()


def as_the_layer_has_it(layer: Layer, short: str, u: Tensor) -> Tensor:
    """One parameter's updates of :class:`PreparedUpdates` in its own shape, ``(K, ...)``."""
    if layer.rule is conv2d and short == "weight":
        assert isinstance(layer.module, nn.Conv2d)
        return u if unfolded(layer.module) else u.permute(2, 3, 4, 0, 1)
    return u
