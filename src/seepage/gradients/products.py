"""Inner products of per-sample gradients with updates, and their norms.

``g_j`` is the gradient of the loss of sample *j*, cross-entropy unless another is given, at the
model's parameters; ``u_k`` is client *k*'s update. Per-sample gradients are never formed in full:
see :func:`gradient_products`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from seepage.gradients.bilinear import Products
from seepage.gradients.capture import captured, layers_of
from seepage.gradients.check import check_model
from seepage.gradients.kept import kept_squared_norms
from seepage.gradients.updates import PreparedUpdates, UpdatesLike, stacker
from seepage.records import UserError

if TYPE_CHECKING:
    from seepage.protocols import LossHook

BYTES = 1 << 29
"""What a micro-batch's activations and errors may take: 512 MiB, with what autograd keeps."""

MOST = 512
"""Largest micro-batch; larger ones are no faster."""


class GradientProducts(NamedTuple):
    """Inner products and norms of per-sample gradients and updates, float64.

    Attributes:
        inner: ``⟨g_j, u_k⟩``, shape ``(n, K)``.
        squared_norm: ``‖g_j‖²``, shape ``(n,)``.
        update_squared_norm: ``‖u_k‖²``, shape ``(K,)``.
        kept_squared_norm: ``‖g_j‖²`` over the coordinates where ``u_k`` is not 0, shape
            ``(n, K)``; None where it was not asked for.
    """

    inner: Tensor
    squared_norm: Tensor
    update_squared_norm: Tensor
    kept_squared_norm: Tensor | None = None


def gradient_products(
    model: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    updates: UpdatesLike,
    *,
    loss: LossHook | None = None,
    kept: bool = False,
    batch_size: int | None = None,
) -> GradientProducts:
    """``⟨g_j, u_k⟩``, ``‖g_j‖²`` and ``‖u_k‖²`` for n samples and K updates.

    One forward and one backward pass give every layer's inputs and the errors at its outputs;
    from these each layer's share is taken by the form with the fewest operations. Linear, Conv2d,
    GroupNorm, LayerNorm and Embedding have rules of their own; any other module goes through
    ``vmap(grad)`` of that module alone. Memory is one copy of the updates and one micro-batch.

    Parameters that ask for no gradient (``requires_grad`` False) are left out of ``g`` and ``u``.
    The error at the logits is taken in float64 as probabilities with ``-Σ_{c≠y} p_c`` for the true
    class, so a gradient stays accurate where the model is so sure that float32 rounds 1 - p to 0.

    Guarantees:
        * agrees with one backward pass per sample to 1e-4 of ``‖g_j‖‖u_k‖`` and ``‖g_j‖²``;
        * does not depend on ``batch_size`` beyond rounding;
        * the model is left as it was: no ``.grad``, no hook, same modes and flags.

    Args:
        model: Gives logits ``(n, C)``; used in the mode it is in.
        inputs: Shape ``(n, ...)``; moved to the model's device one micro-batch at a time.
        labels: Class numbers, shape ``(n,)``; with ``loss`` what that takes beside the logits,
            samples first.
        updates: K mappings name → tensor, one mapping of tensors stacked on a leading axis of K,
            or a matrix ``(K, P)`` in the order of ``model.parameters()``.
        loss: ``(logits (b, C), targets (b, ...)) -> loss of each sample (b,)``, which may depend
            on that sample alone; None is cross-entropy.
        kept: Whether to take ``kept_squared_norm`` as well, see :mod:`seepage.gradients.kept`.
        batch_size: Samples in a micro-batch; None fits it to a budget of bytes.

    Raises:
        UserError: Names or shapes do not fit; a layer's per-sample gradient is undefined (batch
            normalisation or dropout in training mode, weights tied between modules); an embedding
            has ``max_norm``, with which a forward pass changes it, or sparse gradients; the
            samples do not come first in a layer's output; or the model uses parameters in a way
            that the layers' inputs and outputs do not show.
    """
    _check_arguments(inputs, labels, batch_size, numbers=loss is None)
    layers = layers_of(model)
    prepared = PreparedUpdates(model, layers, stacker(model, updates))
    device = next(model.parameters()).device
    needed = check_model(model, layers, inputs[:2].to(device), prepared)
    parts: list[Products] = []
    norms: list[Tensor] = []
    for rows in micro_batches(len(inputs), batch_size, needed):
        errors = _errors_of(loss, labels[rows].to(device))
        calls = captured(model, layers, inputs[rows].to(device), errors)
        n = len(labels[rows])
        if kept:  # before the products, which let go of the calls
            norms.append(kept_squared_norms(layers, calls, prepared, n))
        parts.append(prepared.products(layers, calls, n))
    inner, squared = (torch.cat(each) for each in zip(*parts, strict=True))
    on_kept = torch.cat(norms) if kept else None
    return GradientProducts(inner, squared, prepared.squared_norm, on_kept)


def micro_batches(samples: int, batch_size: int | None, needed: int) -> Iterator[slice]:
    """Slices of ``batch_size`` samples, or of as many as fit :data:`BYTES` at ``needed`` each."""
    step = batch_size or max(1, min(MOST, BYTES // needed))
    return (slice(first, first + step) for first in range(0, samples, step))


def _check_arguments(
    inputs: Tensor, labels: Tensor, batch_size: int | None, *, numbers: bool
) -> None:
    shape = labels.shape if numbers else labels.shape[:1]
    if len(inputs) == 0 or shape != (len(inputs),):
        raise UserError(
            f"gradient products need one label for each of at least one input, got inputs of shape "
            f"{tuple(inputs.shape)} and labels of shape {tuple(labels.shape)}"
        )
    if batch_size is not None and batch_size < 1:
        raise UserError(f"batch_size must be at least 1, got {batch_size}")


def _errors_of(loss: LossHook | None, labels: Tensor) -> Callable[[Tensor], Tensor]:
    if loss is None:
        return partial(_logit_errors, labels)
    return partial(loss_errors, loss, labels)


def loss_errors(loss: LossHook, targets: Tensor, logits: Tensor) -> Tensor:
    """Gradient of each sample's loss by its logits, shape ``(n, C)``.

    Raises:
        UserError: ``loss`` gives anything but one number a sample.
    """
    logits = logits.requires_grad_()
    losses = loss(logits, targets)
    if losses.shape != (len(logits),):
        raise UserError(
            f"the loss must give one number a sample, shape ({len(logits)},), got "
            f"{tuple(losses.shape)}"
        )
    return torch.autograd.grad(losses, logits, torch.ones_like(losses))[0]


def _logit_errors(labels: Tensor, logits: Tensor) -> Tensor:
    """Gradient of the cross-entropy by the logits, ``p - onehot(y)``, without cancellation."""
    classes = logits.shape[1]
    if labels.min() < 0 or labels.max() >= classes:
        raise UserError(
            f"labels must lie in [0, {classes}) for a model with {classes} outputs, got values "
            f"from {int(labels.min())} to {int(labels.max())}"
        )
    column = labels[:, None].long()
    others = logits.double().softmax(1).scatter(1, column, 0.0)
    return others.scatter(1, column, -others.sum(1, keepdim=True)).to(logits)
