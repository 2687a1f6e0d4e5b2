"""What one client does with the model it received: the settings of local training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from seepage._rng import child_seed, torch_child
from seepage.records import UserError

if TYPE_CHECKING:
    import torch

    from seepage.protocols import BatchHook, LossHook


class Samples(Protocol):
    """Samples held as tensors on one device; :class:`seepage.records.Dataset` is one."""

    @property
    def inputs(self) -> torch.Tensor: ...
    @property
    def labels(self) -> torch.Tensor: ...
    @property
    def classes(self) -> int: ...


@dataclass(frozen=True, kw_only=True)
class LocalTraining:
    """How a model is trained on one set of samples.

    The optimizer is made afresh in every call, so momentum does not outlive a round.

    Attributes:
        epochs: Passes over the samples, each in a new order.
        batch_size: Samples in a mini-batch; the last one of an epoch may be smaller.
        optimizer: ``sgd`` or ``adamw``, with the update rules of ``torch.optim``.
        momentum: Momentum of ``sgd``, in [0, 1).
        weight_decay: Added to the gradient as ``weight_decay · parameter`` by ``sgd``;
            decoupled from it by ``adamw``.
        full_gradient: One step on the gradient over all samples, summed batch by batch, instead
            of one step a batch. What FedSGD sends.

    Raises:
        UserError: A setting is out of range, or ``full_gradient`` comes with settings that have
            no meaning in a single step.
    """

    epochs: int = 1
    batch_size: int = 32
    optimizer: Literal["sgd", "adamw"] = "sgd"
    momentum: float = 0.0
    weight_decay: float = 0.0
    full_gradient: bool = False

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1:
            raise UserError(
                f"local epochs and batch_size must be at least 1, got {self.epochs} and "
                f"{self.batch_size}"
            )
        if self.optimizer not in ("sgd", "adamw"):
            raise UserError(f"optimizer must be 'sgd' or 'adamw', got {self.optimizer!r}")
        if not 0 <= self.momentum < 1 or not self.weight_decay >= 0:
            raise UserError(
                "momentum must be in [0, 1) and weight_decay at least 0, got "
                f"{self.momentum} and {self.weight_decay}"
            )
        if self.optimizer == "adamw" and self.momentum:
            raise UserError(
                "momentum must be 0 with adamw, whose own first moment decays by 0.9; got "
                f"{self.momentum}"
            )
        single = (self.epochs, self.optimizer, self.momentum) == (1, "sgd", 0.0)
        if self.full_gradient and not single:
            raise UserError(
                "one step on the full gradient (fedsgd) takes 1 local epoch, optimizer 'sgd' and "
                f"momentum 0, got {self.epochs}, {self.optimizer!r} and {self.momentum}. Use "
                "algorithm 'fedavg' for local training of more than one step."
            )

    def steps(self, samples: int) -> int:
        """Mini-batches that ``samples`` samples are trained on, all epochs together."""
        return self.epochs * -(-samples // self.batch_size)


@dataclass(frozen=True, kw_only=True)
class Job:
    """All that the training of a model depends on, besides itself and its samples. Picklable.

    Every draw is named by (seed, role, member, round), never by the order of training: however a
    cohort is cut up, each model meets the same batches.

    Attributes:
        settings: How to train.
        learning_rate: Step size.
        seed: The run's seed.
        role: What the models are; parts the draws of clients from those of, say, references.
        round_number: The round, from 1.
        batch: The defense's hook on a mini-batch, or None.
        loss: The defense's loss, or None for cross-entropy.
    """

    settings: LocalTraining
    learning_rate: float
    seed: int
    role: str = "client"
    round_number: int = 1
    batch: BatchHook | None = None
    loss: LossHook | None = None

    def order(self, member: int, epoch: int, samples: int) -> torch.Tensor:
        """A uniform permutation of ``range(samples)``: the order of one epoch."""
        import torch

        path = (self.role, member, "round", self.round_number, "epoch", epoch)
        return torch.randperm(samples, generator=torch_child(self.seed, *path))

    def hook_rng(self, member: int) -> torch.Generator:
        """The generator that the batch hook draws from, for one member's whole round."""
        return torch_child(self.seed, self.role, member, "round", self.round_number, "batch")

    def forward_seed(self, member: int) -> int:
        """What torch's own generator is seeded with for layers that draw, such as dropout."""
        return child_seed(self.seed, self.role, member, "round", self.round_number, "forward")
