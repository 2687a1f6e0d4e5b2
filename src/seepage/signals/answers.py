"""What a model says when it is asked, as the one who asks gets it, and the signals in that."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from seepage._rng import torch_child
from seepage.gradients.capture import channels_last
from seepage.protocols import Query
from seepage.records import UserError, suggestion
from seepage.signals.output import OUTPUT

if TYPE_CHECKING:
    from seepage.protocols import ResponseHook
    from seepage.records import Candidates, State

ANSWERS = 512
"""Inputs in one forward pass when no batch size is given."""


@dataclass(frozen=True, kw_only=True)
class Responder:
    """A defense's last word on every answer, with what it needs to say it.

    Attributes:
        hook: What changes the logits.
        mean: Normalisation of the inputs: what was subtracted from the raw ones.
        std: What they were divided by.
        seed: The run's seed; every call draws from a child of it.
        kept: What the defense kept of training the model that is asked.
    """

    hook: ResponseHook
    mean: tuple[float, ...]
    std: tuple[float, ...]
    seed: int
    kept: Mapping[str, Tensor] = field(default_factory=dict)

    def __call__(
        self,
        logits: Tensor,
        inputs: Tensor,
        forward: Callable[[Tensor], Tensor],
        *path: str | int,
    ) -> Tensor:
        """The answers ``(n, C)`` that come out in place of ``logits``.

        Args:
            logits: What the model says, shape ``(n, C)``.
            inputs: What it was asked, shape ``(n, ...)``.
            forward: ``inputs -> logits`` of the model, without the hook.
            path: Names the draws of this call among all others; the same path draws the same.
        """
        query = Query(
            inputs=inputs,
            forward=forward,
            rng=torch_child(self.seed, "respond", *path),
            mean=self.mean,
            std=self.std,
            kept=self.kept,
        )
        return self.hook(logits, query)


def answers(
    model: nn.Module,
    state: State,
    inputs: Tensor,
    *,
    respond: Responder | None,
    batch_size: int = ANSWERS,
    path: tuple[str | int, ...] = (),
) -> Tensor:
    """What a model answers, batch by batch, in evaluation mode and without gradients.

    A hook that needs gradients of its own may switch them on. It is called once a batch, with the
    number of the batch's first row at the end of its path, so what it draws depends on
    ``batch_size``.

    Guarantees:
        * the model's own weights, buffers and modes are as they were.

    Args:
        model: The architecture.
        state: Parameters to ask with, and buffers where it has them; what it lacks is the model's.
        inputs: Normalised inputs, shape ``(n, ...)``; moved to the model's device in batches.
        respond: What a defense does to every answer; None is the bare model.
        batch_size: Inputs in one pass.
        path: Names these answers' draws among all others.

    Returns:
        Logits ``(n, C)`` on the model's device.
    """
    own = dict(model.named_parameters()) | dict(model.named_buffers())
    placed = {name: tensor.to(own[name]) for name, tensor in state.items()}
    device = next(model.parameters()).device

    def forward(batch: Tensor) -> Tensor:
        return functional_call(model, placed, (channels_last(batch),))

    parts = []
    with evaluating(model), torch.no_grad():  # not inference mode, whose tensors no graph may hold
        for first in range(0, len(inputs), batch_size):
            batch = inputs[first : first + batch_size].to(device)
            logits = forward(batch)
            parts.append(
                logits if respond is None else respond(logits, batch, forward, *path, first)
            )
    return torch.cat(parts)


def signals_of_answers(
    logits: Tensor, labels: Tensor, names: Sequence[str]
) -> dict[str, np.ndarray]:
    """Signals of one model's answers.

    Args:
        logits: Answers to *q* queries about each record, shape ``(q, n, C)``.
        labels: Class numbers of the records, shape ``(n,)``.
        names: Names in :data:`~seepage.signals.output.OUTPUT`.

    Returns:
        By name, shape ``(n,)`` where *q* is 1 and ``(n, q)`` else; computed in float64 and kept as
        float32.

    Raises:
        UserError: An unknown name.
    """
    for name in names:
        if name not in OUTPUT:
            raise UserError(f"answers give no signal {name!r}; {suggestion(name, OUTPUT)}")
    labels = labels.to(logits.device)
    columns: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for query in logits:  # one at a time: float64 answers to all of them may not fit
        wide = query.double()
        for name in names:
            columns[name].append(OUTPUT[name](wide, labels).cpu().numpy().astype(np.float32))
    return {
        name: parts[0] if len(parts) == 1 else np.stack(parts, axis=1)
        for name, parts in columns.items()
    }


def losses(
    model: nn.Module, state: State, candidates: Candidates, batch_size: int = ANSWERS
) -> np.ndarray:
    """The cross-entropy of a model on every candidate, shape ``(n,)``, in nat, float32.

    For one who holds its parameters and asks it herself: no defense of answers comes between.
    """
    logits = answers(model, state, candidates.inputs, respond=None, batch_size=batch_size)
    return signals_of_answers(logits[None], candidates.labels, ["loss"])["loss"]


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Inside, every module is in evaluation mode; after, each in the mode it had."""
    with ExitStack() as stack:
        for module in model.modules():
            stack.callback(setattr, module, "training", module.training)
        model.eval()
        yield
