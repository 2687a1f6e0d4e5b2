"""What goes on along the swept values: attacks and test error, by series or attack by attack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seepage.report.figure import Figure
from seepage.report.sweep_lines import Along, Lines, Value, measures
from seepage.report.sweep_points import (
    STRONGEST,
    Strength,
    attack_names,
    defended,
    is_ablation,
    strengths,
    undefended,
)
from seepage.report.sweep_style import ROOM, Marks, panel_title
from seepage.report.sweep_words import course
from seepage.report.wording import point

if TYPE_CHECKING:
    import altair as alt

    from seepage.results import SweepResults

ACROSS = 4
LINES = 5
"""Attacks that a panel of lines has room for."""

LABELS = "labels alone"
WITHIN = "within labels"
ERROR = "test error"
BARS = (
    "Values in the order of the grid, evenly apart whatever their size. Bars: the deviation "
    "between seeds or the mean interval of the runs, whichever is wider."
)


def strength_figure(results: SweepResults) -> Figure | None:
    """One column a series: rate, AUC and test error along its strengths."""
    import altair as alt

    if is_ablation(results) or not defended(results):
        return None
    names, at = defended(results), point(float(results.at))
    columns = [_column(results, name, first=i % ACROSS == 0) for i, name in enumerate(names)]
    level = " Dashed: the undefended training." if undefended(results) else ""
    return Figure(
        name="strength",
        title="Along the strength of each defense",
        alt=(
            f"For each of {len(names)} series, along its strengths: the share of members that the "
            f"strongest attack finds at {at} false alarms, the best AUC, and the test error."
        ),
        caption=(
            f"Members found at {at} false alarms and AUC, both by the attack that did best in each "
            f"run, and test error. {BARS}{level}"
        ),
        chart=alt.concat(*columns, columns=ACROSS, spacing=24),
    )


def _column(results: SweepResults, series: str, *, first: bool) -> alt.VConcatChart:
    """Panels below each other; the first column of a line names their axes."""
    import altair as alt

    start = undefended(results)
    along = Along(results, strengths(results, series), round(ROOM / ACROSS) - 48)
    lines = Lines(along=along, marks=Marks(defended(results)))
    shown = measures(results, [STRONGEST])
    panels = []
    for each in shown:
        level = each.value(start, STRONGEST) if start else None
        panel = lines.panel(
            each,
            {series: STRONGEST},
            high=96 if each is shown[0] else 70,
            title=each.title if first else None,
            shown=each is shown[-1],
            level=level.value if level else None,
        )
        panels.append(panel)
    return alt.vconcat(*panels, spacing=12, title=panel_title(series))


def ablation_figure(results: SweepResults) -> Figure | None:
    """Rate and AUC of each attack, and the test error, along one swept setting."""
    import altair as alt

    points = strengths(results)
    if not is_ablation(results) or len(points) < 2:
        return None
    every = attack_names(results)
    attacks, at = every[:LINES], point(float(results.at))
    left = f" {len(every) - LINES} weaker attacks are left to the table." * (len(every) > LINES)
    dashed = _dashed(results)
    words = (
        " Dashed: what knowing the labels reaches without a model; dotted: the best attack among "
        "records of the same label."
    ) * bool(dashed)
    return Figure(
        name="ablation",
        title="Along the swept values",
        alt=f"{course(results)}. The table gives all numbers.",
        caption=f"Members found at {at} false alarms, AUC, and test error. {BARS}{words}{left}",
        chart=alt.concat(*_panels(results, attacks, dashed), columns=3, spacing=24),
    )


def _panels(
    results: SweepResults, attacks: list[str], dashed: dict[str, Value]
) -> list[alt.LayerChart | alt.FacetChart]:
    shown = measures(results, attacks, label=bool(dashed))
    along = Along(results, strengths(results), round((ROOM - 90) / len(shown)) - 55)
    lines = Lines(along=along, marks=Marks(attacks, ERROR, told=False), columns=6)
    own = {name: name for name in attacks}
    return [
        lines.panel(
            each,
            {ERROR: ""} if each.title == ERROR else own,
            high=260,
            title=each.title,
            dashed=dashed if each.title == "AUC" else None,
        )
        for each in shown
    ]


def _dashed(results: SweepResults) -> dict[str, Value]:
    """What labels alone reach, and the best attack within them, where they were measured."""
    points = strengths(results)
    found: dict[str, Value] = {}
    if any(each.label_auc for each in points):
        found[LABELS] = lambda each: each.label_auc
    if any(each.within_auc() for each in points):
        found[WITHIN] = Strength.within_auc
    return found
