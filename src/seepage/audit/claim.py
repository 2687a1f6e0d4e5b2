"""What a private training claims, beside what the attacks found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from seepage import metrics
from seepage.audit.best import Choices
from seepage.audit.score import Scored
from seepage.results import Claim, OneRun
from seepage.training.accountant import Guarantee, claim, over_rounds

if TYPE_CHECKING:
    from seepage.audit.models import PreparedModels
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
    promised, some = _promised(prepared), bool(canary.any())
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
    bound, limit = max((run.epsilon for run in runs), default=0.0), None
    if promised is not None:
        limit = promised.epsilon
    return Claim(
        epsilon=limit,
        delta=delta,
        accountant=promised.accountant if promised else "none: nothing is claimed",
        sampling=promised.sampling if promised else "",
        noise=promised.sigma if promised else 0.0,
        steps=promised.steps if promised else 0,
        lower_bound=bound,
        one_run=runs,
        ok=limit is None or bound <= limit,
    )


def _promised(prepared: PreparedModels) -> Guarantee | None:
    """The weakest of the targets' guarantees; ε need not fall with the number of records."""
    bench = prepared.bench
    gradient = over_rounds(bench.defense, bench.settings.rounds).gradient
    if gradient is None:
        return None
    sizes = {len(ids) for target in prepared.targets for ids in bench.shards[target]}
    promises = [claim(gradient, bench.settings.local, size) for size in sorted(sizes)]
    return max(promises, key=lambda one: math.inf if one.epsilon is None else one.epsilon)


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
