"""A student: a model that learns another's answers, for the defenses that serve one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from seepage.records import UserError
from seepage.training.trainer import Softened

if TYPE_CHECKING:
    from torch import Tensor

    from seepage.records import State
    from seepage.training.trainer import Trainer


OPTIONS = {
    "epochs": "passes of the student over its inputs, >= 1",
    "learning_rate": "first step size of the student, > 0",
    "optimizer": "the student's: sgd, adam or adamw",
    "momentum": "momentum of the student's sgd, in [0, 1)",
    "weight_decay": "weight decay of the student, >= 0",
    "milestones": "epochs after which the student's step size is a tenth",
    "restart_each_epoch": "whether the student's optimizer is made afresh after every epoch",
}
"""What each option means that defenses with a student share; left out, it is as the study says."""

DECAY = 0.1
"""What the step size is multiplied by after each of a student's own milestones."""


@dataclass(frozen=True, kw_only=True)
class Student:
    """How a student's training differs from the study's. None means: as the study says.

    Attributes:
        epochs: Passes over its samples, at least 1.
        learning_rate: Its first step size, > 0.
        optimizer: ``sgd``, ``adam`` or ``adamw``; the last two without the study's momentum.
        momentum: Momentum of ``sgd``, in [0, 1).
        weight_decay: At least 0.
        milestones: Epochs after which the step size is a tenth; none keeps it constant.
        restart_each_epoch: Whether its optimizer forgets its momentum after every epoch.
    """

    epochs: int | None = None
    learning_rate: float | None = None
    optimizer: Literal["sgd", "adam", "adamw"] | None = None
    momentum: float | None = None
    weight_decay: float | None = None
    milestones: Sequence[int] | None = None
    restart_each_epoch: bool | None = None

    def __post_init__(self) -> None:
        if self.learning_rate is not None and not 0 < self.learning_rate < float("inf"):
            raise UserError(f"a student needs a learning_rate > 0, got {self.learning_rate}")
        if self.epochs is not None and self.epochs < 1:
            raise UserError(f"a student needs at least 1 of epochs, got {self.epochs}")

    def settings(self) -> dict[str, object]:
        """Fields of :class:`~seepage.training.local.LocalTraining` that differ."""
        names = ("epochs", "optimizer", "momentum", "weight_decay", "restart_each_epoch")
        given: dict[str, object] = {
            name: getattr(self, name) for name in names if getattr(self, name) is not None
        }
        if self.optimizer in ("adam", "adamw"):
            given = {"momentum": 0.0} | given
        if self.milestones is not None:
            given |= {"schedule": "milestones" if self.milestones else "constant"}
            given |= {"milestones": tuple(self.milestones), "decay": DECAY}
        return given

    def learn(
        self, trainer: Trainer, number: int, inputs: Tensor, targets: Tensor, *, role: str
    ) -> State:
        r"""Train model ``number`` on all of ``inputs``, from the study's start.

        .. math:: \min_\theta \tfrac1m \sum_i \sum_c -t_{ic} \ln p_\theta(c \mid x_i)

        This is the Kullback-Leibler divergence from the targets, up to a constant. Released codes
        divide it by the number of classes *C* as well: their ``learning_rate`` is *C* times ours,
        and their ``weight_decay`` is ours divided by *C*.

        Args:
            trainer: The study's.
            number: The model's number.
            inputs: Normalised inputs, shape ``(m, ...)``.
            targets: Probabilities *t*, shape ``(m, C)``.
            role: Names the student's draws.
        """
        samples = Softened(inputs, targets, trainer.samples.classes)
        trained = trainer.train(
            {number: np.arange(len(inputs))},
            role=role,
            samples=samples,
            settings=self.settings(),
            learning_rate=self.learning_rate,
        )
        return trained[number]
