"""Teachers that answer only for what they have not seen, and a student that learns from them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seepage._rng import child
from seepage.defenses.student import Student
from seepage.protocols import Defense, Fitted
from seepage.records import UserError

if TYPE_CHECKING:
    from seepage.records import IntArray, State
    from seepage.training.trainer import Trainer


def selena(
    *,
    teachers: int = 25,
    left_out: int = 10,
    epochs: int | None = None,
    learning_rate: float | None = None,
    optimizer: Literal["sgd", "adam", "adamw"] | None = None,
    momentum: float | None = None,
    weight_decay: float | None = None,
    milestones: Sequence[int] | None = None,
    restart_each_epoch: bool | None = None,
) -> Defense:
    r"""Serve a student whose every target comes from models that did not see the record.

    Every member *i* draws *L* of the *K* teachers that must not see it, :math:`T_i`. Each teacher
    is trained on the others, a share :math:`1 - L/K` of the members on average. The student is
    trained on all members, towards

    .. math:: t_i = \mathrm{softmax}\Big(\frac1L \sum_{k \in T_i} f_k(x_i)\Big)

    Teachers and student start from the study's parameters. Teachers are trained with the study's
    settings; so is the student, but for the options given here.

    Args:
        teachers: Number of teachers *K*.
        left_out: Teachers *L* that must not see a member, from 1 to *K* - 1.
        epochs: Of the student.
        learning_rate: Of the student.
        optimizer: Of the student.
        momentum: Of the student.
        weight_decay: Of the student.
        milestones: Epochs after which the student's step size is a tenth.
        restart_each_epoch: Whether the student's optimizer is made afresh after every epoch.

    Raises:
        UserError: An option is out of range; in training, a teacher is left with no members.

    References:
        | Mitigating Membership Inference Attacks by Self-Distillation Through a Novel Ensemble
          Architecture (Tang et al., 2022), https://arxiv.org/abs/2110.08324

    Released codes divide the student's divergence by the number of classes *C* too: a step size
    they call 1.0 with 100 classes is 0.01 here, and a weight decay of theirs is times *C* here.
    Their teachers start from weights of their own; here all share one start.
    """
    if not 1 <= left_out < teachers:
        raise UserError(
            f"selena needs left_out from 1 to teachers - 1 = {teachers - 1}, got {left_out}"
        )
    student = Student(
        epochs=epochs,
        learning_rate=learning_rate,
        optimizer=optimizer,
        momentum=momentum,
        weight_decay=weight_decay,
        milestones=milestones,
        restart_each_epoch=restart_each_epoch,
    )
    return Defense(fit=partial(_fit, teachers, left_out, student))


def _fit(
    teachers: int, left_out: int, student: Student, trainer: Trainer, number: int, rows: IntArray
) -> Fitted:
    hidden = draw_hidden(len(rows), teachers, left_out, child(trainer.seed, "selena", number))
    states = trainer.train(
        {k: rows[~hidden[:, k]] for k in range(teachers)}, role=f"selena teacher of {number}"
    )
    inputs = trainer.samples.inputs[torch.as_tensor(rows)]
    targets = _targets(trainer, [states[k] for k in range(teachers)], inputs, hidden)
    return Fitted(state=student.learn(trainer, number, inputs, targets, role="selena student"))


def draw_hidden(
    members: int, teachers: int, left_out: int, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Which teachers must not see which members, shape ``(members, teachers)``.

    Every row is a uniform choice of exactly ``left_out`` teachers, independent of the other rows.
    """
    ranks = rng.random((members, teachers)).argsort(1).argsort(1)
    return ranks < left_out


def _targets(
    trainer: Trainer, states: Sequence[State], inputs: Tensor, hidden: NDArray[np.bool_]
) -> Tensor:
    """The softmax of each member's mean logits over the teachers it is hidden from, ``(n, C)``."""
    total = inputs.new_zeros(len(inputs), trainer.samples.classes)
    for k, state in enumerate(states):
        unseen = torch.as_tensor(np.flatnonzero(hidden[:, k])).to(inputs.device)
        total[unseen] += trainer.logits(state, inputs[unseen])
    return (total / hidden[0].sum()).softmax(1)
