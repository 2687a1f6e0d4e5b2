"""From a study that asks for an inversion to everything its run needs, before any training."""

from __future__ import annotations

import copy
import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from seepage import data as data_stage
from seepage import federation
from seepage._rng import child
from seepage.audit.choice import build_defense, choose
from seepage.audit.device import find_device
from seepage.audit.identity import factory_facts, fingerprint
from seepage.audit.inversion_options import check_groups, check_options
from seepage.audit.inversion_sides import Sides, load_sides
from seepage.audit.loading import ModelFactory, try_out
from seepage.audit.prepare import build_model, plan_of
from seepage.data.private import FEWEST_PUBLIC
from seepage.inversion import INVERSIONS, Target, build_regularizer
from seepage.inversion.networks import check_size
from seepage.records import IntArray, UserError
from seepage.states import place
from seepage.study import InversionSection, Study

if TYPE_CHECKING:
    from seepage.inversion import Method, Regularizer
    from seepage.protocols import Defense
    from seepage.records import Dataset, Split, State
    from seepage.training import Plan

NONE = "none"
"""The name of no regularizer."""


@dataclass(frozen=True, kw_only=True)
class PreparedInversion:
    """A study with its data parted, its clients drawn, its model built and its methods found.

    Attributes:
        study: The study as resolved.
        sides: Whose records are whose: the federation's, the attackers', the evaluator's.
        split: Who trains on what of the federation's.
        model: The architecture, with the weights before round 1.
        defense: The hooks of the study's defense.
        plan: How the clients of a round will be trained.
        labels: Private classes to reconstruct, ascending.
        rounds: Rounds whose global model is inverted, ascending.
        methods: What to invert it with, by name.
        regularizers: What is added to a method's loss, by name; None adds nothing.
        fingerprint: Twelve digits that name this run.
        seconds: Wall-clock time that making ready took.
    """

    study: Study
    sides: Sides
    split: Split
    model: torch.nn.Module
    defense: Defense
    plan: Plan
    labels: IntArray
    rounds: list[int]
    methods: Mapping[str, Method]
    regularizers: Mapping[str, Regularizer | None]
    fingerprint: str
    seconds: float

    @property
    def asked(self) -> InversionSection:
        """The study's section on inversion."""
        assert self.study.inversion is not None
        return self.study.inversion

    @property
    def dataset(self) -> Dataset:
        """The federation's records."""
        return self.sides.private

    def target(self, state: State | None = None) -> Target:
        """The model under attack with these parameters; None: those before round 1."""
        data, model = self.dataset, copy.deepcopy(self.model)
        if state is not None:
            place(model, state)
        return Target(
            model=model,
            classes=data.classes,
            shape=tuple(data.inputs.shape[1:]),
            mean=data.mean,
            std=data.std,
        )


def prepare_inversion(
    study: Study,
    *,
    data: Dataset | tuple[Any, Any] | None = None,
    model: ModelFactory | None = None,
    data_root: Path | None = None,
    may_spawn: bool = False,
) -> PreparedInversion:
    """Load, part, deal and build what ``study`` describes, checking names and options first.

    Args:
        study: A checked study with a section ``inversion``.
        data: Samples to use instead of ``study.data.name``: a Dataset or ``(inputs, labels)``.
        model: A factory to use instead of ``study.model.name``.
        data_root: Folder to look for data sets in.
        may_spawn: Whether the automatic plan may start worker processes.

    Raises:
        UserError: A name, a number or a file is wrong; nothing has been written.
    """
    began = time.perf_counter()
    asked = study.inversion
    assert asked is not None
    methods = {name: INVERSIONS[choose(name, INVERSIONS, what="method")] for name in asked.attacks}
    check_options(asked.options)
    regularizers = {
        name: build_regularizer(name, **asked.options.get(name, {}))
        for name in dict.fromkeys(asked.regularizers)
    }
    device = find_device(study.compute.device)
    study, sides = load_sides(study, data, model, data_root, device)
    split = data_stage.split(
        sides.private, seed=study.seed, **study.data.model_dump(exclude={"name", "options"})
    )
    labels, sides = _labels(asked.labels, sides, split)
    check_groups(asked, len(labels))
    check_prior(sides.public, asked, study.seed)
    defense = build_defense(study, central=False, dataset=sides.private)
    network = build_model(study, sides.private, model, defense).to(device)
    try_out(network, sides.private, defense)
    federation.settings_of(**study.federation.model_dump())
    _check_gradients(study)
    name = fingerprint(
        study, sides.private, device, network, {}, factory_facts(study.model.name, model)
    )
    return PreparedInversion(
        study=study,
        sides=sides,
        split=split,
        model=network,
        defense=defense,
        plan=plan_of(study, network, device, may_spawn),
        labels=labels,
        rounds=sorted(set(asked.rounds or [study.federation.rounds])),
        methods=methods,
        regularizers=regularizers,
        fingerprint=hashlib.sha256((name + sides.checksum).encode()).hexdigest()[:12],
        seconds=time.perf_counter() - began,
    )


def _labels(
    wanted: Sequence[int | str] | None, sides: Sides, split: Split
) -> tuple[IntArray, Sides]:
    """Private classes to reconstruct, of those that a client holds; notes say which none holds."""
    private = sides.private
    names = list(private.class_names or map(str, range(private.classes)))
    held = private.labels.cpu().numpy()[np.concatenate(split.clients)]
    missing = np.setdiff1d(np.arange(private.classes), held)
    said = ", ".join(names[label] for label in missing)
    if wanted is None:
        note = f"No client holds a record of {said}, which cannot be reconstructed."
        sides = replace(sides, notes=(*sides.notes, note)) if len(missing) else sides
        return np.unique(held), sides
    for each in wanted:
        if isinstance(each, int) and not 0 <= each < private.classes:
            raise UserError(
                f"inversion.labels: there is no private class {each}; they are numbered 0 to "
                f"{private.classes - 1}."
            )
    found = np.unique(
        [
            each
            if isinstance(each, int)
            else names.index(choose(each, names, what="private class"))
            for each in wanted
        ]
    )
    if np.isin(found, missing).any():
        raise UserError(
            f"inversion.labels: no client holds a record of {said}. Ask for other classes, or deal "
            "the records out otherwise (data.partition)."
        )
    return found.astype(np.int64), sides


def check_prior(public: torch.Tensor, asked: InversionSection, seed: int) -> None:
    """Refuse before any training what no prior can be trained on.

    Raises:
        UserError: There are too few images, or they are of a size that cannot be drawn.
    """
    images, _ = public_images(public, asked.public.model_dump(), seed)
    if len(images) < FEWEST_PUBLIC:
        raise UserError(
            f"inversion.public: a prior needs at least {FEWEST_PUBLIC} images, got {len(images)}. "
            "Make more public, or let the attackers hold more (per_attacker)."
        )
    check_size(tuple(images.shape[1:]))


def _check_gradients(study: Study) -> None:
    """Whoever is looked at must take part: drawn ahead, as the draw depends on nothing else."""
    assert study.inversion is not None
    asked, local = study.inversion.gradients, study.federation
    if asked is None:
        return
    if local.optimizer != "sgd":
        raise UserError(
            f"inversion.gradients retraces local training by SGD, and federation.optimizer is "
            f"{local.optimizer!r}. Set it to 'sgd', or leave inversion.gradients out."
        )
    for number in asked.rounds or [1]:
        there = federation.participants(
            study.data.clients,
            study.federation.participation,
            seed=study.seed,
            round_number=number,
        )
        if asked.client not in there:
            raise UserError(
                f"inversion.gradients.client = {asked.client} takes no part in round {number}; "
                f"clients {', '.join(map(str, there))} do. Name one of them, or another round."
            )


def public_images(
    pixels: torch.Tensor, settings: Mapping[str, Any], seed: int
) -> tuple[torch.Tensor, str]:
    """What the attackers hold together, and that in words.

    Args:
        pixels: All public images, shape ``(n, c, h, w)``.
        settings: ``attackers`` and ``per_attacker`` of the study.
        seed: The study's.

    Raises:
        UserError: There are fewer images than they are to have.
    """
    attackers, each = settings["attackers"], settings["per_attacker"]
    if each is None:
        return pixels, f"{len(pixels):,} images"
    if attackers * each > len(pixels):
        raise UserError(
            f"inversion.public: {attackers} attackers with {each} images each need "
            f"{attackers * each}, and there are {len(pixels)} public ones. Lower one of the two."
        )
    order = child(seed, "inversion", "attackers").permutation(len(pixels))[: attackers * each]
    who = "1 attacker" if attackers == 1 else f"{attackers} attackers who pool"
    return pixels[torch.from_numpy(np.sort(order))], f"{who}: {attackers * each:,} images"
