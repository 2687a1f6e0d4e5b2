"""What a private training claims, beside what the attacks found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from seepage import federation, metrics
from seepage.audit.anyone import ask_anyone
from seepage.audit.best import Choices
from seepage.audit.labels import is_skewed
from seepage.audit.score import Scored, epsilon_bound, questions
from seepage.report.verdict import SEES
from seepage.results import Accounting, Claim, OneRun
from seepage.training.accountant import Guarantee, claim, over_rounds
from seepage.training.client_accountant import Counted, ways_of_counting

if TYPE_CHECKING:
    from seepage.audit.models import PreparedModels
    from seepage.audit.prepare import Prepared
    from seepage.federation.settings import Federation
    from seepage.protocols import Defense
    from seepage.records import Block, FloatArray

GUESSED = 0.2
"""Share of the records that the one-run audit guesses about, declared ahead: the most and the
least suspicious tenth."""


def claim_of(
    prepared: PreparedModels, scored: Sequence[Scored], chosen: Choices, canary: np.ndarray
) -> Claim | None:
    """The accountant's ε beside the largest one-run bound; None where nothing is claimed or asked.

    Every target gives a bound: within one model every record was in or out by a fair coin of its
    own. The records are the canaries, or the whole pool where there are none. A target is judged
    by the attack chosen for it on reference models, and each bound is taken at an error of
    ``1 - confidence`` shared evenly among the targets, so that the largest holds at the study's
    confidence.
    """
    bench, some = prepared.bench, bool(canary.any())
    sizes = {len(ids) for target in prepared.targets for ids in bench.shards[target]}
    counted = _counted_of_models(prepared)
    promised = _weakest(bench.defense, bench.settings, sizes) or next(iter(counted), None)
    if promised is None and not some:
        return None
    delta, among = promised.delta if promised else 0.0, canary if some else ~canary
    level = 1 - (1 - prepared.study.metrics.confidence) / len(prepared.targets)
    key: tuple[Block, str] = ("canaries" if some else "held_out", "tpr_at_fpr")
    by_name = {one.name: one for one in scored}
    runs = [
        _one_run(by_name[chosen[target][key]], i, target, prepared, among, delta, level)
        for i, target in enumerate(prepared.targets)
        if key in chosen[target]
    ]
    found = _against(promised, max((run.epsilon for run in runs), default=0.0), runs)
    return found.model_copy(update=_whose(promised, counted, len(by_name)))


def _counted_of_models(prepared: PreparedModels) -> list[Counted]:
    """What updates promise in the training of the target whose promise is weakest."""
    bench = prepared.bench
    of_each = [
        _counted(bench.defense, bench.settings, [len(ids) for ids in bench.shards[target]])
        for target in prepared.targets
    ]
    return max(of_each, key=lambda ways: _size(ways[0]) if ways else 0.0)


def _size(one: Guarantee) -> float:
    return math.inf if one.epsilon is None else one.epsilon


def _whose(promised: Guarantee | None, counted: Sequence[Counted], held: int) -> dict[str, object]:
    """Whose presence a claim speaks of, against whom, and the other ways of counting it."""
    return {
        "unit": "client" if isinstance(promised, Counted) else "record",
        "against": promised.against if isinstance(promised, Counted) else "server",
        "attacks": held,
        "accountings": [_accounting(one) for one in counted],
    }


def federated_claim(prepared: Prepared, scored: Sequence[Scored]) -> Claim | None:
    """The accountant's ε of a federation's clients beside the largest bound of any attack.

    With private gradients ε holds for a record of the client whose promise is weakest, against
    anyone who sees all it sends. With clipped and noised updates it holds for all of a client's
    data, so for a record too, against whom the first way of counting says. Where a defense has
    both, the record's stands first, and the client's are beside it.

    Only attacks by adversaries that the claim binds are held against it. Each one's bound (all
    targets pooled, or of attacks on the sum all records that anyone holds, against records nobody
    trained on) is taken at an error of ``1 - confidence`` shared evenly among them. None where
    nothing is claimed.
    """
    study = prepared.study
    settings = federation.settings_of(**study.federation.model_dump())
    sizes = [len(ids) for ids in prepared.split.clients]
    counted = _counted(prepared.defense, settings, sizes)
    promised = _weakest(prepared.defense, settings, set(sizes)) or next(iter(counted), None)
    if promised is None:
        return None
    against = promised.against if isinstance(promised, Counted) else "server"
    held = [one for one in scored if one.attack.adversary in SEES[against]]
    truth, targets = prepared.truth, prepared.targets
    of_clients = [q for q in questions(truth, targets) if q.block == "held_out"][-1:]
    asked = {"client": of_clients, "round": ask_anyone(truth)}
    level = 1 - (1 - study.metrics.confidence) / max(len(held), 1)
    labels = prepared.candidates.labels.cpu().numpy() if is_skewed(study) else None
    alike = {"confidence": level, "seed": study.seed, "delta": promised.delta, "labels": labels}
    bounds = [  # None for what says nothing of the training
        epsilon_bound(one, question, **alike) for one in held for question in asked[one.attack.over]
    ]
    bound = max((bound or 0.0 for bound in bounds), default=0.0)
    return _against(promised, bound, []).model_copy(update=_whose(promised, counted, len(held)))


def _counted(defense: Defense, settings: Federation, sizes: Sequence[int]) -> list[Counted]:
    """What clipped and noised updates promise, counted in every way; empty where they do not."""
    if defense.noise is None:
        return []
    drawn = federation.participants(len(sizes), settings.participation, seed=0, round_number=1)
    return ways_of_counting(defense.noise, sizes=sizes, cohort=len(drawn), rounds=settings.rounds)


def _against(promised: Guarantee | None, bound: float, runs: list[OneRun]) -> Claim:
    limit = promised.epsilon if promised else None
    return Claim(
        epsilon=limit,
        delta=promised.delta if promised else 0.0,
        accountant=_accountant(promised),
        sampling=promised.sampling if promised else "",
        noise=promised.sigma if promised else 0.0,
        steps=promised.steps if promised else 0,
        lower_bound=bound,
        one_run=runs,
        ok=limit is None or bound <= limit,
    )


def _accountant(promised: Guarantee | None) -> str:
    """How ε was counted, and for which neighbors."""
    if promised is None:
        return "none: nothing is claimed"
    relation = f", {promised.relation}" if isinstance(promised, Counted) else ""
    return promised.accountant + relation


def _accounting(one: Counted) -> Accounting:
    return Accounting(
        accountant=one.accountant,
        sampling=one.sampling,
        relation=one.relation,
        against=one.against,
        noise=one.sigma,
        steps=one.steps,
        epsilon=one.epsilon,
        delta=one.delta,
        holds=one.holds,
    )


def _weakest(defense: Defense, settings: Federation, sizes: set[int]) -> Guarantee | None:
    """The largest ε over numbers of records; it need not fall with them."""
    gradient = over_rounds(defense, settings.rounds).gradient
    if gradient is None:
        return None
    promises = [claim(gradient, settings.local, size) for size in sorted(sizes)]
    return max(promises, key=_size)


def _one_run(
    one: Scored,
    row: int,
    target: int,
    prepared: PreparedModels,
    among: np.ndarray,
    delta: float,
    confidence: float,
) -> OneRun:
    """Guess about the extreme records of one target; its coins were independent and fair."""
    scores: FloatArray = one.values[row][among]
    member = prepared.member[target][among]
    half = max(1, round(GUESSED * len(scores) / 2)) if len(scores) > 1 else 0
    order = np.argsort(scores, kind="stable")
    said_in, said_out = order[len(order) - half :], order[:half]
    correct = int(member[said_in].sum() + (~member[said_out]).sum())
    return OneRun(
        target=target,
        attack=one.name,
        canaries=len(scores),
        guesses=2 * half,
        correct=correct,
        epsilon=metrics.one_run_epsilon(
            correct, 2 * half, len(scores), delta=delta, confidence=confidence
        ),
    )
