"""A sweep as tables for a terminal: every strength of every series, and the hypervolumes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Literal

from seepage.report.suite_table import WIDE, attack_words
from seepage.report.sweep_findings import paragraph
from seepage.report.sweep_points import Strength, strengths
from seepage.report.sweep_users import user_findings
from seepage.report.sweep_users_table import users_tables
from seepage.report.sweep_volumes import row_name, smallest, volume, volume_columns, volume_rows
from seepage.report.sweep_wording import area_words, epsilon_words, rate_words, volume_words
from seepage.report.sweep_words import alarms, headline
from seepage.report.wording import accuracy, point

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.table import Table

    from seepage.results import SweepResults

TELLING = 0.55
"""Above this AUC, labels alone are worth a column in the terminal."""

EVERYTHING = frozenset(
    ("accuracy", "rate", "by rate", "area", "by area", "labels", "epsilon", "seeds")
)
LAYOUTS = [
    EVERYTHING,
    EVERYTHING - {"by area"},
    EVERYTHING - {"by area", "epsilon"},
    EVERYTHING - {"by area", "epsilon", "by rate"},
]
"""Columns, by descending width; the first that fits is printed."""

Justify = Literal["left", "right"]

TITLE = "\nhypervolume: larger is a better trade-off, bold is the strongest attack"
USERS = "\nmarked as the victim’s, by its number of labels; in brackets false alarms"


def sweep_table(results: SweepResults) -> RenderableType:
    """What the command line prints of a sweep: warnings, points, hypervolumes, the finding.

    Where attacks asked whose record it is, shares marked by number of labels stand before it.

    Under each series there is one line a strength, with means over its seeds: test accuracy, and
    the best attack's rate and AUC, picked with the answer in hand. Runs that failed are red lines
    with the reason. The second table has a row an attack and a column a series; the smallest
    number of a column, the strongest attack, is bold. Attacks and claims stand where the terminal
    has room for them; in a narrow one intervals stand below their values, and the deviations of
    hypervolumes are left to the page.
    """
    return _Printed(results)


@dataclass(frozen=True)
class _Printed:
    """Lays itself out when the width is known."""

    results: SweepResults

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        results, wide = self.results, options.max_width >= WIDE
        for line in alarms(results):
            yield Text(f"ERROR: {line}\n", "bold red")
        if results.points:
            tables = [_points(results, layout) for layout in LAYOUTS]
            yield next((each for each in tables if _fits(each, console, options)), tables[-1])
        for each in results.failures:
            yield Text(f"{each.label} could not be run: {each.reason}", style="red")
        for columns in _chunks(results, options.max_width):
            yield Text(TITLE, "italic")
            yield _volumes(results, columns, wide)
        if tables := users_tables(results):
            yield Text(USERS, "italic")
            yield next((each for each in tables if _fits(each, console, options)), tables[-1])
        yield Text(f"\n{headline(results)}.", "bold").append(f" {paragraph(results)}", "default")
        for each in user_findings(results):
            yield Text(f"\n{each.headline}.", "bold").append(f" {each.detail}", "default")


def _fits(table: Table, console: Console, options: ConsoleOptions) -> bool:
    from rich.measure import Measurement

    whole = options.update(max_width=100 * options.max_width)
    return Measurement.get(console, whole, table).maximum <= options.max_width


def _points(results: SweepResults, layout: frozenset[str]) -> Table:
    from rich.table import Table
    from rich.text import Text

    points = strengths(results)
    shown = layout - _absent(points)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("point", overflow="fold")
    for part, name, justify in _heads(results):
        if part in shown:
            table.add_column(name, justify=justify, no_wrap=True)
    whole = len({each.series for each in points}) == 1
    for series, group in groupby(points, key=lambda each: each.series):
        lines = list(group)
        flat = whole or [each.name for each in lines] in ([series], ["undefended"])
        if not flat:
            table.add_row(Text(series, "bold"))
        for each in lines:
            cells = _cells(each, results.at, stacked="by rate" not in layout)
            kept = [cells[part] for part, _, _ in _heads(results) if part in shown]
            table.add_row(f"{'' if flat else '  '}{each.name}", *kept, style=_tone(results, each))
    return table


def _heads(results: SweepResults) -> list[tuple[str, str, Justify]]:
    """Part, heading and side of every column behind the point's name."""
    return [
        ("accuracy", "test accuracy", "right"),
        ("rate", f"best TPR@{point(float(results.at))}", "right"),
        ("by rate", "by", "left"),
        ("area", "best AUC", "right"),
        ("by area", "by", "left"),
        ("labels", "labels alone", "right"),
        ("epsilon", "claimed ε", "right"),
        ("seeds", "seeds", "right"),
    ]


def _absent(points: list[Strength]) -> set[str]:
    """Columns that would say nothing: labels that tell nobody apart, and no claim at all."""
    told = any(label.value > TELLING for each in points if (label := each.label_auc))
    claimed = any(each.claimed() is not None for each in points)
    return {part for part, kept in (("labels", told), ("epsilon", claimed)) if not kept}


def _tone(results: SweepResults, each: Strength) -> str:
    sound = all(run.blind_ok for run in each.runs)
    return "" if sound or not alarms(results) else "bold red"


def _cells(each: Strength, at: str, *, stacked: bool) -> dict[str, str]:
    """What stands in each column; ``stacked`` sets intervals below their values."""
    area, label = each.auc(), each.label_auc
    found, best = rate_words(each.tpr(), at), "–" if area is None else area_words(area)
    if stacked:
        found = "unresolved" if found.startswith("needs") else found.replace(" [", "\n[")
        best = best.replace(" [", "\n[")
    return {
        "accuracy": accuracy(each.accuracy.value, each.accuracy.deviation),
        "rate": found,
        "by rate": attack_words(each.attacks("tpr")),
        "area": best,
        "by area": attack_words(each.attacks("auc")),
        "labels": volume_words(label.value, label.deviation) if label else "–",
        "epsilon": epsilon_words(each.claimed()),
        "seeds": str(len(each.runs)),
    }


def _chunks(results: SweepResults, width: int) -> list[list[str]]:
    """The columns of the hypervolumes, in as many lists as the width asks for."""
    rows = volume_rows(results)
    if not rows:  # an ablation has none, whatever its series
        return []
    lead = max(len(row_name(name)) for name in rows)
    chunks: list[list[str]] = []
    free = 0
    for column in volume_columns(results):
        needs = 2 + max(len(word) for word in _column_words(results, column, width >= WIDE))
        if not chunks or needs > free:
            chunks.append([])
            free = width - lead
        chunks[-1].append(column)
        free -= needs
    return chunks


def _column_words(results: SweepResults, column: str, wide: bool) -> list[str]:
    """All that stands in a column: its broken heading and its cells."""
    cells = [_volume(results, attack, column, wide) for attack in volume_rows(results)]
    return [*cells, *_broken(column).split("\n")]


def _broken(name: str) -> str:
    return re.sub("([_ +])", "\\1\n", name)


def _volume(results: SweepResults, attack: str, column: str, wide: bool) -> str:
    cell = volume(results, attack, column)
    if cell is None:
        return "–"
    return volume_words(*cell) if wide else f"{cell[0]:.3f}"


def _volumes(results: SweepResults, columns: list[str], wide: bool) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("attack", no_wrap=True)
    for column in columns:
        table.add_column(_broken(column), justify="right", no_wrap=True)
    least = [smallest(results, column) for column in columns]
    for attack in volume_rows(results):
        cells = [
            Text(_volume(results, attack, column, wide), "bold" if attack == best else "")
            for column, best in zip(columns, least, strict=True)
        ]
        table.add_row(row_name(attack), *cells)
    return table
