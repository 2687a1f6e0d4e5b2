"""How one attack fares against each of many models: values, not drawings."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from seepage.report.reading import rate_at

if TYPE_CHECKING:
    from seepage.records import Block
    from seepage.report.reading import Lead
    from seepage.results import AttackRow, Results


@dataclass(frozen=True, kw_only=True)
class Spread:
    """A figure over the targets: the least, the middle and the most."""

    low: float
    middle: float
    high: float


def single(results: Results, name: str, block: Block) -> list[AttackRow]:
    """The rows of one attack against each target by itself, in the order of the targets."""
    rows = [
        row
        for row in results.attacks
        if (row.name, row.block) == (name, block) and row.target != "all"
    ]
    return sorted(rows, key=lambda row: int(row.target))


def spread(values: list[float]) -> Spread | None:
    """Of at least two values; None for fewer."""
    if len(values) < 2:
        return None
    return Spread(low=min(values), middle=median(values), high=max(values))


def auc_spread(results: Results, row: AttackRow) -> Spread | None:
    """The AUCs of a pooled row's attack over the single targets; None for another row."""
    if row.target != "all":
        return None
    return spread([each.auc for each in single(results, row.name, row.block)])


def found_spread(results: Results, leading: Lead, name: str) -> Spread | None:
    """The true positive rates at the point that speaks, over the single targets."""
    return spread(found_values(results, leading, name))


def found_values(results: Results, leading: Lead, name: str) -> list[float]:
    """Those rates one by one; empty unless every target resolves the point."""
    if leading.chosen is None:
        return []
    at = leading.chosen.at
    rates = [rate_at(row, at) for row in single(results, name, leading.block)]
    known = [rate.value for rate in rates if rate is not None and rate.resolved]
    return known if len(known) == len(rates) else []
