r"""Squared norms of per-sample gradients of any loss.

A layer's inputs and the errors at its outputs give ``‖g_j‖²`` without ``g_j``: for a linear layer
at one place it is ``‖a_j‖²‖b_j‖²`` (Goodfellow, Efficient per-example gradient computations, 2015),
at several the Gram form (Li et al., Large language models can be strong differentially private
learners, 2022). They are the products of :mod:`seepage.gradients.products` with no update.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from seepage.gradients.capture import calls_of, captured, layers_of, listening
from seepage.gradients.check import check_model
from seepage.gradients.products import loss_errors, micro_batches
from seepage.gradients.updates import PreparedUpdates, no_updates
from seepage.records import UserError

if TYPE_CHECKING:
    from seepage.protocols import LossHook


class Listener:
    """Per-sample gradient norms of a model that is being trained.

    Made once for a model; then its parameters may change, its layers may not. One forward pass
    serves the norms and the backward pass that comes after them, so that layers which draw, such
    as dropout, show the gradients of that very pass.

    Args:
        model: Gives logits ``(n, C)``; now in evaluation mode where its layers draw.
        inputs: One or two samples to check on that the layers tell the whole gradient.

    Raises:
        UserError: As :func:`seepage.gradients.gradient_products`.
    """

    def __init__(self, model: nn.Module, inputs: Tensor) -> None:
        self._layers = layers_of(model)
        self._nothing = PreparedUpdates(model, self._layers, no_updates(model))
        check_model(model, self._layers, inputs, self._nothing)

    def __call__(self, losses_of: Callable[[], Tensor]) -> tuple[Tensor, Tensor]:
        """What ``losses_of`` gives and ``‖∇ℓ_j‖²``, both of shape ``(n,)``; the latter float64.

        Args:
            losses_of: Takes the model's forward pass and gives the loss of each sample, which may
                depend on that sample alone. Its graph is kept for a backward pass.
        """
        with listening(self._layers) as heard:
            losses = losses_of()
        ones = torch.ones_like(losses)
        calls = calls_of(self._layers, heard, losses, ones, keep_graph=True)
        return losses, self._nothing.products(self._layers, calls, len(losses)).squared_norm


def per_sample_norms(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    loss: LossHook,
    *,
    batch_size: int | None = None,
) -> Tensor:
    r"""``‖∇_θ ℓ(f_θ(x_j), y_j)‖²`` of n samples, shape ``(n,)``, float64.

    Guarantees:
        * agrees with one backward pass per sample to 1e-4;
        * no gradient of the model's size is formed for any sample, except by layers that have no
          rule of their own;
        * does not depend on ``batch_size`` beyond rounding;
        * the model is left as it was: no ``.grad``, no hook, same modes and flags.

    Args:
        model: Gives logits ``(n, C)``; used in the mode it is in.
        inputs: Shape ``(n, ...)``; moved to the model's device one micro-batch at a time.
        targets: What ``loss`` takes beside the logits, samples first.
        loss: ``(logits (b, C), targets (b, ...)) -> loss of each sample (b,)``.
        batch_size: Samples in a micro-batch; None fits it to a budget of bytes.

    Raises:
        UserError: As :func:`seepage.gradients.gradient_products`, or ``loss`` gives another shape.
    """
    if len(inputs) == 0 or len(targets) != len(inputs):
        raise UserError(
            f"per-sample norms need one target for each of at least one input, got "
            f"{len(inputs)} inputs and {len(targets)} targets"
        )
    layers = layers_of(model)
    nothing = PreparedUpdates(model, layers, no_updates(model))
    device = next(model.parameters()).device
    needed = check_model(model, layers, inputs[:2].to(device), nothing)
    norms = []
    for rows in micro_batches(len(inputs), batch_size, needed):
        errors = partial(loss_errors, loss, targets[rows].to(device))
        calls = captured(model, layers, inputs[rows].to(device), errors)
        norms.append(nothing.products(layers, calls, len(targets[rows])).squared_norm)
    return torch.cat(norms)
