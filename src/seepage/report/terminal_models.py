"""The terminal's table of a black-box audit: pooled rows, and their spread over the models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seepage.report.reading import rate_at
from seepage.report.spread import auc_spread, found_spread
from seepage.report.wording import fixed, percent, point, shares

if TYPE_CHECKING:
    from rich.console import RenderableType

    from seepage.report.reading import Lead
    from seepage.results import AttackRow, Rate, Results

ROWS = 15
"""Attacks that a terminal has room for; the page shows all."""


def models_table(results: Results, leading: Lead, level: float) -> RenderableType:
    """The strongest attacks against all models together, the chosen one marked."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    fpr = "" if leading.chosen is None else f"@{point(float(leading.chosen.at))}"
    table = Table(box=None, pad_edge=False)
    table.add_column("attack", overflow="fold")
    rates = [f"TPR{fpr}", f"{100 * level:g} % interval"] if leading.chosen else []
    rates += [f"TNR{_tnr_point(leading)}"] if leading.chosen_tnr else []
    for name in [*rates, "AUC", _spread_name(leading)]:
        table.add_column(name, justify="right", no_wrap=True)
    shown = _shown(leading)
    for row in shown:
        table.add_row(*_cells(results, leading, row), style="bold" if _chosen(leading, row) else "")
    table.add_row("chance", *_chance(leading), style="dim")
    lines = [Text("* chosen on reference models", style="dim")] if leading.chosen else []
    if left := len(leading.rows) - len(shown):
        lines.append(Text(f"{left} more attacks, all weaker, stand in report.html", style="dim"))
    return Group(table, *lines)


def _shown(leading: Lead) -> list[AttackRow]:
    """The first rows, and the chosen one wherever it stands."""
    return [row for i, row in enumerate(leading.rows) if i < ROWS or _chosen(leading, row)]


def _chosen(leading: Lead, row: AttackRow) -> bool:
    return leading.chosen is not None and row.name == leading.chosen.chosen


def _tnr_point(leading: Lead) -> str:
    return f"@{point(float(leading.chosen_tnr.at))}" if leading.chosen_tnr else ""


def _spread_name(leading: Lead) -> str:
    return f"{'TPR' if leading.chosen else 'AUC'} over models"


def _cells(results: Results, leading: Lead, row: AttackRow) -> list[str]:
    cells = [f"{row.name} *" if _chosen(leading, row) else row.name]
    if leading.chosen is not None:
        cells += _rate(rate_at(row, leading.chosen.at))
    if leading.chosen_tnr is not None:
        cells += _rate(rate_at(row, leading.chosen_tnr.at, "tnr_at_fnr"))[:1]
    return [*cells, fixed((row.auc,), 3)[0], _spread(results, leading, row)]


def _rate(rate: Rate | None) -> list[str]:
    if rate is None:
        return ["–", ""]
    value, low, high = shares(rate.value, rate.interval)
    return [f"{value} %", f"[{low}, {high}]"]


def _spread(results: Results, leading: Lead, row: AttackRow) -> str:
    """Least, median and most over the single models."""
    if leading.target != "all":
        return "–"
    if leading.chosen is None:
        found = auc_spread(results, row)
        words = fixed((found.low, found.middle, found.high), 3) if found else []
    else:
        found = found_spread(results, leading, row.name)
        words = [percent(x) for x in (found.low, found.middle, found.high)] if found else []
    return " · ".join(words) or "–"


def _chance(leading: Lead) -> list[str]:
    cells = [] if leading.chosen is None else [point(float(leading.chosen.at)), ""]
    cells += [] if leading.chosen_tnr is None else [point(float(leading.chosen_tnr.at))]
    return [*cells, "0.500", ""]
