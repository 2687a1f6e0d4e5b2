"""One forward and one backward pass that listen at every layer with parameters.

Only the errors at the layers' outputs are computed; no gradient of a parameter is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from seepage.records import UserError
from seepage.signals.gradient_layers import Call, Rule, any_layer, rule_of, tensors_of


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A module whose per-sample gradients one rule gives, with everything below it.

    Attributes:
        prefix: What its parameters' names begin with in the model, ``""`` or ending in a dot.
        module: The module.
        rule: How its products are taken.
    """

    prefix: str
    module: nn.Module
    rule: Rule


@dataclass
class _Heard:
    """What the hooks of one call of a layer have heard so far."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    versions: list[tuple[Tensor, int]]
    errors: dict[int, Tensor] = field(default_factory=dict)

    def call(self, name: str) -> Call:
        if any(tensor._version != version for tensor, version in self.versions):
            raise UserError(
                f"the input of layer {name!r} is changed in place after the layer has read it, so "
                f"its gradients are undefined; replace the in-place operation that follows it."
            )
        return Call(args=self.args, kwargs=self.kwargs, errors=self.errors)


def layers_of(model: nn.Module) -> list[Layer]:
    """The layers that own the model's parameters, each parameter under exactly one of them.

    A module with parameters of its own that no rule covers is one layer with all below it.

    Raises:
        UserError: A parameter belongs to two modules, batch normalisation or dropout is in
            training mode.
    """
    _refuse_ties(model)
    for name, module in model.named_modules():
        _refuse_undefined(name, module)
    seen: set[int] = set()
    return list(_walk(model, "", seen))


def _walk(module: nn.Module, prefix: str, seen: set[int]) -> Iterator[Layer]:
    if id(module) in seen:
        return
    seen.add(id(module))
    if parametrize.is_parametrized(module):
        yield Layer(prefix=prefix, module=module, rule=any_layer)
    elif any(p is not None for p in module._parameters.values()):
        yield Layer(prefix=prefix, module=module, rule=rule_of(module))
    else:
        for name, child in module.named_children():
            yield from _walk(child, f"{prefix}{name}.", seen)


def _refuse_ties(model: nn.Module) -> None:
    names: dict[int, str] = {}
    for place, module in model.named_modules():
        for short, parameter in module._parameters.items():
            if parameter is None:
                continue
            name = f"{place}.{short}" if place else short
            if id(parameter) in names:
                raise UserError(
                    f"parameters {names[id(parameter)]!r} and {name!r} are one tensor in two "
                    f"modules; per-sample gradients of tied weights are not supported. Use one "
                    f"module in both places, or leave out the gradient signals."
                )
            names[id(parameter)] = name


def _refuse_undefined(name: str, module: nn.Module) -> None:
    if not module.training:
        return
    kind = type(module).__name__
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        raise UserError(
            f"layer {name!r} ({kind}) is in training mode, where a sample's gradient depends on "
            f"the other samples of its batch; call model.eval() first, or use GroupNorm."
        )
    if isinstance(module, nn.modules.dropout._DropoutNd) and module.p > 0:
        raise UserError(
            f"layer {name!r} ({kind}) is in training mode and would make gradients random; call "
            f"model.eval() first."
        )


@contextmanager
def _parameters_out_of_the_graph(model: nn.Module) -> Iterator[None]:
    """Inside, no parameter asks for a gradient, which saves a third of a pass."""
    asked = [p for p in model.parameters() if p.requires_grad]
    try:
        for parameter in asked:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in asked:
            parameter.requires_grad_(True)


def _listen(heard: list[_Heard]) -> Any:
    def hook(module: nn.Module, args: Any, kwargs: dict[str, Any], outputs: Any) -> Any:
        outputs = _mapped(outputs)
        ears = tensors_of(outputs)
        values = [v for v in (*args, *kwargs.values()) if isinstance(v, Tensor)]
        one = _Heard(
            args=tuple(_detached(v) for v in args),
            kwargs={name: _detached(v) for name, v in kwargs.items()},
            versions=[(v, v._version) for v in values],
        )
        for i, out in enumerate(ears):
            if out.requires_grad:  # else no error comes, and the check on two samples tells
                out.register_hook(lambda error, i=i: one.errors.__setitem__(i, error.detach()))
        heard.append(one)
        return outputs

    return hook


def _mapped(outputs: Any) -> Any:
    """The same outputs, made to ask for a gradient where nothing before them did."""
    if isinstance(outputs, Tensor):
        if not outputs.is_floating_point() or outputs.requires_grad:
            return outputs
        return outputs.detach().requires_grad_().clone()  # not a leaf: in-place may follow
    if isinstance(outputs, tuple | list) and not hasattr(outputs, "_fields"):
        return type(outputs)(_mapped(part) for part in outputs)
    if isinstance(outputs, dict):
        return {name: _mapped(part) for name, part in outputs.items()}
    return outputs


def _detached(value: Any) -> Any:
    return value.detach() if isinstance(value, Tensor) else value


def channels_last(inputs: Tensor) -> Tensor:
    """Images laid out as convolutions on a CPU are fastest with, and as the rules want them."""
    images = inputs.ndim == 4
    return inputs.contiguous(memory_format=torch.channels_last) if images else inputs


def captured(
    model: nn.Module, layers: list[Layer], inputs: Tensor, logit_errors: Any
) -> list[list[Call]]:
    """The calls of every layer in one pass over ``inputs``, in the order of ``layers``.

    Args:
        model: The model; left as it was, also when something fails.
        layers: What :func:`layers_of` returned.
        inputs: A micro-batch.
        logit_errors: ``logits (n, C) -> error at the logits (n, C)``.
    """
    heard: list[list[_Heard]] = [[] for _ in layers]
    with ExitStack() as stack:
        stack.enter_context(torch.enable_grad())
        stack.enter_context(_parameters_out_of_the_graph(model))
        for layer, ears in zip(layers, heard, strict=True):
            handle = layer.module.register_forward_hook(_listen(ears), with_kwargs=True)
            stack.callback(handle.remove)
        logits = model(channels_last(inputs))
        if logits.requires_grad:
            logits.backward(logit_errors(logits.detach()))
    return [
        [one.call(layer.prefix) for one in ears if one.errors]
        for layer, ears in zip(layers, heard, strict=True)
    ]
