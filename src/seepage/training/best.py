"""The best epoch of each model of a chunk, by accuracy on validation samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.func import functional_call

from seepage.training.local import Samples

if TYPE_CHECKING:
    from seepage.records import State

TOGETHER = 4096
"""Validation samples in one forward pass."""


class Best:
    """Keeps a copy of each model as it was after its best epoch.

    Args:
        module: The architecture; left in the mode it is in.
        validation: Samples that choose. Probabilities as labels count as their likeliest class.
    """

    def __init__(self, module: nn.Module, validation: Samples) -> None:
        labels = validation.labels
        self._module = module
        self._inputs = validation.inputs
        self._classes = labels.argmax(1) if labels.is_floating_point() else labels
        self._correct: dict[int, int] = {}
        self.states: dict[int, State] = {}

    def look(self, model: int, state: Mapping[str, Tensor]) -> None:
        """Keep ``state`` if it is right about more samples than any before it of this model."""
        correct = self._count(state)
        if correct > self._correct.get(model, -1):
            self._correct[model] = correct
            self.states[model] = {
                name: tensor.detach().clone(memory_format=torch.contiguous_format)
                for name, tensor in state.items()
            }

    @torch.no_grad()
    def _count(self, state: Mapping[str, Tensor]) -> int:
        correct = 0
        with evaluating(self._module):
            parts = zip(self._inputs.split(TOGETHER), self._classes.split(TOGETHER), strict=True)
            for inputs, classes in parts:
                answers = functional_call(self._module, dict(state), (inputs,))
                correct += int((answers.argmax(1) == classes).sum())
        return correct


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode, and the mode before when it ends."""
    was_training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(was_training)
