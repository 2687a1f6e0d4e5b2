"""A study's data and model, loaded and tried before any work."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from decimal import ROUND_CEILING, Context, Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seepage import data as data_stage
from seepage import federation, models
from seepage.metrics.roc import COUNT_GUARD
from seepage.records import Dataset, IntArray, UserError

if TYPE_CHECKING:
    import torch

    from seepage.federation import Federation
    from seepage.protocols import Defense
    from seepage.sections import DataSection
    from seepage.study import Study

ModelFactory = Callable[..., "torch.nn.Module"]


def try_out(model: torch.nn.Module, dataset: Dataset, defense: Defense) -> None:
    """Two records through the model, to see that it takes the data and knows every class.

    Args:
        model: The architecture.
        dataset: What it is asked to take.
        defense: What acts while it is trained.

    Raises:
        UserError: It does not.
    """
    import torch

    from seepage.gradients import refuse_tables

    federation.check_sent(model, defense)
    _refuse_company(model)
    refuse_tables(model)
    shape = tuple(dataset.inputs.shape[1:])
    mode = model.training
    try:
        with torch.no_grad():
            answers = model.eval()(dataset.inputs[:2])
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        raise UserError(
            f"the model cannot take inputs of shape {shape}: {str(error).splitlines()[0]}. "
            "Choose another model, or mend its first layer."
        ) from None
    finally:
        model.train(mode)
    expected = (min(len(dataset), 2), dataset.classes)
    if not isinstance(answers, torch.Tensor) or tuple(answers.shape) != expected:
        got = tuple(answers.shape) if isinstance(answers, torch.Tensor) else type(answers).__name__
        raise UserError(
            f"the model must answer with one logit a class, shape {expected}, got {got}."
        )


def _refuse_company(model: torch.nn.Module) -> None:
    """Answers must not depend on who else is asked in the same batch."""
    from torch.nn.modules.batchnorm import _BatchNorm

    for name, layer in model.named_modules():
        if isinstance(layer, _BatchNorm) and not layer.track_running_stats:
            raise UserError(
                f"layer {name!r} ({type(layer).__name__}) keeps no running statistics, so that "
                "what the model answers depends on who else is asked. Leave track_running_stats at "
                "True, or use GroupNorm."
            )


def try_training(
    model: torch.nn.Module,
    dataset: Dataset,
    defense: Defense,
    settings: Federation,
    shards: Iterable[IntArray],
) -> None:
    """What the first training would refuse is refused before any.

    Args:
        model: The architecture; left as it was.
        dataset: What it is trained on.
        defense: What acts while it is trained.
        settings: How it is trained.
        shards: The rows of everyone who trains.

    Raises:
        UserError: The defense's hooks exclude each other or cannot be had with this model, or
            somebody would train on less than one mini-batch.
    """
    import torch

    from seepage.training import over_rounds
    from seepage.training.inside import Reader
    from seepage.training.local import Job
    from seepage.training.private import PrivateGradients

    local = replace(settings.local, share=settings.local.share * defense.share)
    shards = [ids for ids in shards if len(ids)]
    for size in sorted({len(ids) for ids in shards}):
        local.batches(size)
    job = Job(
        settings=local,
        learning_rate=settings.rate(1),
        seed=0,
        batch=defense.batch,
        loss=defense.loss,
        gradient=over_rounds(defense, settings.rounds).gradient,
        inside=defense.inside,
        reads=defense.reads,
    )
    mode = model.training
    try:
        Reader(model, job)
        if job.gradient is not None and shards:
            PrivateGradients(model, 0, torch.as_tensor(shards[0]), dataset, job)
    finally:
        model.train(mode)


def load_data(
    study: Study,
    data: Dataset | tuple[Any, Any] | None,
    model: ModelFactory | None,
    root: Path | None,
) -> tuple[Study, Dataset]:
    """The study's data, and the study with the names of what stands in for data and model."""
    dataset = _load(study.data, data, root)
    if dataset.classes < 2:
        raise UserError(
            f"{dataset.name} has a single class, and there is nothing to tell apart. Choose data "
            "of at least two."
        )
    return _named(study, dataset if data is not None else None, model), dataset


def _load(
    settings: DataSection, data: Dataset | tuple[Any, Any] | None, root: Path | None
) -> Dataset:
    if data is not None:
        return data_stage.from_memory(data)
    return data_stage.load(settings.name, root=root, options=settings.options)


def _named(study: Study, data: Dataset | None, model: ModelFactory | None) -> Study:
    """The study with the names of what stands in for its data and model."""
    update: dict[str, Any] = {}
    if data is not None:
        update["data"] = study.data.model_copy(update={"name": data.name})
    if model is not None:
        update["model"] = study.model.model_copy(update={"name": models.named(model)})
    return study.model_copy(update=update)


def check_rates(rates: Sequence[float] | None, nonmembers: int) -> None:
    """Rates asked for by name must be ones that the non-members can resolve.

    Raises:
        UserError: One is not.
    """
    up = Context(prec=2, rounding=ROUND_CEILING)
    for rate in rates or []:
        if rate * nonmembers * (1 + COUNT_GUARD) < 1:
            least = up.divide(Decimal(1), Decimal(nonmembers))
            raise UserError(
                f"metrics.fpr = {rate:g} needs at least {math.ceil(1 / rate)} records that nobody "
                f"trained on, got {nonmembers}. Ask for fpr >= {float(least):g}, or hold out more."
            )
