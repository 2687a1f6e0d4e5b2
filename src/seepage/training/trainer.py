"""What a defense's own training procedure builds on: the one training loop, with its settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.func import functional_call

from seepage.training.cohort import train
from seepage.training.local import LocalTraining, Samples
from seepage.training.plan import Plan, choose_plan

if TYPE_CHECKING:
    from seepage.protocols import Defense
    from seepage.records import IntArray, State

LARGE_STACK = 500_000
"""Parameters of a whole stack from which a second thread pays."""

ANSWERS = 4096
"""Inputs in one forward pass."""


@dataclass(frozen=True)
class Softened:
    """Samples with targets of one's own: class numbers ``(n,)`` or probabilities ``(n, C)``."""

    inputs: Tensor
    labels: Tensor
    classes: int


@dataclass(frozen=True, kw_only=True)
class Trainer:
    """How the models of a study are trained, for a defense that trains several to get one.

    Attributes:
        model: The architecture.
        start: Parameters to start from.
        samples: All samples, on their device.
        settings: The study's training settings.
        learning_rate: The study's step size.
        seed: The run's seed.
        mean: Normalisation of the inputs: what was subtracted from the raw ones.
        std: What they were divided by.
        public: Rows that no model of the study is asked about and that anyone may use.
        validation: Samples that choose the best epoch, where ``settings`` keep it.
        round_number: Names the draws of its trainings among those of the run.
    """

    model: nn.Module
    start: State
    samples: Samples
    settings: LocalTraining
    learning_rate: float
    seed: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    public: IntArray
    validation: Samples | None = None
    round_number: int = 1

    def train(
        self,
        shards: Mapping[int, IntArray],
        *,
        role: str,
        samples: Samples | None = None,
        start: State | Sequence[State] | None = None,
        settings: Mapping[str, object] | None = None,
        learning_rate: float | None = None,
        defense: Defense | None = None,
    ) -> dict[int, State]:
        """One model on each index set, as :func:`seepage.training.train` does it, in this process.

        Args:
            shards: Rows of ``samples`` by model number.
            role: Names the draws of these models among those of others; let it hold the number of
                the model they are trained for.
            samples: Other samples or targets than the study's.
            start: Other parameters to start from than the study's.
            settings: Fields of :class:`LocalTraining` that differ from the study's.
            learning_rate: Another step size than the study's.
            defense: Its hooks ``batch``, ``loss`` and ``gradient`` act.
        """
        given = self.samples if samples is None else samples
        return train(
            self.model,
            self.start if start is None else start,
            shards,
            given,
            replace(self.settings, **(settings or {})),  # pyright: ignore[reportArgumentType]
            learning_rate=self.learning_rate if learning_rate is None else learning_rate,
            seed=self.seed,
            round_number=self.round_number,
            role=role,
            plan=self._plan(given.inputs.device, len(shards)),
            defense=defense,
            validation=self.validation,
        )

    def _plan(self, device: torch.device, models: int) -> Plan:
        """In this process, on no more threads than it was given: it may be one of many workers.

        A large stack takes them all, which halves its time on two (0004).
        """
        plan = choose_plan(self.model, device=device, clients=models, may_spawn=False)
        size = min(plan.chunk, models) * sum(p.numel() for p in self.model.parameters())
        given = torch.get_num_threads()
        large = plan.kind == "stacked" and size >= LARGE_STACK
        return replace(plan, threads=given if large else min(plan.threads, given))

    def logits(self, state: State, inputs: Tensor) -> Tensor:
        """The model's answers in evaluation mode, shape ``(n, C)``, without gradients."""
        was_training = self.model.training
        self.model.eval()
        try:
            with torch.no_grad():
                parts = inputs.split(ANSWERS)
                return torch.cat([functional_call(self.model, dict(state), (x,)) for x in parts])
        finally:
            self.model.train(was_training)
