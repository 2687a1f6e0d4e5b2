"""How well a model does on samples it is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from seepage.records import UserError

if TYPE_CHECKING:
    from seepage.records import State


class Evaluation(NamedTuple):
    """Accuracy in [0, 1] and mean cross-entropy in nats."""

    accuracy: float
    loss: float


@torch.no_grad()
def evaluate(
    model: nn.Module, state: State, inputs: Tensor, labels: Tensor, *, batch_size: int = 1024
) -> Evaluation:
    """Accuracy and mean cross-entropy of ``model`` with the parameters ``state``.

    Args:
        model: The architecture, run in evaluation mode; it is left as it was.
        state: Parameters by name.
        inputs: Shape ``(n, ...)``, n ≥ 1.
        labels: Class numbers, shape ``(n,)``.
        batch_size: Samples in one forward pass; no number depends on it beyond rounding.

    Raises:
        UserError: There are no samples.
    """
    if not len(labels):
        raise UserError("accuracy needs at least one sample, got none")
    was_training = model.training
    model.eval()
    hits, loss = 0, 0.0
    try:
        for x, y in zip(inputs.split(batch_size), labels.split(batch_size), strict=True):
            logits = functional_call(model, dict(state), (x,))
            hits += int((logits.argmax(1) == y).sum())
            loss += float(nn.functional.cross_entropy(logits, y, reduction="none").double().sum())
    finally:
        model.train(was_training)
    return Evaluation(hits / len(labels), loss / len(labels))
