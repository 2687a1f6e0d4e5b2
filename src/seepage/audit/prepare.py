"""From a checked study to everything a run needs, before any training."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seepage import data as data_stage
from seepage import defenses, federation, models
from seepage._rng import child_seed
from seepage.audit.candidates import draw_candidates, taking_part, targets_of
from seepage.audit.choice import check_names, signals_needed
from seepage.audit.device import exact_convolutions, find_device
from seepage.audit.identity import fingerprint
from seepage.audit.rehearsal import noise, rehearse
from seepage.records import HELD_OUT, Candidates, Dataset, Split, Truth, UserError
from seepage.training import Plan, choose_plan, refuse_running_statistics

if TYPE_CHECKING:
    import torch

    from seepage.protocols import Attack, Defense
    from seepage.study import DataSection, Study

ModelFactory = Callable[..., "torch.nn.Module"]


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A study with its data loaded, its clients drawn and its model built.

    Attributes:
        study: The study as resolved.
        dataset: All samples, on the device.
        split: Who trains on what.
        model: The architecture, with the initial weights of round 1.
        defense: The hooks of the study's defense.
        plan: How the clients of a round will be trained.
        truth: Who owns each candidate.
        targets: The clients whose membership is asked.
        attacks: The attacks to run, by name.
        left_out: Attacks that this federation does not allow, with the reason.
        signals: Names of the signals to measure.
        fingerprint: Twelve digits that name this run: study, data, device and version.
        seconds: Wall-clock time that making ready took, most of it loading data.
    """

    study: Study
    dataset: Dataset
    split: Split
    model: torch.nn.Module
    defense: Defense
    plan: Plan
    truth: Truth
    targets: list[int]
    attacks: dict[str, Attack]
    left_out: dict[str, str]
    signals: list[str]
    fingerprint: str
    seconds: float

    @cached_property
    def candidates(self) -> Candidates:
        """The pool of records the adversary asks about."""
        return Candidates(
            ids=self.truth.ids,
            inputs=self.dataset.inputs[self.truth.ids],
            labels=self.dataset.labels[self.truth.ids],
        )


def prepare(
    study: Study,
    *,
    data: Dataset | tuple[Any, Any] | None = None,
    model: ModelFactory | None = None,
    attacks: dict[str, Attack] | None = None,
    data_root: Path | None = None,
    may_spawn: bool = False,
) -> Prepared:
    """Load, deal out and build what ``study`` describes, checking every name first.

    Args:
        study: A checked study.
        data: Samples to use instead of ``study.data.name``: a Dataset or ``(inputs, labels)``.
        model: A factory to use instead of ``study.model.name``.
        attacks: The user's own attacks by name, run beside those of the table.
        data_root: Folder to look for data sets in.
        may_spawn: Whether the automatic plan may start worker processes: they import the calling
            script again, which only some scripts (and the command line) are written for.

    Raises:
        UserError: A name, a number or a file is wrong; nothing has been written.
    """
    began = time.perf_counter()
    chosen = check_names(study, attacks or {})
    device = find_device(study.compute.device)
    exact_convolutions()
    dataset = _load(study.data, data, data_root).to(device)
    study = _named(study, dataset if data is not None else None, model)
    split = _split(study, dataset)
    network = _build(study, dataset, model).to(device)
    try_out(network, dataset)
    settings = study.data
    truth = draw_candidates(split, study.candidates, study.seed)
    federation.settings_of(**study.federation.model_dump())  # settings that contradict each other
    present = taking_part(study)
    targets = targets_of(study, present)
    named = study.attacks.names is not None
    able, left_out = rehearse(chosen, noise(chosen, present), targets=targets, named=named)
    prepared = Prepared(
        study=study,
        dataset=dataset,
        split=split,
        model=network,
        defense=defenses.build(study.defense.name, study.defense.options),
        plan=choose_plan(
            network,
            device=device,
            clients=settings.clients,
            requested=study.compute.plan,
            may_spawn=may_spawn,
            workers=study.compute.workers,
        ),
        truth=truth,
        targets=targets,
        attacks=able,
        left_out=left_out,
        signals=signals_needed(study, able),
        fingerprint=fingerprint(study, dataset, device, network, able),
        seconds=time.perf_counter() - began,
    )
    _check_rates(prepared)
    return prepared


def try_out(model: torch.nn.Module, dataset: Dataset) -> None:
    """Two records through the model, to see that it takes the data and knows every class.

    Raises:
        UserError: It does not.
    """
    import torch

    refuse_running_statistics(model)
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


def _split(study: Study, dataset: Dataset) -> Split:
    settings = study.data.model_dump(exclude={"name", "options"})
    return data_stage.split(dataset, seed=study.seed, **settings)


def _build(study: Study, dataset: Dataset, model: ModelFactory | None) -> torch.nn.Module:
    return models.build(
        model or study.model.name,
        input_shape=tuple(dataset.inputs.shape[1:]),
        classes=dataset.classes,
        seed=child_seed(study.seed, "model"),
        **study.model.options,
    )


def _check_rates(prepared: Prepared) -> None:
    held_out = int(np.sum(prepared.truth.owner == HELD_OUT))
    for fpr in prepared.study.metrics.fpr or []:
        if fpr * held_out < 1:
            raise UserError(
                f"metrics.fpr = {fpr:g} needs at least {int(np.ceil(1 / fpr))} records that nobody "
                f"trained on, got {held_out}. Ask for fpr >= {1 / held_out:.2g}, or hold out more."
            )
