"""Shares marked by number of labels as tables: for the page, a terminal and other programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seepage.report.sweep_points import strengths
from seepage.report.sweep_users import (
    Cell,
    attack_order,
    cells,
    series_names,
    share,
    user_findings,
)
from seepage.report.users import STANDS_IN
from seepage.report.wording import percent

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from seepage.report.html import Drawn
    from seepage.results import SweepPoint, SweepResults, SweepUser

FIGURES = ("victims_labels", "victims_roc", "accuracy_by_round")
"""Figures that stand with the words on users, not among the others."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One attack on one series; ``cells`` by number of labels, None where no victim holds so many.

    ``plain`` marks a baseline.
    """

    attack: str
    plain: bool
    cells: list[Cell | None]


def columns(results: SweepResults) -> list[int]:
    """The numbers of labels that any victim holds, ascending."""
    return sorted({cell.labels for cell in cells(results)})


def lines(results: SweepResults, series: str) -> list[Line]:
    """The table's lines under one series, baselines last."""
    found = {(cell.attack, cell.labels): cell for cell in cells(results, series=series)}
    return [
        Line(
            attack=name,
            plain=name in STANDS_IN,
            cells=[found.get((name, labels)) for labels in columns(results)],
        )
        for name in attack_order(results)
        if any(attack == name for attack, _ in found)
    ]


def users_section(results: SweepResults, drawn: Drawn) -> dict[str, Any] | None:
    """Everything the page says of whose record it is; None where no attack asked.

    Args:
        results: The runs.
        drawn: Every figure of the page by name; the section takes its own.
    """
    names = series_names(results)
    if not names:
        return None
    return {
        "findings": user_findings(results),
        "columns": [heading(labels) for labels in columns(results)],
        "groups": [
            {"head": name if len(names) > 1 else "", "lines": lines(results, name)}
            for name in names
        ],
        "figures": [drawn[name] for name in FIGURES if name in drawn],
        "share": share,
    }


def heading(labels: int) -> str:
    """``1 label``, ``5 labels``."""
    return f"{labels} label{'' if labels == 1 else 's'}"


def users_tables(results: SweepResults) -> list[Table]:
    """The same for a terminal, from the widest layout to the narrowest; empty where none asked.

    A cell is the share marked with its deviation, and false alarms in brackets: beside it, below
    it, and at last without the deviation.
    """
    layouts = (" ", True), ("\n", True), ("\n", False)
    return [_table(results, between, spread) for between, spread in layouts if cells(results)]


def _table(results: SweepResults, between: str, spread: bool) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("attack", overflow="fold")
    for labels in columns(results):
        table.add_column(heading(labels), justify="right", no_wrap=True)
    names = series_names(results)
    for name in names:
        if len(names) > 1:
            table.add_row(Text(name, "bold"))
        for line in lines(results, name):
            shown = [_written(cell, between, spread) for cell in line.cells]
            table.add_row(f"{'  ' * (len(names) > 1)}{line.attack}", *shown)
    return table


def _written(cell: Cell | None, between: str, spread: bool) -> str:
    if cell is None:
        return "–"
    marked = share(cell.marked) if spread else f"{percent(cell.marked.value)} %"
    return f"{marked}{between}({percent(cell.alarms.value)} %)"


def users_frame(results: SweepResults) -> pd.DataFrame:
    """One row a run, victim and attack; the columns of ``users.csv``. Shares are in [0, 1].

    ``labels`` is the number that the victim declared, ``paper_accuracy`` the share of its records
    marked as its own and ``false_alarms`` that of other participants' records.
    """
    import pandas as pd

    names = {
        (run.series, run.strength): each.name for each in strengths(results) for run in each.runs
    }
    rows = [
        _row(point, user, names[point.series, point.strength])
        for point in results.points
        for user in point.users
    ]
    return pd.DataFrame(rows).convert_dtypes()


def _row(point: SweepPoint, user: SweepUser, name: str) -> dict[str, Any]:
    return {
        "series": point.series,
        "name": name,
        "strength": point.strength,
        "seed": point.seed,
        "victim": user.victim,
        "labels": user.labels,
        "attack": user.name,
        "paper_accuracy": user.paper_accuracy,
        "false_alarms": user.false_alarms,
        "auc": user.auc,
        "auc_low": user.auc_interval[0],
        "auc_high": user.auc_interval[1],
        "folder": point.folder,
    }
