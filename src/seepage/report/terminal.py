"""The report's first page for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seepage.report import adaptive, aggregate, claim, noise, source
from seepage.report.labels_section import terminal_labels
from seepage.report.reading import confidence, failing, is_redrawn, lead, operating_points, unit
from seepage.report.reconstructions import drawn
from seepage.report.terminal_models import models_table
from seepage.report.users import first_findings
from seepage.report.verdict import all_verdicts, caveat
from seepage.report.wording import (
    BLOCK_NAMES,
    Unit,
    accuracy,
    fixed,
    needs,
    percent,
    point,
    sizes,
    target_name,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

    from seepage.report.reading import Lead
    from seepage.report.users import Finding
    from seepage.results import BlindRow, Rate, Results


SHOWN = (0.01, 0.001)
"""Operating points that a terminal has room for; others only where a study has none of these."""

OFF = 12
"""Blind checks off chance that a terminal has room for."""


def terminal_table(results: Results) -> RenderableType:
    """What the command line prints: warnings, the attacks, the blind rows and the verdict.

    The attacks stand for the leading target and block, the strongest first, with chance as the
    last line; many models are told pooled, with the spread over them. Print it with a
    ``rich.console.Console``.
    """
    from rich.console import Group
    from rich.text import Text

    leading = lead(results)
    if leading is None:
        return Text("No attack was run.")
    parts: list[RenderableType] = [Text(line, style="bold red") for line in _warnings(results)]
    parts.append(Text(_subject(results, leading) + "\n", style="dim"))
    level = confidence(results)
    models = leading.unit == "model"
    table = models_table(results, leading, level) if models else _attack_table(leading, level)
    parts += [table, Text(), _blind(results)]
    if (labels := terminal_labels(results, leading)) is not None:
        parts.append(labels)
    if (known := adaptive.known(results)) is not None:
        parts.append(Text(known.words, style="dim"))
    if (hides := aggregate.hidden(results)) is not None:
        parts.append(Text(aggregate.sentence(hides), style="dim"))
    if results.claim is not None:
        parts.append(claim.terminal_claim(results.claim))
    if results.noise is not None:
        parts.append(Text(noise.sentence(results.noise), style="dim"))
    parts += [_said(each) for each in first_findings(results)]
    for verdict in all_verdicts(results):
        line = Text("\n" + caveat(results), style="bold red")
        parts.append(
            line.append(verdict.headline + ":", "bold default").append(
                f" {verdict.detail}", "default"
            )
        )
    parts += [_said(each) for each in (drawn(results), source.finding(results)) if each]
    return Group(*parts)


def _said(each: Finding) -> Text:
    from rich.text import Text

    return (
        Text("\n").append(f"{each.headline}:", "bold default").append(f" {each.detail}", "default")
    )


def _subject(results: Results, leading: Lead) -> str:
    """What was attacked, how much stands behind it, and what the models are good for."""
    who, block = target_name(leading.target, leading.unit), leading.block
    named = BLOCK_NAMES[leading.unit, block]
    line = f"{who}: {sizes(leading.best, leading.unit)} ({named})"
    utility = results.utility
    if leading.unit == "client" or utility is None:
        return line
    test = accuracy(utility.test_accuracy, utility.test_deviation)
    return f"{line}\naccuracy: training {percent(utility.train_accuracy)} %, test {test}"


def _warnings(results: Results) -> list[str]:
    refuted = claim.alarm(results.claim)
    lines = [f"ERROR: {refuted}\n"] if refuted else []
    if results.noise is not None:
        lines += [f"ERROR: {noise.opened(each)}\n" for each in results.noise.problems]
    if is_redrawn(results):
        lines.append(
            "NOT VALID: the candidates were redrawn for every client and round "
            "(candidates.redraw_candidates); multi-round scores leak by construction.\n"
        )
    bad = failing(results)
    if bad:
        lines.append(
            f"{len(bad)} of {len(results.blind.rows)} blind checks are off chance: the candidates "
            "can be told apart without the model.\n"
        )
    return lines


def _attack_table(leading: Lead, level: float) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("attack", no_wrap=True)
    table.add_column("AUC", justify="right", no_wrap=True)
    table.add_column(f"{100 * level:g} % interval", no_wrap=True)
    points = operating_points(leading.rows)
    points = [fpr for fpr in points if fpr in SHOWN] or points
    for fpr in points:
        table.add_column(f"TPR@{point(fpr)}", justify="right")
    for row in leading.rows:
        auc, low, high = fixed((row.auc, *row.auc_interval), 3)
        rates = {float(key): rate for key, rate in row.tpr_at_fpr.items()}
        cells = [_rate(rates.get(fpr), fpr) for fpr in points]
        table.add_row(row.name, auc, f"[{low}, {high}]", *cells)
    chance = [point(fpr) for fpr in points]
    table.add_row("chance", "0.500", "", *chance, style="dim")
    return table


def _rate(rate: Rate | None, fpr: float) -> str:
    if rate is None:
        return "–"
    return f"{percent(rate.value)} %" if rate.resolved else needs(fpr)


def _blind(results: Results) -> RenderableType:
    """One line where every blind check is at chance; else a table of those that are not."""
    from rich.text import Text

    rows = results.blind.rows
    if not rows:
        return Text("No blind check was run.", style="yellow")
    if bad := failing(results):
        return _blind_table(bad, unit(results))
    checks = [row for row in rows if not row.expected]
    kinds = ", ".join(dict.fromkeys(row.name for row in checks))
    return Text(f"blind checks: {len(checks)} of {len(checks)} at chance ({kinds})", style="dim")


def _blind_table(rows: Sequence[BlindRow], unit: Unit) -> Table:
    """The first rows that are off chance; of a hundred models there may be many."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("blind check", "against", "AUC", "interval", ""):
        table.add_column(name, no_wrap=name not in ("blind check", "against"))
    for row in sorted(rows, key=lambda row: row.target != "all")[:OFF]:
        auc, low, high = fixed((row.auc, *row.auc_interval), 3)
        name = f"{row.name} of {row.of}" if row.of else row.name
        against = f"{target_name(row.target, unit)}, {BLOCK_NAMES[unit, row.block]}"
        table.add_row(name, against, auc, f"[{low}, {high}]", "OFF CHANCE", style="bold red")
    if len(rows) > OFF:
        table.add_row(f"{len(rows) - OFF} more", style="bold red")
    return table
