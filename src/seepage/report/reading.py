"""What the numbers say: which rows lead, how strong the leak is, and whether to believe it.

The rules and their thresholds are told in ``docs/reference/report.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from seepage.records import Block
from seepage.results import AttackRow, BlindRow, Interval, Results

Grade = Literal["none", "few", "slight", "clear", "strong", "near-total"]

BLOCK_ORDER: tuple[Block, ...] = ("held_out", "mix", "others")


@dataclass(frozen=True, kw_only=True)
class Lead:
    """The rows that speak for the study: one block, one target, the highest AUC first.

    ``distinct`` is a number of non-members that are surely different records: pooled, a record
    counts once for every target, so it is the smallest number that a row of the block has.
    """

    block: Block
    target: int | Literal["all"]
    rows: list[AttackRow]
    distinct: int

    @property
    def best(self) -> AttackRow:
        return self.rows[0]


def grade(lower: float) -> Grade:
    """The word for a leak whose AUC is at least ``lower``.

    ``none`` up to and including 0.5, ``slight`` above, ``clear`` from 0.6, ``strong`` from 0.75,
    ``near-total`` from 0.95.
    """
    if lower >= 0.95:
        return "near-total"
    if lower >= 0.75:
        return "strong"
    if lower >= 0.6:
        return "clear"
    return "slight" if lower > 0.5 else "none"


def widen(value: float, interval: Interval, choices: int, confidence: float) -> Interval:
    r"""The interval, widened for having picked the row among ``choices``.

    Bonferroni's level :math:`1 - (1 - c)/m` instead of *c*, by stretching both arms by the
    ratio of the normal quantiles

    .. math:: z_{1 - (1 - c)/(2m)} \,/\, z_{1 - (1 - c)/2}

    and cutting at 0 and 1. Exact for intervals whose arms are multiples of a normal quantile, an
    approximation for others; ``choices = 1`` changes nothing.
    """
    tail = (1.0 - confidence) / 2.0
    ratio = NormalDist().inv_cdf(1.0 - tail / choices) / NormalDist().inv_cdf(1.0 - tail)
    low, high = interval
    return max(0.0, value - ratio * (value - low)), min(1.0, value + ratio * (high - value))


def confidence(results: Results) -> float:
    """The level of every interval, as the study set it (95 % where it is not told)."""
    return float((results.study.get("metrics") or {}).get("confidence", 0.95))


def is_redrawn(results: Results) -> bool:
    """Whether the study redrew its candidates, which makes its results not valid."""
    return bool((results.study.get("candidates") or {}).get("redraw_candidates", False))


def lead(results: Results) -> Lead | None:
    """The rows the verdict rests on; None where no attack was run.

    The block is the held-out records where there are any, then the mix, then the other clients'
    records. The target is all of them pooled where that row exists, otherwise the lowest client.
    """
    for block in BLOCK_ORDER:
        inside = [row for row in results.attacks if row.block == block]
        if inside:
            break
    else:
        return None
    pooled = any(row.target == "all" for row in inside)
    target = "all" if pooled else min(row.target for row in inside if isinstance(row.target, int))
    return Lead(
        block=block,
        target=target,
        rows=select(results, block, target),
        distinct=min(row.n_nonmembers for row in inside),
    )


def select(results: Results, block: Block, target: int | str) -> list[AttackRow]:
    """The rows of one block and target, the highest AUC first."""
    rows = [row for row in results.attacks if row.block == block and row.target == target]
    return sorted(rows, key=lambda row: -row.auc)


def failing(results: Results, block: Block | None = None) -> list[BlindRow]:
    """The blind rows that are off chance, of one block or of all."""
    return [row for row in results.blind.rows if not row.ok and block in (None, row.block)]


def operating_points(rows: list[AttackRow]) -> list[float]:
    """The false positive rates that the rows hold, the coarsest first."""
    return sorted({float(key) for row in rows for key in row.tpr_at_fpr}, reverse=True)
