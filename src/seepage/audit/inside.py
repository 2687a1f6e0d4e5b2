"""What a study's insider is, and which attacks it allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import xarray as xr

from seepage import federation
from seepage.attacks import ATTACKS
from seepage.insiders import Generation, ascending, generating, isolating
from seepage.records import UserError

if TYPE_CHECKING:
    from torch import nn

    from seepage.protocols import Attack, Insider
    from seepage.records import Candidates, Dataset, Split
    from seepage.study import Study

EACH_ROUND = frozenset({"global_loss", "others_cosine", "others_projection", "start_loss"})
OF_A_ROUND = EACH_ROUND | {"attendance", "dealt_loss"}
AT_THE_END = frozenset({"declared", "generated_answer", "global_answer", "label", "own_answer"})
WHAT_IT_TAKES = {
    "generated_answer": "insider.gan (and insider.clients)",
    "start_loss": "insider.ascent (and insider.clients)",
    "dealt_loss": "insider.ascent.by = 'server' and candidates.targets",
    "attendance": "insider.attendance = true (and insider.clients)",
} | dict.fromkeys(
    ("declared", "global_answer", "global_loss", "others_cosine", "others_projection"),
    "insider.clients, the clients that the insider is",
)
"""What a study must set for the signals that only an insider has."""


OF_UPDATES = frozenset(
    {
        "adaptive_cosine",
        "aggregate_cosine",
        "cosine",
        "gradient_difference",
        "inner_product",
        "squared_update_norm",
    }
)
"""Signals of the step from the global model, which an isolated client does not start at."""


def isolates(study: Study) -> bool:
    """Whether the study's insider is a server that keeps clients apart."""
    return study.insider.ascent is not None and study.insider.ascent.by == "server"


def signals_inside(study: Study) -> set[str]:
    """Names of the signals of insiders that this study's insider can measure."""
    insider, there = study.insider, set()
    if insider.clients:
        there |= (EACH_ROUND | AT_THE_END) - {"start_loss", "generated_answer"}
    if insider.attendance:
        there.add("attendance")
    if insider.gan is not None:
        there.add("generated_answer")
    if insider.ascent is not None:
        there.add("start_loss" if insider.ascent.by == "participant" else "dealt_loss")
    return there


def where_inside(study: Study, attacks: Mapping[str, Attack]) -> dict[str, Attack]:
    """Those of ``attacks`` that the study's insider (or its having none) allows.

    Where the insider is a client, the adversary is a participant: attacks of servers are left out
    unless the study names them.

    Raises:
        UserError: One that was named cannot be run, a signal that is asked for cannot be measured,
            or no attack is left.
    """
    there = signals_inside(study)
    for name in study.observe.signals or ():
        if name in OF_A_ROUND | AT_THE_END and name not in there:
            takes = WHAT_IT_TAKES.get(name, "insider.clients")
            raise UserError(f"observe.signals: {name} takes an insider: set {takes}.")
    missing = {
        name: [need for need in attack.needs if need in WHAT_IT_TAKES and need not in there]
        for name, attack in attacks.items()
    }
    for name in study.attacks.names or ():
        if isolates(study) and set(attacks[name].needs) & OF_UPDATES:
            raise UserError(
                f"attack {name!r} compares gradients with updates, and an isolated client's does "
                "not start at the global model. Leave the attack out, or insider.ascent."
            )
        if lacking := missing.get(name):
            raise UserError(
                f"attack {name!r} reads {lacking[0]}, which takes an insider: set "
                f"{WHAT_IT_TAKES[lacking[0]]}, or leave the attack out."
            )
    able = {name: attack for name, attack in attacks.items() if not missing[name]}
    if isolates(study):
        able = {name: a for name, a in able.items() if not set(a.needs) & OF_UPDATES}
    if study.attacks.names is None and study.insider.clients:
        able = {
            name: a
            for name, a in able.items()
            if a.adversary in ("participant", "querier") or ATTACKS.get(name) is not a
        }
    if not able:
        raise UserError("no attack is left that this study allows. Name some in attacks.names.")
    return able


def with_room(study: Study, dataset: Dataset) -> Dataset:
    """The data set with one class more, for what an active insider's generator draws."""
    if study.insider.gan is None or not study.insider.gan.active:
        return dataset
    names = dataset.class_names
    return replace(
        dataset,
        classes=dataset.classes + 1,
        class_names=None if names is None else (*names, "generated"),
    )


def real_classes(study: Study, dataset: Dataset) -> int:
    """Classes that records have, without the one that generated images are given."""
    active = study.insider.gan is not None and study.insider.gan.active
    return dataset.classes - active


def build_insider(
    study: Study, dataset: Dataset, model: nn.Module, candidates: Candidates
) -> Insider | None:
    """The study's insider, or None where everybody is honest."""
    settings, clients = study.insider, tuple(sorted(set(study.insider.clients)))
    if settings.gan is not None:
        return generating(
            clients,
            Generation(
                classes=real_classes(study, dataset),
                shape=tuple(dataset.inputs.shape[1:]),
                mean=dataset.mean,
                std=dataset.std,
                **settings.gan.model_dump(),
            ),
            model,
        )
    if settings.ascent is None:
        return None
    how = {
        "rate": settings.ascent.rate,
        "steps": settings.ascent.steps,
        "rounds": frozenset(study.observed_rounds),
        "model": model,
    }
    if isolates(study):
        assert study.candidates.targets != "all"  # checked with the study
        return isolating(
            tuple(study.candidates.targets), candidates.inputs, candidates.labels, **how
        )
    return ascending(clients, candidates.inputs, candidates.labels, **how)


def as_seen(
    study: Study, split: Split, present: Mapping[int, Sequence[int]], made_up: xr.Dataset
) -> xr.Dataset:
    """Made-up signals with what of an insider's is known before any training.

    Who takes part with which weight is drawn ahead, and so are the rounds without the insider.
    """
    own = set(study.insider.clients)
    sizes = [len(ids) for ids in split.clients]
    weights = {r: federation.weights({k: sizes[k] for k in there}) for r, there in present.items()}
    if "attendance" in made_up:
        others = [client for client in range(len(sizes)) if client not in own]
        rows = [[weights[r].get(k, 0.0) for k in others] for r in sorted(present)]
        known = xr.DataArray(
            rows, dims=("round", "client"), coords={"round": sorted(present), "client": others}
        )
        made_up = made_up.drop_vars("attendance").merge(known.rename("attendance"), join="outer")
    if "start_loss" in made_up:
        inside = xr.DataArray(
            [bool(own & set(present[r])) for r in sorted(present)],
            dims="round",
            coords={"round": sorted(present)},
        )
        made_up = made_up.assign(start_loss=made_up["start_loss"].where(inside))
    return made_up
