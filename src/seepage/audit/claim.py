"""What a private training claims, beside what the attacks found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from seepage import metrics
from seepage.audit.score import Question, Scored, epsilon_bound
from seepage.results import Claim, OneRun
from seepage.training.accountant import Guarantee, claim, over_rounds

if TYPE_CHECKING:
    from seepage.audit.models import PreparedModels
    from seepage.records import Block, FloatArray

GUESSED = 0.2
"""Share of the canaries that the one-run audit guesses about, declared ahead: the most and the
least suspicious tenth."""


def claim_of(
    prepared: PreparedModels,
    scored: Sequence[Scored],
    asked: Sequence[Question],
    chosen: Mapping[int, Mapping[tuple[Block, str], str]],
    canary: np.ndarray,
) -> Claim | None:
    """The accountant's ε and the largest bound found; None where there is neither.

    Bounds come from attacks chosen on reference models, not from the best of all. There is one
    from all targets pooled and, with canaries, a one-run bound from each target; each is taken at
    an error of ``1 - confidence`` shared evenly among them, so that the largest of them holds at
    the study's confidence.
    """
    promised, canaries = _promised(prepared), int(canary.sum())
    if promised is None and not canaries:
        return None
    delta = promised.delta if promised else 0.0
    targets = prepared.targets if canaries else []
    level = 1 - (1 - prepared.study.metrics.confidence) / (len(targets) + 1)
    block: Block = "canaries" if canaries else "held_out"
    picked = {target: chosen[target][block, "tpr_at_fpr"] for target in prepared.targets}
    by_name = {one.name: one for one in scored}
    runs = [
        _one_run(by_name[picked[target]], i, target, prepared, canary, delta, level)
        for i, target in enumerate(targets)
    ]
    names = list(picked.values())
    most = max(sorted(set(names)), key=names.count)
    pooled = [question for question in asked if question.block == block][-1:]  # "all" comes last
    bounds = [
        epsilon_bound(by_name[most], one, confidence=level, seed=prepared.study.seed, delta=delta)
        for one in pooled
    ]
    bound = max([run.epsilon for run in runs] + [found or 0.0 for found in bounds], default=0.0)
    limit = promised.epsilon if promised else None
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
    """The weakest of the targets' guarantees: that of the smallest set one is trained on."""
    bench = prepared.bench
    gradient = over_rounds(bench.defense, bench.settings.rounds).gradient
    if gradient is None:
        return None
    smallest = min(len(ids) for target in prepared.targets for ids in bench.shards[target])
    return claim(gradient, bench.settings.local, smallest)


def _one_run(
    one: Scored,
    row: int,
    target: int,
    prepared: PreparedModels,
    canary: np.ndarray,
    delta: float,
    confidence: float,
) -> OneRun:
    """Guess about the extreme canaries of one target; its coins were independent and fair."""
    scores: FloatArray = one.values[row][canary]
    member = prepared.member[target][canary]
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
