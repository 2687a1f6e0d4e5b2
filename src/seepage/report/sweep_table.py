"""A sweep as tables for a terminal: every strength of every series, and the hypervolumes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from seepage.report.suite_table import WIDE, attack_words
from seepage.report.sweep_findings import paragraph
from seepage.report.sweep_points import Strength, strengths
from seepage.report.sweep_volumes import row_name, smallest, volume, volume_columns, volume_rows
from seepage.report.sweep_wording import area_words, rate_words, volume_words
from seepage.report.sweep_words import alarms, headline
from seepage.report.wording import accuracy, point

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.table import Table

    from seepage.results import SweepResults

TITLE = "\nhypervolume: larger is a better trade-off, bold is the strongest attack"


def sweep_table(results: SweepResults) -> RenderableType:
    """What the command line prints of a sweep: warnings, points, hypervolumes, the finding.

    Under each series there is one line a strength, with means over its seeds: test accuracy, and
    the best attack's rate and AUC, picked with the answer in hand. Runs that failed are red lines
    with the reason. The second table has a row an attack and a column a series; the smallest
    number of a column, the strongest attack, is bold. In a narrow terminal intervals stand below
    their values, and attacks and the deviations of hypervolumes are left to the page.
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
            yield _points(results, wide)
        for each in results.failures:
            yield Text(f"{each.label} could not be run: {each.reason}", style="red")
        for columns in _chunks(results, options.max_width):
            yield Text(TITLE, "italic")
            yield _volumes(results, columns, wide)
        yield Text(f"\n{headline(results)}.", "bold").append(f" {paragraph(results)}", "default")


def _points(results: SweepResults, wide: bool) -> Table:
    from rich.table import Table
    from rich.text import Text

    points = strengths(results)
    labels = any(each.label_auc for each in points)
    private = wide and any(each.claimed() is not None for each in points)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("point", overflow="fold")
    by = [("by", "left")] * wide
    heads = [("test accuracy", "right"), (f"best TPR@{point(float(results.at))}", "right"), *by]
    heads += [("best AUC", "right"), *by, *[("labels" + " alone" * wide, "right")] * labels]
    heads += [("claimed ε", "right")] * private + [("seeds", "right")]
    for name, justify in heads:
        table.add_column(name, justify="left" if justify == "left" else "right", no_wrap=True)
    whole = len({each.series for each in points}) == 1
    for series, group in groupby(points, key=lambda each: each.series):
        lines = list(group)
        flat = whole or [each.name for each in lines] in ([series], ["undefended"])
        if not flat:
            table.add_row(Text(series, "bold"))
        for each in lines:
            cells = _cells(each, results.at, wide)
            cells += [area_words(each.label_auc) if each.label_auc else "–"] * labels
            cells += [_epsilon(each)] * private + [str(len(each.runs))]
            table.add_row(f"{'' if flat else '  '}{each.name}", *cells, style=_tone(each))
    return table


def _tone(each: Strength) -> str:
    return "" if all(run.blind_ok for run in each.runs) else "bold red"


def _cells(each: Strength, at: str, wide: bool) -> list[str]:
    area = each.auc()
    found, best = rate_words(each.tpr(), at), "–" if area is None else area_words(area)
    kept = accuracy(each.accuracy.value, each.accuracy.deviation)
    if wide:
        by = [attack_words(each.attacks("tpr")), attack_words(each.attacks("auc"))]
        return [kept, found, by[0], best, by[1]]
    found = "unresolved" if found.startswith("needs") else found
    return [kept, *(words.replace(" [", "\n[") for words in (found, best))]


def _epsilon(each: Strength) -> str:
    claimed = each.claimed()
    return "–" if claimed is None else f"{claimed:.2f}"


def _chunks(results: SweepResults, width: int) -> list[list[str]]:
    """The columns of the hypervolumes, in as many lists as the width asks for."""
    rows = volume_rows(results)
    lead = max((len(row_name(name)) for name in rows), default=0)
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
