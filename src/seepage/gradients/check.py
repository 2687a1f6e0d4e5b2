"""A check, on two samples, that the layers' inputs and outputs tell the model's whole gradient.

A model may use a parameter outside the forward pass of the module that owns it, mix the samples of
a batch, or change a layer's output in a hook of its own. None of these can be seen from a layer
alone, so two samples are compared with one plain backward pass each before anything is measured.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seepage.gradients.capture import Layer, captured
from seepage.gradients.layers import Call
from seepage.gradients.updates import PreparedUpdates
from seepage.records import UserError

TOLERANCE = 1e-3
"""Relative difference that is no longer rounding: float32 in two orders of summation."""


def check_model(
    model: nn.Module, layers: list[Layer], inputs: Tensor, prepared: PreparedUpdates
) -> int:
    """Compare with plain backward passes; return the bytes one sample needs.

    Raises:
        UserError: The logits are not ``(n, C)``, or the gradients differ.
    """
    calls = captured(model, layers, inputs, _some_errors)
    needed = _bytes(calls) // len(inputs)
    ours = prepared.products(layers, calls, len(inputs)).squared_norm
    plain = torch.stack([_plain_squared_norm(model, inputs[j : j + 1]) for j in range(len(inputs))])
    if not torch.allclose(ours, plain, rtol=TOLERANCE, atol=0.0):
        raise UserError(
            f"per-sample gradients of this model cannot be told from its layers: expected squared "
            f"norms {plain.tolist()}, got {ours.tolist()}. Use every parameter only inside the "
            f"forward pass of the module that owns it, and let no layer mix the samples of a "
            f"batch; or leave out what needs them."
        )
    return max(1, needed)


def _some_errors(logits: Tensor) -> Tensor:
    """Errors that no label makes vanish: 1, -1/2, 1/3, … for the classes."""
    if logits.ndim != 2:
        raise UserError(
            f"the model must give logits of shape (n, classes), got {tuple(logits.shape)}"
        )
    classes = torch.arange(1, logits.shape[1] + 1, device=logits.device)
    return ((-1.0) ** (classes + 1) / classes).to(logits).expand_as(logits)


def _plain_squared_norm(model: nn.Module, sample: Tensor) -> Tensor:
    parameters = [p for p in model.parameters() if p.requires_grad]
    with torch.enable_grad():
        logits = model(sample)
        if not logits.requires_grad:
            return torch.zeros((), dtype=torch.float64, device=logits.device)
        gradients = torch.autograd.grad(
            logits, parameters, _some_errors(logits.detach()), allow_unused=True
        )
    squares = [torch.linalg.vector_norm(g).double().square() for g in gradients if g is not None]
    return torch.stack(squares).sum()


def _bytes(calls: list[list[Call]]) -> int:
    """Inputs and errors, and a quarter for what autograd and the rules add: as measured by RSS."""
    tensors = [
        value
        for layer in calls
        for call in layer
        for value in (*call.args, *call.kwargs.values(), *call.errors.values())
        if isinstance(value, Tensor)
    ]
    return 5 * sum(tensor.numel() * tensor.element_size() for tensor in tensors) // 4
