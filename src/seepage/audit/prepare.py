"""From a checked study to everything a run needs, before any training."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seepage import data as data_stage
from seepage import federation, models
from seepage._rng import child_seed
from seepage.audit.candidates import draw_candidates, taking_part, targets_of
from seepage.audit.choice import (
    attacks_over,
    build_defense,
    check_names,
    signals_needed,
    where_known,
)
from seepage.audit.device import find_device
from seepage.audit.identity import factory_facts, fingerprint
from seepage.audit.inside import (
    as_seen,
    build_insider,
    real_classes,
    where_inside,
    with_room,
)
from seepage.audit.judged import judging_records
from seepage.audit.loading import ModelFactory, check_rates, load_data, try_out, try_training
from seepage.audit.models import PreparedModels, prepare_models
from seepage.audit.rehearsal import noise, rehearse
from seepage.records import HELD_OUT, Candidates, Dataset, Split, Truth, UserError
from seepage.signals.adaptive import Knowledge
from seepage.training import Plan, choose_plan

if TYPE_CHECKING:
    import torch

    from seepage.protocols import Attack, Defense, Insider
    from seepage.study import Study


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A study with its data loaded, its clients drawn and its model built.

    Attributes:
        study: The study as resolved.
        dataset: All samples, on the device.
        split: Who trains on what.
        model: The architecture, with the initial weights of round 1.
        defense: The hooks of the study's defense.
        knowledge: What an adversary who knows it measures with; None where it changes no measure.
        insider: Who does more in the federation than an honest client; None where nobody does.
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
    knowledge: Knowledge | None
    insider: Insider | None
    plan: Plan
    truth: Truth
    targets: list[int]
    attacks: dict[str, Attack]
    left_out: dict[str, str]
    signals: list[str]
    fingerprint: str
    seconds: float

    @cached_property
    def declared(self) -> np.ndarray:
        """Which classes each client holds and tells everyone, shape ``(K, classes)``."""
        labels = self.dataset.labels.cpu().numpy()
        return data_stage.declared(labels, self.split.clients, self.dataset.classes)

    @cached_property
    def candidates(self) -> Candidates:
        """The pool of records the adversary asks about."""
        return _candidates(self.dataset, self.truth)


def prepare(
    study: Study,
    *,
    data: Dataset | tuple[Any, Any] | None = None,
    model: ModelFactory | None = None,
    attacks: dict[str, Attack] | None = None,
    data_root: Path | None = None,
    may_spawn: bool = False,
) -> Prepared | PreparedModels:
    """Load, deal out and build what ``study`` describes, checking every name first.

    Args:
        study: A checked study.
        data: Samples to use instead of ``study.data.name``: a Dataset or ``(inputs, labels)``.
        model: A factory to use instead of ``study.model.name``.
        attacks: The user's own attacks by name, run beside those of the table.
        data_root: Folder to look for data sets in.
        may_spawn: Whether the automatic plan may start worker processes: they import the calling
            script again, which only some scripts (and the command line) are written for.

    Returns:
        A federation made ready, or with ``reference.models`` a black-box audit.

    Raises:
        UserError: A name, a number or a file is wrong; nothing has been written.
    """
    if study.inversion is not None:
        raise UserError(
            "this study asks for an inversion, which is seepage.invert(study) from Python. Leave "
            "its section inversion out for an audit of membership."
        )
    if study.reference.models is not None:
        return prepare_models(
            study,
            data=data,
            model=model,
            attacks=attacks,
            data_root=data_root,
            may_spawn=may_spawn,
        )
    return prepare_federation(
        study, data=data, model=model, attacks=attacks, data_root=data_root, may_spawn=may_spawn
    )


def prepare_federation(
    study: Study,
    *,
    data: Dataset | tuple[Any, Any] | None = None,
    model: ModelFactory | None = None,
    attacks: dict[str, Attack] | None = None,
    data_root: Path | None = None,
    may_spawn: bool = False,
) -> Prepared:
    """:func:`prepare` for an audit of a federation's own rounds and clients."""
    began = time.perf_counter()
    chosen = attacks_over("client", check_names(study, attacks), named=study.attacks.names)
    device = find_device(study.compute.device)
    study, dataset = load_data(study, data, model, data_root)
    dataset = with_room(study, dataset.to(device))
    split = _split(study, dataset)
    defense = build_defense(study, central=False, dataset=dataset)
    network = build_model(study, dataset, model, defense).to(device)
    try_out(network, dataset, defense)
    truth = draw_candidates(split, study.candidates, study.seed, study.insider.clients)
    settings = federation.settings_of(**study.federation.model_dump())
    try_training(network, dataset, defense, settings, split.clients)
    knowledge = _knowledge(study, defense, dataset)
    targets, able, left_out = _able(study, split, chosen, knows=knowledge is not None)
    prepared = Prepared(
        study=study,
        dataset=dataset,
        split=split,
        model=network,
        defense=defense,
        knowledge=knowledge,
        insider=build_insider(study, dataset, network, _candidates(dataset, truth)),
        plan=plan_of(study, network, device, may_spawn),
        truth=truth,
        targets=targets,
        attacks=able,
        left_out=left_out,
        signals=signals_needed(study, able),
        fingerprint=fingerprint(
            study, dataset, device, network, able, factory_facts(study.model.name, model)
        ),
        seconds=time.perf_counter() - began,
    )
    if study.insider.gan is not None:  # rather now than when all is trained
        classes = real_classes(study, dataset)
        judging_records(dataset, split, truth.ids, classes, study.seed)
    check_rates(study.metrics.fpr, int(np.sum(truth.owner == HELD_OUT)))
    return prepared


def _able(
    study: Study, split: Split, attacks: dict[str, Attack], *, knows: bool
) -> tuple[list[int], dict[str, Attack], dict[str, str]]:
    """The targets, the attacks that can be run on them, and why others cannot."""
    present = taking_part(study)
    targets = targets_of(study, present)
    known, unknown = where_known(study, where_inside(study, attacks), knows=knows)
    named = study.attacks.names is not None
    made_up = as_seen(study, split, present, noise(known, present))
    able, left_out = rehearse(known, made_up, targets=targets, named=named)
    return targets, able, left_out | unknown


def plan_of(study: Study, network: torch.nn.Module, device: str, may_spawn: bool) -> Plan:
    """How the clients of a round will be trained."""
    return choose_plan(
        network,
        device=device,
        clients=study.data.clients,
        requested=study.compute.plan,
        may_spawn=may_spawn,
        workers=study.compute.workers,
    )


def _split(study: Study, dataset: Dataset) -> Split:
    settings = study.data.model_dump(exclude={"name", "options"})
    return data_stage.split(dataset, seed=study.seed, **settings)


def _candidates(dataset: Dataset, truth: Truth) -> Candidates:
    inputs, labels = dataset.inputs[truth.ids], dataset.labels[truth.ids]
    return Candidates(ids=truth.ids, inputs=inputs, labels=labels)


def _knowledge(study: Study, defense: Defense, dataset: Dataset) -> Knowledge | None:
    if not Knowledge.exists(defense):
        return None
    return Knowledge(
        batch=defense.batch,
        loss=defense.loss,
        sparse=defense.sparse,
        draws=study.observe.draws,
        seed=study.seed,
        batch_size=study.federation.batch_size,
        classes=dataset.classes,
    )


def build_model(
    study: Study, dataset: Dataset, model: ModelFactory | None, defense: Defense
) -> torch.nn.Module:
    """The architecture that the clients train, as the defense has it, with its first weights."""
    make = partial(
        models.build,
        model or study.model.name,
        tuple(dataset.inputs.shape[1:]),
        dataset.classes,
        **study.model.options,
    )
    return models.defended(make, defense.model, seed=child_seed(study.seed, "model"))
