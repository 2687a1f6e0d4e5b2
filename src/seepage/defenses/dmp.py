"""A student that never meets a member: it learns a teacher's answers to other inputs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal, get_args

import torch
from torch import Tensor

from seepage._rng import torch_child
from seepage.defenses.dcgan import synthetic_images
from seepage.defenses.dmp_tables import is_binary_table, random_bits, synthetic_table
from seepage.defenses.student import Student
from seepage.protocols import Defense, Fitted
from seepage.records import UserError, suggestion

if TYPE_CHECKING:
    from seepage.records import IntArray
    from seepage.training.trainer import Trainer

Generator = Literal["auto", "bits", "dcgan", "public", "table"]
"""Where a student's inputs can come from."""


def dmp(
    *,
    generator: Generator = "auto",
    synthetic: int = 10_000,
    gan_epochs: int = 100,
    epochs: int | None = None,
    learning_rate: float | None = None,
    optimizer: Literal["sgd", "adam", "adamw"] | None = None,
    momentum: float | None = None,
    weight_decay: float | None = None,
    milestones: Sequence[int] | None = None,
    restart_each_epoch: bool | None = None,
) -> Defense:
    r"""Serve a student that learned an undefended teacher's answers to inputs of no member.

    The teacher is trained on the members as the undefended model of the same number would be, bit
    for bit. The student is trained from the study's start on inputs :math:`\tilde x`, towards

    .. math:: t_i = \mathrm{softmax}\big(f_\text{teacher}(\tilde x_i)\big)

    The inputs come from a generator:

    * ``dcgan``: images of a network trained on the members (:mod:`seepage.defenses.dcgan`);
    * ``table``: binary rows drawn class by class (:mod:`seepage.defenses.dmp_tables`);
    * ``bits``: fair coins, which no member has any part in; binary tables only;
    * ``public``: the study's public records, all of them, without their labels;
    * ``auto``: ``dcgan`` for images, ``table`` for binary tables, else ``public``.

    A generator that was trained on the members may itself repeat them: what it leaks, the student
    can learn. The audit trains one for every model, as the defender would.

    Args:
        generator: Where the student's inputs come from.
        synthetic: How many are generated, at least 1; ``public`` does not ask.
        gan_epochs: Passes of ``dcgan`` over the members, at least 1.
        epochs: Of the student, over the generated inputs.
        learning_rate: Of the student.
        optimizer: Of the student.
        momentum: Of the student.
        weight_decay: Of the student.
        milestones: Epochs after which the student's step size is a tenth.
        restart_each_epoch: Whether the student's optimizer is made afresh after every epoch.

    Raises:
        UserError: An option is out of range; in training, the generator cannot make such inputs.

    References:
        | Membership Privacy for Machine Learning Models Through Knowledge Transfer (Shejwalkar and
          Houmansadr, 2021), https://arxiv.org/abs/1906.06589

    Differs from the paper, which picks public inputs on which the teacher is sure: here all are
    used. Tables come from ``table`` where the paper and later code train a network (CTGAN).
    Released codes divide the divergence by the number of classes *C* too: a step size they call
    0.1 with 30 classes is 0.1 / 30 here, and a weight decay of theirs is times *C* here.
    """
    known = get_args(Generator)
    if generator not in known:
        raise UserError(f"dmp has no generator {generator!r}; {suggestion(generator, known)}")
    if synthetic < 1 or gan_epochs < 1:
        raise UserError(
            f"dmp needs synthetic and gan_epochs of at least 1, got {synthetic} and {gan_epochs}"
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
    return Defense(fit=partial(_fit, generator, synthetic, gan_epochs, student))


def _fit(
    generator: str,
    synthetic: int,
    gan_epochs: int,
    student: Student,
    trainer: Trainer,
    number: int,
    rows: IntArray,
) -> Fitted:
    made = student_inputs(generator, synthetic, gan_epochs, trainer, number, rows)
    teacher = trainer.train({number: rows}, role="reference")[number]
    targets = trainer.logits(teacher, made).softmax(1)
    return Fitted(state=student.learn(trainer, number, made, targets, role="dmp student"))


def student_inputs(
    generator: str, count: int, gan_epochs: int, trainer: Trainer, number: int, rows: IntArray
) -> Tensor:
    """What the student of model ``number`` is trained on, normalised, shape ``(m, ...)``.

    Generators work on raw inputs, before mean and deviation were taken off.

    Raises:
        UserError: The generator does not make inputs like the members, or there is no public row.
    """
    picked = torch.as_tensor(rows)
    members, labels = trainer.samples.inputs[picked], trainer.samples.labels[picked]
    mean, std = (_channels(values, members) for values in (trainer.mean, trainer.std))
    raw = members * std + mean
    generator = _suitable(raw) if generator == "auto" else generator
    rng = torch_child(trainer.seed, "dmp", number, generator)
    if generator == "public":
        return _public(trainer)
    if generator == "dcgan":
        made = synthetic_images(raw, count, epochs=gan_epochs, rng=rng)
    elif not is_binary_table(raw):
        raise UserError(
            f"dmp.generator = {generator!r} makes rows of 0 and 1, but the data are no binary "
            "table; use 'dcgan' for images, or 'public' with reference.public"
        )
    elif generator == "bits":
        made = random_bits(count, raw.shape[1], rng)
    else:
        made = synthetic_table(raw, labels, count, rng=rng)
    return (made.to(members) - mean) / std


def _channels(values: Sequence[float], inputs: Tensor) -> Tensor:
    return torch.tensor(values).view(1, -1, *(1,) * (inputs.ndim - 2)).to(inputs)


def _suitable(raw: Tensor) -> str:
    if raw.ndim == 4:
        return "dcgan"
    return "table" if is_binary_table(raw) else "public"


def _public(trainer: Trainer) -> Tensor:
    if not len(trainer.public):
        raise UserError(
            "dmp with public records needs some: set reference.public to how many may be used"
        )
    return trainer.samples.inputs[torch.as_tensor(trainer.public)]
