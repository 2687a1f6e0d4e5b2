"""A study's data and model, loaded and tried before any work."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seepage import data as data_stage
from seepage import federation, models
from seepage.records import Dataset, UserError

if TYPE_CHECKING:
    import torch

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

    federation.check_sent(model, defense)
    _refuse_company(model)
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
    for rate in rates or []:
        if rate * nonmembers < 1:
            raise UserError(
                f"metrics.fpr = {rate:g} needs at least {math.ceil(1 / rate)} records that nobody "
                f"trained on, got {nonmembers}. Ask for fpr >= {1 / nonmembers:.2g}, or hold out "
                "more."
            )
