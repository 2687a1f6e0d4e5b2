"""The attack an adversary would have picked, and the one that happened to do best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from seepage import metrics
from seepage.audit.score import Question, Scored, pooled
from seepage.records import Block, FloatArray, IntArray
from seepage.results import AttackRow, Best, Rate

Metric = Literal["tpr_at_fpr", "tnr_at_fnr", "auc"]
METRICS: tuple[Metric, ...] = ("tpr_at_fpr", "tnr_at_fnr", "auc")
AT = "0.001"
"""The operating point of the published comparison: a tenth of a per cent."""

Choices = dict[int, dict[tuple[Block, str], str]]
"""For each target, the attack chosen for each block of records and metric."""


def rank_attacks(
    scores: Mapping[str, Sequence[FloatArray]],
    member: Sequence[np.ndarray],
    metric: Metric,
    at: str = AT,
) -> str:
    """The attack that does best on average on models whose members are known.

    Among equals of a rate, the rate at ten times the operating point decides, then the AUC, then
    the name.

    Args:
        scores: By attack, scores of the records for each of these models, ``(n,)`` each.
        member: Who was a member of each, ``(n,)`` each.
        metric: ``tpr_at_fpr``, ``tnr_at_fnr`` or ``auc``.
        at: The operating point, as it is spelled in results.
    """

    def strength(name: str) -> tuple[float, float, float, str]:
        sides = [
            (row[mine], row[~mine])
            for row, mine in zip(scores[name], member, strict=True)
            if mine.any() and not mine.all()
        ]
        area = sum(metrics.auc(*side) for side in sides)
        if metric == "auc":
            return area, 0.0, 0.0, name
        rate = getattr(metrics, metric)
        here, near = (
            sum(rate(*side, min(point, 1.0)) for side in sides)
            for point in (float(at), 10 * float(at))
        )
        return here, near, area, name

    return max(scores, key=strength)


def best_rows(
    rows: Sequence[AttackRow],
    scored: Sequence[Scored],
    asked: Sequence[Question],
    ids: IntArray,
    chosen: Choices,
    *,
    confidence: float = 0.95,
    at: str = AT,
) -> list[Best]:
    """For every target and block: what the chosen attack reached, and the most that any did.

    Pooled, every target is attacked by the attack that was chosen for it, with itself out of
    sight: one attack for all of them would have been chosen on models it is then judged on.

    Args:
        rows: The rows of all attacks.
        scored: Their scores.
        asked: The questions that the rows answer.
        ids: The records.
        chosen: For each target, the attack chosen for each block and metric; none where no attack
            could be tried on other models.
        confidence: Of every interval.
        at: The operating point, one of those of the rows.
    """
    found = []
    for question in asked:
        here = {
            row.name: row
            for row in rows
            if (row.target, row.block) == (question.target, question.block)
        }
        assert question.target != "any", "models are asked about one by one"
        for metric in METRICS:
            picks = picked(question, chosen, metric)
            if picks is None:
                continue
            names = sorted(set(picks.values()))
            if len(names) == 1:
                rate = _rate(here[names[0]], metric, at)
            else:
                rate = _pooled_rate(scored, picks, question, ids, metric, at, confidence)
            rates = {name: _rate(row, metric, at) for name, row in here.items()}
            oracle = max(rates, key=lambda name: (rates[name].value, name in names))
            found.append(
                Best(
                    metric=metric,
                    at="" if metric == "auc" else at,
                    target=question.target,
                    block=question.block,
                    chosen=", ".join(names),
                    rate=rate,
                    oracle=oracle,
                    oracle_rate=rates[oracle],
                )
            )
    return found


def picked(question: Question, chosen: Choices, metric: str) -> dict[int, str] | None:
    """The attack chosen for each row of a question's masks; None where one has none."""
    rows = np.flatnonzero(np.any(question.member, axis=1))
    targets = list(chosen)
    picks = {int(row): chosen[targets[row]].get((question.block, metric)) for row in rows}
    return None if None in picks.values() else {row: str(name) for row, name in picks.items()}


def composed(scored: Sequence[Scored], picks: Mapping[int, str]) -> Scored:
    """Scores in which every row of masks is those of the attack picked for it."""
    by_name = {one.name: one for one in scored}
    first = by_name[next(iter(picks.values()))]
    values = first.values.copy()
    for row, name in picks.items():
        values[row] = by_name[name].values[row]
    return replace(first, name="chosen", values=values)


def _pooled_rate(
    scored: Sequence[Scored],
    picks: Mapping[int, str],
    question: Question,
    ids: IntArray,
    metric: Metric,
    at: str,
    confidence: float,
) -> Rate:
    who = np.broadcast_to(ids, question.member.shape)
    facts = metrics.summarise(
        *pooled(composed(scored, picks).values, question),
        member_ids=who[question.member],
        nonmember_ids=who[question.nonmember],
        fprs=(float(at),),
        confidence=confidence,
    )
    if metric == "auc":
        return _area(facts["auc"], facts["auc_interval"])
    return Rate(**next(iter(facts[metric].values())))


def _rate(row: AttackRow, metric: Metric, at: str) -> Rate:
    return _area(row.auc, row.auc_interval) if metric == "auc" else getattr(row, metric)[at]


def _area(value: float, interval: tuple[float, float]) -> Rate:
    return Rate(value=value, interval=interval, joint_interval=interval, resolved=True)
