"""What a study will cost, in counts, before any of it is done."""

from __future__ import annotations

import math
from collections.abc import Sequence

from seepage.audit.inversion import PreparedInversion
from seepage.audit.models import PreparedModels
from seepage.audit.prepare import Prepared
from seepage.inversion import PRIORS
from seepage.records import HELD_OUT
from seepage.signals.adaptive import ADAPTIVE


def estimate(prepared: Prepared | PreparedModels | PreparedInversion) -> dict[str, str]:
    """The plan of a run in words and counts: ``--dry-run`` prints it."""
    if isinstance(prepared, PreparedModels):
        return _of_models(prepared)
    if isinstance(prepared, PreparedInversion):
        return _of_inversion(prepared)
    return _of_federation(prepared)


def _of_models(prepared: PreparedModels) -> dict[str, str]:
    """Disk counts the weights and answers of all models."""
    study, bench, pool = prepared.study, prepared.bench, prepared.pool
    parameters = sum(p.numel() for p in bench.network(0).parameters())
    sizes = prepared.member.sum(axis=1)
    local = bench.settings.local
    steps = bench.settings.rounds * sum(
        local.steps(len(ids)) for clients in bench.shards for ids in clients
    )
    asked = bench.measuring
    answers = len(asked.ids) * (
        4 * len(asked.names) * asked.queries + 2 * prepared.dataset.classes * asked.logits
    )
    return {
        "run": f"{study.name} ({prepared.fingerprint}), seed {study.seed}",
        "data": f"{prepared.dataset.name}: {len(prepared.dataset):,} samples, "
        f"{prepared.dataset.classes} classes",
        "pool": f"{len(pool.ids):,} records, each in half of the models; {len(pool.public):,} "
        f"public, {len(pool.validation):,} for validation, {len(pool.canaries):,} canaries",
        "models": f"{bench.models} of {sizes.min():,} to {sizes.max():,} records; "
        f"{len(prepared.targets)} of them targets",
        "model": f"{study.model.name}: {parameters:,} parameters",
        "training": f"{steps:,} steps in all, for plain training; {prepared.plan}",
        "defense": study.defense.name,
        "queries": f"{asked.queries} of each record",
        "signals": ", ".join(asked.names),
        "attacks": ", ".join(prepared.attacks),
        "disk": f"about {_bytes(bench.models * (4 * parameters + answers))}",
    }


def _of_inversion(prepared: PreparedInversion) -> dict[str, str]:
    """Steps are those of generators and attacks; disk is what reconstructions and models take."""
    study, asked, split = prepared.study, prepared.asked, prepared.split
    sizes = [len(ids) for ids in split.clients]
    parameters = sum(p.numel() for p in prepared.model.parameters())
    made = asked.repeats * asked.per_label * len(prepared.labels)
    attacks = len(prepared.rounds) * len(prepared.methods) * len(prepared.regularizers)
    priors = [
        f"{kind} ({asked.prior.steps or PRIORS[kind].steps:,} steps"
        + (f" for each of {len(prepared.rounds)} rounds)" if PRIORS[kind].needs_target else ")")
        for kind in PRIORS
        if any(method.prior == kind for method in prepared.methods.values())
    ]
    pixels = math.prod(prepared.sides.public.shape[1:])
    kept = 4 * (attacks * made * pixels + (len(prepared.rounds) + 1) * parameters)
    return {
        "run": f"{study.name} ({prepared.fingerprint}), seed {study.seed}",
        "private": f"{prepared.dataset.name}: {len(prepared.dataset):,} images of "
        f"{prepared.dataset.classes} classes",
        "public": f"{prepared.sides.said}: {len(prepared.sides.public):,} images",
        "clients": f"{len(sizes)} with {_span(sizes)} images; {len(split.held_out):,} held out",
        "model": f"{study.model.name}: {parameters:,} parameters",
        "training": f"{study.federation.rounds:,} rounds; {prepared.plan}",
        "defense": study.defense.name,
        "priors": ", ".join(priors),
        "inverted": f"{len(prepared.rounds)} rounds × {', '.join(prepared.methods)} × "
        f"{', '.join(prepared.regularizers)}",
        "made": f"{made:,} images each, {attacks * made:,} in all",
        "disk": f"about {_bytes(kept)}",
    }


def _of_federation(prepared: Prepared) -> dict[str, str]:
    """Memory counts the tensors that live at once in a round (data, start, uploads and their
    differences); disk what the run folder will hold.
    """
    study, split = prepared.study, prepared.split
    parameters = sum(p.numel() for p in prepared.model.parameters())
    sizes = [len(ids) for ids in split.clients]
    settings = study.federation
    per_round = max(1, round(settings.participation * len(sizes)))
    share = settings.local_share
    each = [max(1, int(share * math.ceil(n / settings.batch_size) + 1e-9)) for n in sizes]
    steps = settings.local_epochs * sum(each)
    if settings.algorithm == "fedsgd":
        steps = len(sizes)
    rounds, observed = settings.rounds, study.observed_rounds
    owner = prepared.truth.owner
    data_bytes = prepared.dataset.inputs.nbytes
    kept = {"none": 0, "half": 2, "full": 4}[study.observe.weights]
    weights = len(observed) * parameters * (kept * per_round + (8 if kept else 0))
    signals = len(observed) * len(prepared.signals) * len(owner) * per_round * 4
    return {
        "run": f"{study.name} ({prepared.fingerprint}), seed {study.seed}",
        "data": f"{prepared.dataset.name}: {len(prepared.dataset):,} samples, "
        f"{prepared.dataset.classes} classes",
        "clients": f"{len(sizes)} with {_span(sizes)} samples, "
        f"{per_round} in each round; {len(split.held_out):,} held out",
        "model": f"{study.model.name}: {parameters:,} parameters",
        "training": f"{rounds:,} rounds × up to {steps:,} steps = {rounds * steps:,} steps; "
        f"{prepared.plan}",
        "defense": study.defense.name,
        "observed": f"{len(observed)} rounds, {observed[0]} to {observed[-1]}"
        if len(observed) > 1
        else f"round {observed[0]}",
        "candidates": f"{len(owner):,}: {int((owner != HELD_OUT).sum()):,} trained on, "
        f"{int((owner == HELD_OUT).sum()):,} held out; targets {len(prepared.targets)}",
        "signals": ", ".join(prepared.signals) + _through(prepared),
        "attacks": ", ".join(prepared.attacks),
        "memory": f"about {_bytes(data_bytes + 4 * parameters * (2 * per_round + 2))}",
        "disk": f"about {_bytes(signals + weights + 4 * parameters)}",
    }


def _through(prepared: Prepared) -> str:
    """How often adaptive signals are measured, where that is more than once."""
    known = prepared.knowledge
    if known is None or known.batch is None or not set(prepared.signals) & set(ADAPTIVE):
        return ""
    return f"; adaptive ones through {known.draws} draws of the defense"


def _span(sizes: Sequence[int]) -> str:
    """``100``, or ``90 to 110``."""
    low, high = min(sizes), max(sizes)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
