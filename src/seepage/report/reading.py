"""What the numbers say: which rows lead, how strong the leak is, and whether to believe it.

The rules and their thresholds are told in ``docs/reference/report.md``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Literal

from seepage.records import Block
from seepage.report.wording import Unit
from seepage.results import AttackRow, Best, BlindRow, Interval, LabelRow, Rate, Results

Grade = Literal["none", "few", "slight", "clear", "strong", "near-total"]
Metric = Literal["tpr_at_fpr", "tnr_at_fnr"]

BLOCK_ORDER: tuple[Block, ...] = ("held_out", "mix", "others", "canaries")
POINT = 0.001
"""The operating point that speaks for a black-box audit, where its records resolve it."""


@dataclass(frozen=True, kw_only=True)
class Lead:
    """The rows that speak for the study: one block, one target, the strongest attack first.

    Attributes:
        unit: What a target is.
        block: Whose scores the members' are compared with.
        target: One target, all of them pooled, or ``any`` for the question whether anyone
            trained on a record.
        rows: The attacks, as :func:`select` orders them.
        distinct: A number of non-members that are surely different records: pooled, a record
            counts once for every target, so it is the smallest number that a row of the block has.
        chosen: What the attack chosen on reference models reached; None in a federation, and where
            no attack could be chosen.
        chosen_tnr: The same for the share of non-members cleared.
        within: Where labels were dealt out unevenly on purpose, each attack beside the labels, by
            its name: the verdict then rests on records of the same label. Else empty.
    """

    unit: Unit
    block: Block
    target: int | Literal["all", "any"]
    rows: list[AttackRow]
    distinct: int
    chosen: Best | None
    chosen_tnr: Best | None
    within: dict[str, LabelRow] = field(default_factory=dict)

    @property
    def best(self) -> AttackRow:
        """The attack that speaks: the chosen one, else the first."""
        names = self.chosen.chosen.split(", ") if self.chosen else []
        return next((row for row in self.rows if row.name in names), self.rows[0])


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


def unit(results: Results) -> Unit:
    """What the study's targets are: ``model`` where it trains many, else ``client``."""
    return "model" if (results.study.get("reference") or {}).get("models") else "client"


def chosen(results: Results, metric: Metric, block: Block, target: int | str) -> Best | None:
    """What the attack chosen on reference models reached at the point that speaks.

    That is 0.1 % where the records resolve it, else the nearest coarser point that they do, else
    the nearest finer one; None where they resolve no point or no attack was chosen.
    """
    found = [
        best
        for best in results.best
        if (best.metric, best.block, best.target) == (metric, block, target) and best.rate.resolved
    ]
    order = sorted(found, key=lambda best: float(best.at))
    coarser = [best for best in order if float(best.at) >= POINT]
    return next(iter(coarser or order[::-1]), None)


def lead(results: Results) -> Lead | None:
    """The rows the verdict rests on; None where no attack was run.

    The block is the held-out records where there are any, then the mix, then the other clients'
    records. The target is all of them pooled where that row exists, otherwise the lowest; where
    every attack was on the rounds' sums, it is ``any``.
    """
    for block in BLOCK_ORDER:
        inside = [row for row in results.attacks if row.block == block]
        if inside:
            break
    else:
        return None
    pooled = any(row.target == "all" for row in inside)
    single = [row.target for row in inside if isinstance(row.target, int)]
    if pooled:
        return lead_on(results, block, "all")
    return lead_on(results, block, min(single) if single else "any")


def lead_on_anyone(results: Results) -> Lead | None:
    """The rows on whether anyone trained on a record; None where nobody asked."""
    asked = any(row.target == "any" for row in results.attacks)
    return lead_on(results, "held_out", "any") if asked else None


def lead_on(results: Results, block: Block, target: int | Literal["all", "any"]) -> Lead:
    """The rows of one block and target."""
    inside = [row for row in results.attacks if row.block == block]
    return Lead(
        unit=unit(results),
        block=block,
        target=target,
        rows=select(results, block, target),
        distinct=min(row.n_nonmembers for row in inside),
        chosen=chosen(results, "tpr_at_fpr", block, target),
        chosen_tnr=chosen(results, "tnr_at_fnr", block, target),
        within=beside_labels(results, block, target) if is_skewed(results) else {},
    )


def is_skewed(results: Results) -> bool:
    """Whether the study dealt labels out unevenly on purpose."""
    return results.labels is not None and results.labels.skewed


def beside_labels(results: Results, block: Block, target: int | str) -> dict[str, LabelRow]:
    """Each attack beside the labels, by its name, on one block and target."""
    rows = results.labels.rows if results.labels else []
    return {row.name: row for row in rows if (row.block, row.target) == (block, target)}


def select(results: Results, block: Block, target: int | str) -> list[AttackRow]:
    """The rows of one block and target, the strongest first.

    By AUC; where attacks were chosen by their true positive rate at a point, by that rate first.
    """
    rows = [row for row in results.attacks if row.block == block and row.target == target]
    best = chosen(results, "tpr_at_fpr", block, target)

    def strength(row: AttackRow) -> tuple[float, float]:
        rate = rate_at(row, best.at) if best else None
        return (rate.value if rate else 0.0, row.auc)

    return sorted(rows, key=strength, reverse=True)


def rate_at(row: AttackRow, at: str, metric: Metric = "tpr_at_fpr") -> Rate | None:
    """The row's rate at an operating point, however the point is written."""
    rates = row.tpr_at_fpr if metric == "tpr_at_fpr" else row.tnr_at_fnr
    return next((rate for key, rate in rates.items() if float(key) == float(at)), None)


def above_chance(rate: Rate, fpr: float, negatives: int, choices: int, level: float) -> bool:
    """Whether the true rate is above the true false-positive rate, both being estimates.

    The false-positive rate of a threshold that ``floor(fpr * n)`` of *n* non-members pass is
    bounded by Clopper and Pearson, at the level corrected for ``choices``.
    """
    from scipy.stats import beta

    passed = int(fpr * negatives + 1e-9)
    tail = (1.0 - level) / (2.0 * choices)
    chance = float(beta.ppf(1.0 - tail, passed + 1, negatives - passed))
    return widen(rate.value, rate.interval, choices, level)[0] > chance


def failing(results: Results, block: Block | None = None) -> list[BlindRow]:
    """The blind rows that are off chance and should not be, of one block or of all."""
    return [
        row
        for row in results.blind.rows
        if not row.ok and not row.expected and block in (None, row.block)
    ]


def operating_points(rows: list[AttackRow]) -> list[float]:
    """The false positive rates that the rows hold, the coarsest first."""
    return sorted({float(key) for row in rows for key in row.tpr_at_fpr}, reverse=True)
