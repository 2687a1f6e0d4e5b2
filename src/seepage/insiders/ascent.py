"""Gradient ascent by a participant: unlearn the candidates, and see who learns them again."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.func import functional_call

from seepage.insiders.honest import honest
from seepage.protocols import Insider
from seepage.records import UserError

if TYPE_CHECKING:
    from seepage.protocols import InsideTurn
    from seepage.records import State

BATCH = 1024
"""Candidates in one forward and backward pass."""


@dataclass(frozen=True, kw_only=True)
class Ascent:
    """Steps uphill on the loss of the candidates, taken in some rounds.

    Attributes:
        model: The architecture, on the candidates' device; left as it was.
        inputs: Their inputs, normalised, shape ``(n, ...)``, n >= 1.
        labels: Their classes, shape ``(n,)``.
        rate: Step size on the mean loss, positive and finite.
        steps: Steps in a round, at least 1.
        rounds: The rounds, counting from 1.

    Raises:
        UserError: There is no candidate, labels and inputs differ in number, or rate or steps are
            out of range.
    """

    model: nn.Module
    inputs: Tensor
    labels: Tensor
    rate: float
    steps: int
    rounds: frozenset[int]

    def __post_init__(self) -> None:
        if not len(self.inputs) or len(self.inputs) != len(self.labels):
            raise UserError(
                "gradient ascent needs candidates to climb on, each with its label; got "
                f"{len(self.inputs)} inputs and {len(self.labels)} labels"
            )
        if not 0 < self.rate < math.inf or self.steps < 1:
            raise UserError(
                "gradient ascent needs a positive, finite rate and at least 1 step, got "
                f"{self.rate} and {self.steps}"
            )

    def raised(self, start: State, number: int) -> State:
        """``start`` after the steps, or ``start`` itself in a round that takes none.

        Raises:
            UserError: It is no longer finite.
        """
        if number not in self.rounds:
            return start
        state = start
        for _ in range(self.steps):
            slope = self._slope(state)
            state = {**state, **{n: state[n] + self.rate * slope[n] for n in slope}}
        if not all(bool(torch.isfinite(value).all()) for value in state.values()):
            raise UserError(
                f"round {number}: gradient ascent diverged in {self.steps} steps at rate "
                f"{self.rate:g}, its parameters are no longer finite. Use a lower rate."
            )
        return state

    def _slope(self, state: State) -> dict[str, Tensor]:
        """Of each parameter, the mean loss's gradient in evaluation mode, summed over batches."""
        total = {n: torch.zeros_like(state[n]) for n, _ in self.model.named_parameters()}
        was_training = self.model.training
        self.model.eval()
        try:
            parts = zip(self.inputs.split(BATCH), self.labels.split(BATCH), strict=True)
            for inputs, labels in parts:
                leaves = {n: state[n].detach().requires_grad_() for n in total}
                answers = functional_call(self.model, {**state, **leaves}, (inputs,))
                loss = nn.functional.cross_entropy(answers, labels, reduction="sum")
                found = torch.autograd.grad(
                    loss / len(self.inputs), list(leaves.values()), materialize_grads=True
                )
                for sums, gradient in zip(total.values(), found, strict=True):
                    sums += gradient
        finally:
            self.model.train(was_training)
        return total


def ascending(
    clients: Iterable[int],
    inputs: Tensor,
    labels: Tensor,
    *,
    rate: float,
    steps: int,
    rounds: frozenset[int],
    model: nn.Module,
) -> Insider:
    r"""Clients that train honestly and then climb on the candidates' loss, in some rounds.

    .. math:: \theta \leftarrow \theta + \gamma\,
        \nabla_\theta \frac{1}{n} \sum_{i=1}^{n} \ell(\theta; x_i, y_i)

    ``steps`` times from what honest training gave, with cross-entropy :math:`\ell` in nats and the
    model in evaluation mode; the outcome is uploaded. The mean carries a part of it, the weight of
    the insider's clients, into the global model. Clients who hold a candidate take its loss down
    again from the next round on, those who do not leave it raised: over the rounds of the climb
    the global model's loss rises less on members than on others.

    How far the loss lies above the global model's in the upload itself says less: a record is
    raised by about :math:`\gamma \lVert \nabla \ell \rVert^2 / n`, little where it is fitted, and
    the others train beside the insider in that round, not after it. The larger γ, the more the
    raise alone decides that difference, and non-members are raised more.

    In all other rounds the clients are honest. No draw is made beyond those of honest training.

    Args:
        clients: The insider's own.
        inputs: The candidates' inputs, normalised, shape ``(n, ...)``, on the model's device.
        labels: Their classes, shape ``(n,)``.
        rate: Step size :math:`\gamma`, positive.
        steps: Steps in a round, at least 1.
        rounds: The rounds in which they climb, counting from 1.
        model: The architecture; left as it was.

    Raises:
        UserError: As :class:`Ascent` does, and while it runs, naming round and rate, when a model
            is no longer finite.

    References:
        | Comprehensive Privacy Analysis of Deep Learning (Nasr et al., 2019), the active attack
        | https://arxiv.org/abs/1812.00910

    Differs from the paper: it feeds what is observed to a trained network with known members;
    here one number of each record is compared, and nobody's membership need be known. That the
    steps follow honest training, and that they are on the mean over all candidates, so that
    ``rate`` is spread over them, is ours.
    """
    ascent = Ascent(
        model=model, inputs=inputs, labels=labels, rate=rate, steps=steps, rounds=rounds
    )
    return Insider(clients=tuple(sorted(clients)), upload=partial(_climb, ascent))


def _climb(ascent: Ascent, turn: InsideTurn) -> dict[int, State]:
    return {client: ascent.raised(state, turn.number) for client, state in honest(turn).items()}
