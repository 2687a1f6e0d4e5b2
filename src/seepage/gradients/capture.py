"""A forward pass that is listened to at every layer with parameters, and what comes back to it.

Only the errors at the layers' outputs are computed; no gradient of a parameter is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.nn.utils import parametrize

from seepage.gradients.layers import Call, Rule, any_layer, rule_of, tensors_of
from seepage.records import UserError


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

    @property
    def name(self) -> str:
        """Its place in the model, as ``named_modules`` says it."""
        return self.prefix.removesuffix(".")


@dataclass(frozen=True)
class Heard:
    """What was heard at one call of a layer.

    Attributes:
        args: Positional arguments.
        kwargs: Keyword arguments.
        versions: Its input tensors, each with how often it had been changed in place.
        edges: Where its output tensors stand in autograd's graph, by their place among all. Not
            the tensors: what follows may change them in place.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    versions: list[tuple[Tensor, int]]
    edges: dict[int, GradientEdge]

    def call(self, name: str, errors: dict[int, Tensor], samples: int) -> Call:
        if any(tensor._version != version for tensor, version in self.versions):
            raise UserError(
                f"the input of layer {name!r} is changed in place after the layer has read it, so "
                f"its gradients are undefined; replace the in-place operation that follows it."
            )
        for error in errors.values():
            if error.shape[:1] != (samples,):
                raise UserError(
                    f"per-sample gradients of this model cannot be told from its layers: layer "
                    f"{name!r} gives an output of shape {tuple(error.shape)} for {samples} "
                    f"samples, which do not come first in it. Leave patches on an axis of their "
                    f"own, as in (n, patches, …), set batch_first=True, and let no layer mix the "
                    f"samples of a batch; or leave out what needs them."
                )
        return Call(args=self.args, kwargs=self.kwargs, errors=errors)


def layers_of(model: nn.Module) -> list[Layer]:
    """The layers that own the model's parameters, each parameter under exactly one of them.

    A module with parameters of its own that no rule covers is one layer with all below it.

    Raises:
        UserError: A parameter belongs to two modules, batch normalisation or dropout is in
            training mode, or as :func:`refuse_tables`.
    """
    _refuse_ties(model)
    refuse_tables(model)
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
                    f"module in both places, or leave out what needs them."
                )
            names[id(parameter)] = name


def refuse_tables(model: nn.Module) -> None:
    """Embeddings must be left as they are by a forward pass, and have gradients in full.

    Raises:
        UserError: One has ``max_norm`` or is ``sparse``.
    """
    for name, module in model.named_modules():
        if not isinstance(module, nn.Embedding | nn.EmbeddingBag):
            continue
        kind = type(module).__name__
        if module.max_norm is not None:
            raise UserError(
                f"layer {name!r} ({kind}) has a max_norm, with which every forward pass changes "
                f"its weights in place. Leave max_norm out."
            )
        if module.sparse:
            raise UserError(
                f"layer {name!r} ({kind}) gives sparse gradients, which are not supported. Leave "
                f"sparse at False."
            )


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


@contextmanager
def listening(layers: Sequence[Layer], *, leaves: bool = False) -> Iterator[list[list[Heard]]]:
    """Inside, every call of a layer is heard; what was heard, in the order of ``layers``.

    Args:
        layers: What :func:`layers_of` returned.
        leaves: Whether outputs that do not ask for a gradient are made to.
    """
    heard: list[list[Heard]] = [[] for _ in layers]
    with ExitStack() as stack:
        for layer, ears in zip(layers, heard, strict=True):
            hook = partial(_hear, ears, leaves)
            stack.callback(layer.module.register_forward_hook(hook, with_kwargs=True).remove)
        yield heard


def _hear(
    heard: list[Heard], leaves: bool, module: nn.Module, args: Any, kwargs: Any, outputs: Any
) -> Any:
    outputs = _mapped(outputs) if leaves else outputs
    values = [v for v in (*args, *kwargs.values()) if isinstance(v, Tensor)]
    heard.append(
        Heard(
            args=tuple(_detached(v) for v in args),
            kwargs={name: _detached(v) for name, v in kwargs.items()},
            versions=[(v, v._version) for v in values],
            edges={
                i: get_gradient_edge(out)
                for i, out in enumerate(tensors_of(outputs))
                if out.requires_grad  # else no error comes, and the check on two samples tells
            },
        )
    )
    return outputs


def calls_of(
    layers: Sequence[Layer],
    heard: Sequence[Sequence[Heard]],
    output: Tensor,
    cotangent: Tensor,
    *,
    keep_graph: bool = False,
) -> list[list[Call]]:
    """The calls of every layer with the errors that ``cotangent`` at ``output`` sends back.

    Args:
        layers: What was listened to.
        heard: What :func:`listening` gave.
        output: Anything that came of the forward pass, samples first.
        cotangent: In the shape of ``output``.
        keep_graph: Whether another backward pass will follow.

    Raises:
        UserError: An input is changed in place after its layer has read it, or the samples do not
            come first in a layer's output.
    """
    edges = [edge for ears in heard for one in ears for edge in one.edges.values()]
    if not edges or not output.requires_grad:
        return [[] for _ in layers]
    found = iter(
        torch.autograd.grad(output, edges, cotangent, retain_graph=keep_graph, allow_unused=True)
    )
    calls: list[list[Call]] = []
    for layer, ears in zip(layers, heard, strict=True):
        errors = [{i: next(found) for i in one.edges} for one in ears]
        came = [{i: e for i, e in own.items() if e is not None} for own in errors]
        pairs = zip(ears, came, strict=True)
        calls.append([one.call(layer.name, e, len(output)) for one, e in pairs if e])
    return calls


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
    model: nn.Module,
    layers: list[Layer],
    inputs: Tensor,
    logit_errors: Callable[[Tensor], Tensor],
) -> list[list[Call]]:
    """The calls of every layer in one pass over ``inputs``, in the order of ``layers``.

    Args:
        model: The model; left as it was, also when something fails.
        layers: What :func:`layers_of` returned.
        inputs: A micro-batch.
        logit_errors: ``logits (n, C) -> error at the logits (n, C)``.
    """
    with ExitStack() as stack:
        stack.enter_context(torch.enable_grad())
        stack.enter_context(_parameters_out_of_the_graph(model))
        heard = stack.enter_context(listening(layers, leaves=True))
        logits = model(channels_last(inputs))
        return calls_of(layers, heard, logits, logit_errors(logits.detach()))
