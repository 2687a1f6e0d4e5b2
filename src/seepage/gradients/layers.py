"""How each kind of layer gives the products of its per-sample gradients with K updates.

A rule gets the calls of one layer (its input and the error that came back to its output, for all
samples of a micro-batch, once for every time the layer was called in one forward pass) and the
updates of its parameters, and yields parts that sum to the layer's products. A layer called
several times is exact: its calls are joined before anything is squared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional

from seepage.gradients import conv
from seepage.gradients.bilinear import (
    BLOCK,
    Products,
    bilinear_products,
    materialised_products,
)
from seepage.records import UserError

Updates = Mapping[str, Tensor]
"""Updates of one layer by its own parameter names, each with a leading axis of K clients."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of a layer: what went in, and the errors that came back.

    Attributes:
        args: Positional arguments.
        kwargs: Keyword arguments.
        errors: By the place of an output tensor among all; those that nothing used are left out.
    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    errors: Mapping[int, Tensor]

    @property
    def pair(self) -> tuple[Tensor, Tensor]:
        """Input and error of a layer with one of each."""
        return next(iter((*self.args, *self.kwargs.values()))), self.errors[0]


def linear(layer: nn.Linear, calls: list[Call], updates: Updates) -> Iterator[Products]:
    """``y = W x + b`` on the last axis; all axes between it and the samples are places."""
    a, b = places_of(layer, [call.pair for call in calls])
    if "weight" in updates:
        yield bilinear_products(a, b, updates["weight"])
    if "bias" in updates:
        yield materialised_products(b.sum(1), updates["bias"])


def places_of(layer: nn.Linear, pairs: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Inputs ``(n, L, I)`` and errors ``(n, L, O)`` at all places of all calls."""
    a = torch.cat([x.reshape(len(x), -1, layer.in_features) for x, _ in pairs], 1)
    b = torch.cat([e.reshape(len(e), -1, layer.out_features) for _, e in pairs], 1)
    return a, b


def conv2d(layer: nn.Conv2d, calls: list[Call], updates: Updates) -> Iterator[Products]:
    """See :mod:`seepage.gradients.conv`."""
    pairs = [call.pair for call in calls]
    if "weight" in updates:
        yield from conv.weight_products(layer, pairs, updates["weight"])
    if "bias" in updates:
        yield materialised_products(total(e.sum((2, 3)) for _, e in pairs), updates["bias"])


def group_norm(layer: nn.GroupNorm, calls: list[Call], updates: Updates) -> Iterator[Products]:
    """Scale and shift of each channel: ``Σ b·x̂`` and ``Σ b`` over the positions, if any."""
    parts = [
        (functional.group_norm(x, layer.num_groups, eps=layer.eps), e) for x, e in map(_pair, calls)
    ]
    flat = [(x.reshape(*x.shape[:2], -1), e.reshape(*e.shape[:2], -1)) for x, e in parts]
    yield from _affine(flat, updates, axis=2)


def layer_norm(layer: nn.LayerNorm, calls: list[Call], updates: Updates) -> Iterator[Products]:
    """Scale and shift of each normalised entry, summed over all other positions."""
    shape = list(layer.normalized_shape)
    size = torch.Size(shape).numel()
    parts = [(functional.layer_norm(x, shape, eps=layer.eps), e) for x, e in map(_pair, calls)]
    flat = [(x.reshape(len(x), -1, size), e.reshape(len(e), -1, size)) for x, e in parts]
    yield from _affine(flat, updates, axis=1)


def embedding(layer: nn.Embedding, calls: list[Call], updates: Updates) -> Iterator[Products]:
    """Row ``i`` of the table gets the errors of the places that looked ``i`` up."""
    pairs = [call.pair for call in calls]
    rows = torch.cat([index.reshape(len(index), -1) for index, _ in pairs], 1)
    b = torch.cat([e.reshape(len(e), -1, layer.embedding_dim) for _, e in pairs], 1)
    if layer.padding_idx is not None:
        b = b * (rows != layer.padding_idx).unsqueeze(2)
    inner = torch.empty(len(b), len(updates["weight"]), dtype=torch.float64, device=b.device)
    for k, u in enumerate(updates["weight"]):
        inner[:, k] = (b * u[rows]).sum((1, 2), dtype=torch.float64)
    same = (rows.unsqueeze(2) == rows.unsqueeze(1)).to(b.dtype)
    squared = (torch.bmm(b, b.mT) * same).sum((1, 2), dtype=torch.float64)
    yield Products(inner, squared)


def any_layer(layer: nn.Module, calls: list[Call], updates: Updates) -> Iterator[Products]:
    """Any other module: its own per-sample gradients by ``vmap(grad)``, a few samples at a time."""
    names = dict(layer.named_parameters())
    parameters = {name: names[name].detach() for name in updates}
    n = len(next(iter(calls[0].errors.values())))
    step = max(1, 2 * BLOCK // sum(p.numel() for p in parameters.values()))
    parts = []
    for first in range(0, n, step):
        rows = slice(first, first + step)
        g = gradients_of(layer, parameters, calls, n, rows)
        products = [materialised_products(g[name], updates[name]) for name in g]
        parts.append(Products(*(total(field) for field in zip(*products, strict=True))))
    yield Products(*(torch.cat(field) for field in zip(*parts, strict=True)))


def gradients_of(
    layer: nn.Module, parameters: dict[str, Tensor], calls: Sequence[Call], n: int, rows: slice
) -> dict[str, Tensor]:
    """Gradients of a few samples by parameter name, one sample a row, all calls together.

    Args:
        layer: Any module.
        parameters: Those whose gradients are wanted, without a graph.
        calls: Its calls.
        n: Samples in each call.
        rows: The samples whose gradients are wanted.

    Raises:
        UserError: ``torch.func.vmap`` cannot run the module.
    """
    each = [_gradients(layer, parameters, call, n, rows) for call in calls]
    return {name: total(one[name] for one in each) for name in parameters}


def _gradients(
    layer: nn.Module, parameters: dict[str, Tensor], call: Call, n: int, rows: slice
) -> dict[str, Tensor]:
    """Per-sample gradients of ``⟨outputs, errors⟩`` by parameter name."""
    values = [*call.args, *call.kwargs.values()]
    batched = [isinstance(v, Tensor) and v.ndim > 0 and len(v) == n for v in values]
    moving = [v[rows] for v, is_batched in zip(values, batched, strict=True) if is_batched]

    def scalar(
        weights: dict[str, Tensor], moving: list[Tensor], errors: dict[int, Tensor]
    ) -> Tensor:
        samples = iter(moving)
        all_values = [
            next(samples).unsqueeze(0) if is_batched else value
            for value, is_batched in zip(values, batched, strict=True)
        ]
        args = tuple(all_values[: len(call.args)])
        kwargs = dict(zip(call.kwargs, all_values[len(call.args) :], strict=True))
        outputs = tensors_of(functional_call(layer, weights, args, kwargs))
        return total((outputs[i].squeeze(0) * e).sum() for i, e in errors.items())

    try:
        errors = {i: e[rows] for i, e in call.errors.items()}
        return vmap(grad(scalar), in_dims=(None, 0, 0))(parameters, moving, errors)
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"per-sample gradients of the layer {type(layer).__name__} cannot be taken: expected a "
            f"module whose inputs and outputs have the samples first and that torch.func.vmap can "
            f"run, got {error}. Leave out what needs them or replace that layer."
        ) from error


def tensors_of(outputs: Any) -> list[Tensor]:
    """The floating-point tensors in a module's output, in order."""
    if isinstance(outputs, Tensor):
        return [outputs] if outputs.is_floating_point() else []
    if isinstance(outputs, Mapping):
        outputs = list(outputs.values())
    if isinstance(outputs, tuple | list):
        return [tensor for part in outputs for tensor in tensors_of(part)]
    return []


def _pair(call: Call) -> tuple[Tensor, Tensor]:
    return call.pair


def total(parts: Iterable[Tensor]) -> Tensor:
    """Their sum."""
    return reduce(torch.add, parts)


def _affine(
    parts: list[tuple[Tensor, Tensor]], updates: Updates, *, axis: int
) -> Iterator[Products]:
    if "weight" in updates:
        scale = total((x * e).sum(axis) for x, e in parts)
        yield materialised_products(scale, updates["weight"])
    if "bias" in updates:
        yield materialised_products(total(e.sum(axis) for _, e in parts), updates["bias"])


def _plain_table(layer: nn.Embedding) -> bool:
    return not layer.scale_grad_by_freq


def _always(layer: nn.Module) -> bool:
    return True


Rule = Callable[[Any, list[Call], Updates], Iterator[Products]]

RULES: dict[type[nn.Module], tuple[Callable[[Any], bool], Rule]] = {
    nn.Conv2d: (conv.supported, conv2d),
    nn.Embedding: (_plain_table, embedding),
    nn.GroupNorm: (_always, group_norm),
    nn.LayerNorm: (_always, layer_norm),
    nn.Linear: (_always, linear),
}
"""Layer type → (whether this one is covered, its rule). All others go through ``any_layer``."""


def rule_of(layer: nn.Module) -> Rule:
    """The rule for a layer; subclasses may compute something else, so types match exactly."""
    covered, rule = RULES.get(type(layer), (_always, any_layer))
    own = {name for name, value in layer.named_parameters() if value is not None}
    return rule if covered(layer) and own <= {"weight", "bias"} else any_layer
