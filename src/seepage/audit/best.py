"""The attack an adversary would have picked, and the one that happened to do best."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from seepage import metrics
from seepage.records import Block, FloatArray
from seepage.results import AttackRow, Best

METRICS: tuple[Literal["tpr_at_fpr", "tnr_at_fnr"], ...] = ("tpr_at_fpr", "tnr_at_fnr")
AT = "0.001"
"""The operating point of the published comparison: a tenth of a per cent."""


def rank_attacks(
    scores: Mapping[str, Sequence[FloatArray]],
    member: Sequence[np.ndarray],
    metric: str,
    at: str = AT,
) -> str:
    """The attack with the highest mean rate on models whose members are known.

    Among equals the rate at ten times the operating point decides, then the AUC, then the name.

    Args:
        scores: By attack, scores of the records for each of these models, ``(n,)`` each.
        member: Who was a member of each, ``(n,)`` each.
        metric: ``tpr_at_fpr`` or ``tnr_at_fnr``.
        at: The operating point, as it is spelled in results.
    """
    rate = getattr(metrics, metric)

    def strength(name: str) -> tuple[float, float, float, str]:
        sides = [
            (row[mine], row[~mine])
            for row, mine in zip(scores[name], member, strict=True)
            if mine.any() and not mine.all()
        ]
        here, near = (
            sum(rate(*side, min(point, 1.0)) for side in sides)
            for point in (float(at), 10 * float(at))
        )
        return here, near, sum(metrics.auc(*side) for side in sides), name

    return max(scores, key=strength)


def best_rows(
    rows: Sequence[AttackRow], chosen: Mapping[int, Mapping[tuple[Block, str], str]], at: str = AT
) -> list[Best]:
    """For every target and block: the chosen attack's rate, and the highest there is.

    Args:
        rows: The rows of all attacks.
        chosen: For each target, the attack chosen for each block and metric.
        at: The operating point; one that is not in the rows gives no ``Best``.
    """
    found = []
    places: dict[tuple[int | str, Block], list[AttackRow]] = {}
    for row in rows:
        places.setdefault((row.target, row.block), []).append(row)
    for (target, block), group in places.items():
        by_name = {row.name: row for row in group}
        for metric in METRICS:
            rates = {name: getattr(row, metric).get(at) for name, row in by_name.items()}
            if any(rate is None for rate in rates.values()):
                continue
            pick = _pick(chosen, target, block, metric)
            oracle = max(rates, key=lambda name: (rates[name].value, name == pick))
            found.append(
                Best(
                    metric=metric,
                    at=at,
                    target=by_name[pick].target,
                    block=block,
                    chosen=pick,
                    rate=rates[pick],
                    oracle=oracle,
                    oracle_rate=rates[oracle],
                )
            )
    return found


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
