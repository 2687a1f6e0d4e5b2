"""The settings of a federation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from seepage.federation.schedule import Schedule, build_schedule, constant
from seepage.records import UserError
from seepage.training import LocalTraining


@dataclass(frozen=True, kw_only=True)
class Federation:
    """How clients train a model together.

    Attributes:
        rounds: Number of rounds *T*.
        algorithm: ``fedavg`` sends models after local training; ``fedsgd`` one gradient over all
            of a client's data, as the model it would lead to.
        participation: Share of the clients drawn in each round, in (0, 1].
        local: What a client does in a round.
        learning_rate: Step size in round 1.
        schedule: ``(round, rounds) -> factor`` on it.

    Raises:
        UserError: A setting is out of range or contradicts another.
    """

    rounds: int
    algorithm: Literal["fedavg", "fedsgd"] = "fedavg"
    participation: float = 1.0
    local: LocalTraining = field(default_factory=LocalTraining)
    learning_rate: float = 0.1
    schedule: Schedule = constant

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise UserError(f"rounds must be at least 1, got {self.rounds}")
        if self.algorithm not in ("fedavg", "fedsgd"):
            raise UserError(f"algorithm must be 'fedavg' or 'fedsgd', got {self.algorithm!r}")
        if not 0 < self.participation <= 1:
            raise UserError(f"participation must be in (0, 1], got {self.participation}")
        if not 0 < self.learning_rate < float("inf"):
            raise UserError(f"learning_rate must be positive and finite, got {self.learning_rate}")
        if self.algorithm == "fedsgd":
            object.__setattr__(self, "local", replace(self.local, full_gradient=True))

    def rate(self, number: int) -> float:
        """The clients' step size in round ``number``, from 1."""
        return self.learning_rate * self.schedule(number, self.rounds)


def settings_of(
    *,
    rounds: int,
    algorithm: Literal["fedavg", "fedsgd"] = "fedavg",
    participation: float = 1.0,
    local_epochs: int = 1,
    local_share: float = 1.0,
    batch_size: int = 32,
    shuffle: bool = True,
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd",
    learning_rate: float = 0.1,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    schedule: str = "constant",
    decay: float | None = None,
    milestones: Sequence[int] = (),
    local_schedule: Literal["constant", "milestones", "cosine"] = "constant",
    local_milestones: Sequence[int] = (),
    restart_each_epoch: bool = False,
    keep: Literal["last", "best"] = "last",
) -> Federation:
    """A :class:`Federation` from the flat keys of a study's ``federation`` section.

    ``decay`` is by default 0.99 a round, or 0.1 at a milestone.
    """
    if decay is None:
        decay = 0.1 if schedule == "milestones" else 0.99
    return Federation(
        rounds=rounds,
        algorithm=algorithm,
        participation=participation,
        local=LocalTraining(
            epochs=local_epochs,
            share=local_share,
            batch_size=batch_size,
            shuffle=shuffle,
            optimizer=optimizer,
            momentum=momentum,
            weight_decay=weight_decay,
            schedule=local_schedule,
            milestones=tuple(local_milestones),
            restart_each_epoch=restart_each_epoch,
            keep=keep,
        ),
        learning_rate=learning_rate,
        schedule=build_schedule(schedule, decay=decay, milestones=milestones),
    )
