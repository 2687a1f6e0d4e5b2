"""The attack an adversary would have picked, and the one that happened to do best."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from seepage import metrics
from seepage.records import Block, FloatArray
from seepage.results import AttackRow, Best, Rate

Metric = Literal["tpr_at_fpr", "tnr_at_fnr", "auc"]
METRICS: tuple[Metric, ...] = ("tpr_at_fpr", "tnr_at_fnr", "auc")
AT = "0.001"
"""The operating point of the published comparison: a tenth of a per cent."""


def rank_attacks(
    scores: Mapping[str, Sequence[FloatArray]],
    member: Sequence[np.ndarray],
    metric: Metric,
    at: str = AT,
) -> str:
    """The attack that does best on average on models whose members are known.

    Among equals of a rate, the rate at ten times the operating point decides, then the AUC, then the name.

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
    rows: Sequence[AttackRow], chosen: Mapping[int, Mapping[tuple[Block, str], str]], at: str = AT
) -> list[Best]:
    """For every target and block: the chosen attack's rate, and the highest there is.

    Args:
        rows: The rows of all attacks.
        chosen: For each target, the attack chosen for each block and metric.
        at: The operating point, one of those of the rows.
    """
    found = []
    places: dict[tuple[int | str, Block], list[AttackRow]] = {}
    for row in rows:
        places.setdefault((row.target, row.block), []).append(row)
    for (target, block), group in places.items():
        by_name = {row.name: row for row in group}
        for metric in METRICS:
            rates = {name: _rate(row, metric, at) for name, row in by_name.items()}
            pick = _pick(chosen, target, block, metric)
            oracle = max(rates, key=lambda name: (rates[name].value, name == pick))
            found.append(
                Best(
                    metric=metric,
                    at="" if metric == "auc" else at,
                    target=by_name[pick].target,
                    block=block,
                    chosen=pick,
                    rate=rates[pick],
                    oracle=oracle,
                    oracle_rate=rates[oracle],
                )
            )
    return found


def _rate(row: AttackRow, metric: Metric, at: str) -> Rate:
    if metric == "auc":
        interval = row.auc_interval
        return Rate(value=row.auc, interval=interval, joint_interval=interval, resolved=True)
    return getattr(row, metric)[at]


def _pick(
    chosen: Mapping[int, Mapping[tuple[Block, str], str]],
    target: int | str,
    block: Block,
    metric: str,
) -> str:
    if isinstance(target, int):
        return chosen[target][block, metric]
    votes = Counter(one[block, metric] for one in chosen.values())
    return max(sorted(votes), key=lambda name: votes[name])
