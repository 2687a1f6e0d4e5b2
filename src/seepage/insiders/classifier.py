"""The classifier that a curious participant makes of images, its own or drawn ones."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from seepage._rng import torch_child
from seepage.insiders.images import changed
from seepage.states import running_statistics, state_of
from seepage.training import LocalTraining, Softened, choose_plan, train

if TYPE_CHECKING:
    from seepage.records import State

COPIES = 3
"""Changed copies of every drawn image that are learned from beside it."""

SETTINGS = LocalTraining(epochs=2, batch_size=50, momentum=0.9, schedule="cosine")
LEARNING_RATE = 0.02


def learn(
    model: nn.Module, inputs: Tensor, labels: Tensor, *, seed: int, role: str, drawn: bool = False
) -> State:
    """A classifier of images, from the architecture's first weights.

    Args:
        model: The architecture with the weights to start from, which are those that the federation
            started from and that every participant was given.
        inputs: Normalised, shape ``(n, ...)``.
        labels: Shape ``(n,)``.
        seed: The study's.
        role: Names its draws.
        drawn: Whether the images were drawn by a generator: then changed copies join them (see
            :func:`changed`), as variety is what they lack.

    Raises:
        UserError: The training diverged.
    """
    if drawn:
        rng = torch_child(seed, role, "copies")
        copies = [changed(inputs, rng) for _ in range(COPIES)]
        inputs, labels = torch.cat([inputs, *copies]), labels.repeat(1 + COPIES)
    start, classes = state_of(model), _outputs(model, inputs)
    trained = train(
        model,
        start,
        {0: np.arange(len(inputs))},
        Softened(inputs, labels, classes),
        _settings(model, len(inputs)),
        learning_rate=LEARNING_RATE,
        seed=seed,
        role=role,
        plan=replace(choose_plan(model, device=inputs.device, clients=1), threads=1),
    )
    return trained[0]


def _outputs(model: nn.Module, inputs: Tensor) -> int:
    """How many it has, asked in evaluation mode: nothing of these inputs is kept."""
    was_training = model.training
    try:
        with torch.no_grad():
            return int(model.eval()(inputs[:2]).shape[1])
    finally:
        model.train(was_training)


def _settings(model: nn.Module, count: int) -> LocalTraining:
    """Of a training on so many images, which leaves none alone in a batch that is normalised."""
    size = SETTINGS.batch_size
    if running_statistics(model):
        size = next(n for n in range(size, 1, -1) if count % n != 1 or count == 1)
    return replace(SETTINGS, batch_size=size)
