"""From a checked study to a black-box audit that is ready to train its models."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seepage import data as data_stage
from seepage import federation, models
from seepage._rng import child
from seepage.audit.choice import attacks_over, build_defense, check_names, signals_needed
from seepage.audit.device import find_device
from seepage.audit.identity import factory_facts, model_facts
from seepage.audit.loading import check_rates, load_data, try_out, try_training
from seepage.audit.models_evidence import assignment_of, rehearse_models
from seepage.audit.pool import Pool, check_sides, draw_pool, mislabel
from seepage.records import Dataset, IntArray, UserError
from seepage.reference import Bench, Measuring, paired
from seepage.signals.output import OUTPUT
from seepage.signals.queries import variants
from seepage.training import Plan, choose_plan, cores

if TYPE_CHECKING:
    import xarray as xr

    from seepage.audit.loading import ModelFactory
    from seepage.protocols import Attack, Defense
    from seepage.study import Study

SPAWN = 2e10
"""Multiply-adds of training from which worker processes pay for being started (about 5 s)."""

SEVERAL = 10
"""Trainings that a defense with a procedure of its own is reckoned as."""


@dataclass(frozen=True, kw_only=True)
class PreparedModels:
    """A black-box study with its data dealt out and its trainings planned.

    Attributes:
        study: The study as resolved.
        dataset: All samples; canaries have the labels they are trained on.
        pool: What becomes of every record.
        member: Whether model *s* is trained on record ``pool.ids[j]``, shape ``(S, n)``.
        bench: Everything the trainings share.
        workers: Processes to train with.
        targets: The models that are audited.
        attacks: The attacks to run, by name.
        left_out: Attacks that this study does not allow, with the reason.
        fingerprint: Twelve digits that name this audit.
        seconds: Wall-clock time that making ready took.
    """

    study: Study
    dataset: Dataset
    pool: Pool
    member: np.ndarray
    bench: Bench
    workers: int
    targets: list[int]
    attacks: dict[str, Attack]
    left_out: dict[str, str]
    fingerprint: str
    seconds: float

    @cached_property
    def assignment(self) -> xr.Dataset:
        """Who is trained on what, over every record asked about."""
        return assignment_of(self.bench, self.pool, self.member)

    @property
    def plan(self) -> str:
        """How the models will be trained, in a sentence."""
        many = f"{self.workers} worker processes; " if self.workers > 1 else ""
        return f"{self.bench.models} models, {many}{self.bench.plan}"

    @property
    def defense(self) -> Defense:
        """The hooks of the study's defense."""
        return self.bench.defense


def prepare_models(
    study: Study,
    *,
    data: Dataset | tuple[Any, Any] | None = None,
    model: ModelFactory | None = None,
    attacks: Mapping[str, Attack] | None = None,
    data_root: Path | None = None,
    may_spawn: bool = False,
) -> PreparedModels:
    """Load, deal out and plan what a study with ``reference.models`` describes.

    Arguments and errors as for :func:`~seepage.audit.prepare.prepare`.
    """
    began = time.perf_counter()
    chosen = attacks_over("model", check_names(study, attacks), named=study.attacks.names)
    device = find_device(study.compute.device)
    study, dataset = load_data(study, data, model, data_root)
    dataset = dataset.to(device)
    settings, seed = study.reference, study.seed
    assert settings.models is not None
    pool = draw_pool(len(dataset), settings, seed)
    if settings.canary == "mislabelled":
        dataset = mislabel(dataset, pool.canaries, seed)
    member = paired(settings.models, len(pool.ids), seed=seed)
    targets = list(range(settings.models)) if settings.targets == "all" else settings.targets
    check_sides(member[targets], np.isin(pool.ids, pool.canaries), targets)
    check_rates(study.metrics.fpr, len(pool.ids) - len(pool.canaries))
    variants(dataset.inputs[:1], settings.queries, seed=seed)  # as many as this kind of data has
    able, left_out = rehearse_models(
        chosen, study, features=dataset.inputs[0].numel(), public=len(pool.public)
    )
    bench = _bench(study, dataset, pool, member, able, model)
    workers = _workers(study, bench, may_spawn)
    bench = _threaded(bench, workers)
    return PreparedModels(
        study=study,
        dataset=dataset,
        pool=pool,
        member=member,
        bench=bench,
        workers=workers,
        targets=targets,
        attacks=able,
        left_out=left_out,
        fingerprint=_digest(
            {
                "study": study.model_dump(exclude={"name"}),
                "keys": list(bench.keys),
                "attacks": {name: attack.needs for name, attack in able.items()},
            }
        )[:12],
        seconds=time.perf_counter() - began,
    )


def _bench(
    study: Study,
    dataset: Dataset,
    pool: Pool,
    member: np.ndarray,
    attacks: Mapping[str, Attack],
    model: ModelFactory | None,
) -> Bench:
    settings = study.reference
    shards = _shards(study, dataset, pool, member)
    central = study.data.clients == 1 and study.federation.rounds == 1
    defense = build_defense(study, central=central, dataset=dataset)
    build = _maker(study, dataset, model, defense)
    needed = set(signals_needed(study, attacks)) & set(OUTPUT) | {"correct"}
    bench = Bench(
        build=build,
        dataset=dataset,
        shards=shards,
        settings=federation.settings_of(**study.federation.model_dump()),
        defense=defense,
        seed=study.seed,
        public=pool.public,
        validation=pool.validation,
        plan=_plan(study, build, dataset, len(shards), alone=_alone(defense)),
        keys=(),  # they depend on all the rest
        measuring=Measuring(
            ids=pool.asked,
            names=tuple(sorted(needed)),
            queries=settings.queries,
            logits=any("logits" in attack.needs for attack in attacks.values()),
            respond=settings.answers == "responses",
        ),
    )
    if bench.federated and study.federation.keep == "best":
        raise UserError(
            f"defense {study.defense.name!r} acts on what a client sends, and a client keeps the "
            "last epoch: set federation.keep = 'last', or choose another defense."
        )
    network = bench.network(0)
    try_out(network, dataset, bench.defense)
    sizes = [sum(map(len, clients)) for clients in shards]
    if defense.ready is not None:
        defense.ready(max(sizes), len(pool.public))
    everyone = [ids for clients in shards for ids in clients]
    try_training(network, dataset, defense, bench.settings, everyone)
    keys = _keys(study, bench, pool, factory_facts(study.model.name, model))
    return replace(bench, keys=keys)


def _maker(study: Study, dataset: Dataset, model: ModelFactory | None, defense: Defense) -> Any:
    """``seed -> architecture``, as the defense has it."""
    build = partial(
        models.build,
        model or study.model.name,
        tuple(dataset.inputs.shape[1:]),
        dataset.classes,
        **study.model.options,
    )
    return partial(models.defended, build, defense.model) if defense.model else build


def _shards(study: Study, dataset: Dataset, pool: Pool, member: np.ndarray) -> list[list[IntArray]]:
    settings = study.data.model_dump(exclude={"name", "options", "held_out"})
    labels = dataset.labels.cpu().numpy()
    shards = []
    for number, mine in enumerate(member):
        ids = pool.ids[mine]
        if not len(ids):
            raise UserError(
                f"model {number} would be trained on no record: the pool of {len(pool.ids)} is too "
                "small. Enlarge reference.records."
            )
        rng = child(study.seed, "reference", number, "clients")
        dealt = data_stage.deal_out(ids, labels, rng, **settings)
        if (left := len(ids) - sum(map(len, dealt))) > 0:
            raise UserError(
                f"model {number}'s {len(ids)} records would not all be trained on: the clients get "
                f"{len(ids) - left}. Leave data.per_client, data.per_label and data.sizes out, so "
                "that they share all of them."
            )
        shards.append(dealt)
    return shards


def _plan(study: Study, build: Any, dataset: Dataset, count: int, *, alone: bool) -> Plan:
    """Spreading over processes is decided apart; models that are listened to are never stacked."""
    asked = study.compute.plan
    return choose_plan(
        build(seed=0),
        device=dataset.inputs.device,
        clients=count,
        requested="one_by_one" if alone else "auto" if asked == "processes" else asked,
        may_spawn=False,
    )


def _alone(defense: Defense) -> bool:
    return defense.gradient is not None or defense.inside is not None


def _workers(study: Study, bench: Bench, may_spawn: bool) -> int:
    """Processes to train with: as many as cores, where that much work is worth starting them."""
    asked = study.compute.plan
    if bench.dataset.inputs.is_cuda or asked in ("stacked", "one_by_one"):
        return 1
    most = min(study.compute.workers or cores(), bench.models)
    if asked == "processes":
        return most
    network = bench.network(0)
    parameters = sum(p.numel() for p in network.parameters())
    rows = sum(len(ids) for clients in bench.shards for ids in clients)
    epochs = bench.settings.local.epochs * bench.settings.rounds
    times = SEVERAL if bench.defense.fit is not None else 1
    return most if may_spawn and 3.0 * parameters * rows * epochs * times > SPAWN else 1


def _threaded(bench: Bench, workers: int) -> Bench:
    """One thread for each of many workers; all for a defense that trains many models in one."""
    threads = 1 if workers > 1 else bench.plan.threads
    if workers == 1 and bench.defense.fit is not None:
        threads = cores()
    return replace(bench, plan=replace(bench.plan, threads=threads))


def _keys(study: Study, bench: Bench, pool: Pool, factory: str) -> list[str]:
    """One name a model: changes with everything that could change its weights."""
    dataset = bench.dataset
    shared = {
        "data": [
            dataset.checksum,
            hashlib.sha256(dataset.labels.cpu().numpy().tobytes()).hexdigest(),
        ],
        "scale": [dataset.mean, dataset.std, dataset.classes],
        "outside": pool.digest,
        "architecture": [study.model.model_dump(), factory],
        "accountant": version("dp-accounting"),
        "defense": study.defense.model_dump(),
        "training": study.federation.model_dump(),
        "plan": study.compute.plan,
        "seed": study.seed,
        "device": str(dataset.inputs.device),
    }
    keys = []
    for number, clients in enumerate(bench.shards):
        rows = [hashlib.sha256(ids.tobytes()).hexdigest() for ids in clients]
        facts = {"number": number, "rows": rows, "model": model_facts(bench.network(number))}
        keys.append(_digest(shared | facts)[:24])
    return keys


def _digest(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
