"""Training of a cohort: K models of one architecture on K index sets over one set of samples.

Clients of a round, reference models, repeats over seeds: there is no other training loop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from seepage.protocols import Defense
from seepage.records import IntArray, UserError
from seepage.states import running_statistics
from seepage.training.chunk import train_chunk
from seepage.training.layout import own_copy
from seepage.training.local import Job, LocalTraining, Samples
from seepage.training.plan import Plan, check_possible, cpu_threads
from seepage.training.spread import Spread

if TYPE_CHECKING:
    from seepage.records import State

ONE_BY_ONE = Plan(kind="one_by_one")


def train(
    model: nn.Module,
    start: State | Sequence[State],
    shards: Mapping[int, IntArray | Tensor],
    samples: Samples,
    settings: LocalTraining,
    *,
    learning_rate: float,
    seed: int,
    round_number: int = 1,
    role: str = "client",
    plan: Plan = ONE_BY_ONE,
    defense: Defense | None = None,
    spread: Spread | None = None,
    validation: Samples | None = None,
) -> dict[int, State]:
    r"""Train one model on each index set.

    .. math:: \theta_k \leftarrow \theta_k - \eta\,
        \nabla \tfrac{1}{|B|}\sum_{j \in B} \ell(\theta_k; x_j, y_j)
        \quad\text{over mini-batches } B \text{ of shard } k

    Guarantees:
        * a model's result depends on its own start and shard, the settings, and (seed, role,
          number, round), not on which other models are trained, up to rounding;
        * plans agree up to rounding; ``processes`` and ``one_by_one`` with the same threads and
          layout agree bit for bit;
        * shards of unequal size are trained exactly: nothing is cut off, filling weighs nothing.

    A parameter that the output does not depend on has gradient 0 and still decays; torch's
    optimizers would leave it out.

    Args:
        model: The architecture; its own parameters are neither read nor changed.
        start: Parameters every model starts from, or one start a model in the order of ``shards``.
            Running statistics that it leaves out are the architecture's own.
        shards: Rows of ``samples`` by model number.
        samples: A :class:`~seepage.records.Dataset`, or anything with inputs, labels, classes.
        settings: How to train.
        learning_rate: Step size, positive.
        seed: The run's seed.
        round_number: Names the draws of this call among those of the run.
        role: Names the draws of these models among those of others.
        plan: How to cut up and spread the work.
        defense: Its hooks ``batch``, ``loss``, ``inside`` and ``gradient`` and its ``share`` act
            here; the others do not. With ``inside`` or ``gradient`` a ``stacked`` plan trains
            models one by one too.
        spread: The workers of a ``processes`` plan; started for this call alone if None.
        validation: Samples that choose the epoch that is kept, where ``settings`` keep the best.
            The accuracy is that of the model in evaluation mode, without a hook.

    Returns:
        Trained parameters by model number, ascending; with them the running statistics of
        normalisation layers that keep them.

    Raises:
        UserError: A shard is empty, a start is missing, the best epoch is to be kept without
            samples to choose it by, the plan cannot train this model, the defense's hooks
            exclude each other or read what the model does not have, or training diverged.
    """
    alone = plan.kind == "stacked" and defense is not None and defense.inside is not None
    check_possible(model, samples.inputs.device, "one_by_one" if alone else plan.kind)
    _check_validation(settings, validation)
    empty = [member for member, rows in shards.items() if not len(rows)]
    if empty:
        raise UserError(f"{role} {empty[0]} has no data to train on. Give it at least one sample.")
    starts = _starts(start, shards, running_statistics(model))
    if defense is not None and defense.share < 1:
        settings = replace(settings, share=settings.share * defense.share)
    job = Job(
        settings=settings,
        learning_rate=learning_rate,
        seed=seed,
        role=role,
        round_number=round_number,
        batch=defense.batch if defense else None,
        loss=defense.loss if defense else None,
        gradient=defense.gradient if defense else None,
        inside=defense.inside if defense else None,
        reads=defense.reads if defense else None,
    )
    device = samples.inputs.device
    order = sorted(shards, key=lambda k: (-settings.steps(len(shards[k])), k))
    rows = {k: torch.as_tensor(shards[k], dtype=torch.int64).to(device) for k in order}
    if plan.kind == "processes":
        in_order = [starts[k] for k in order]
        trained = _spread(spread, model, in_order, rows, samples, job, plan, validation)
    else:
        trained = _here(model, starts, rows, samples, job, plan, validation)
    return {k: trained[k] for k in sorted(trained)}


def _here(
    model: nn.Module,
    starts: Mapping[int, State],
    rows: Mapping[int, Tensor],
    samples: Samples,
    job: Job,
    plan: Plan,
    validation: Samples | None,
) -> dict[int, State]:
    members, trained, own = list(rows), {}, None
    was_training = model.training
    model.train()
    try:
        with cpu_threads(plan.threads):
            for first in range(0, len(members), plan.chunk):
                part = members[first : first + plan.chunk]
                if len(part) == 1 and own is None:
                    own = own_copy(model, channels_last=plan.channels_last)
                trained |= train_chunk(
                    model if own is None else own,
                    [starts[k] for k in part],
                    {k: rows[k] for k in part},
                    samples,
                    job,
                    validation,
                )
    finally:
        model.train(was_training)
    return trained


def _spread(
    spread: Spread | None,
    model: nn.Module,
    starts: Sequence[State],
    rows: Mapping[int, Tensor],
    samples: Samples,
    job: Job,
    plan: Plan,
    validation: Samples | None,
) -> dict[int, State]:
    if spread is not None:
        return spread.train(model, starts, rows, job, plan, validation)
    with Spread(samples, workers=plan.workers) as own:
        return own.train(model, starts, rows, job, plan, validation)


def _starts(
    start: State | Sequence[State],
    shards: Mapping[int, IntArray | Tensor],
    statistics: Mapping[str, Tensor],
) -> dict[int, State]:
    """What each model starts from; models that share a start share it still, object for object."""
    if isinstance(start, Mapping):
        return dict.fromkeys(shards, {**statistics, **start} if statistics else start)
    if len(start) != len(shards):
        raise UserError(f"{len(shards)} models need {len(shards)} starts, got {len(start)}")
    full = [{**statistics, **own} for own in start] if statistics else start
    return dict(zip(shards, full, strict=True))


def _check_validation(settings: LocalTraining, validation: Samples | None) -> None:
    if settings.keep == "best" and (validation is None or not len(validation.inputs)):
        raise UserError(
            "keeping the best epoch needs validation samples to choose it by, got none. Set "
            "reference.validation, or keep the last epoch."
        )
