"""Hypervolumes of a sweep, attacks by series, as the FedMIA paper's second table has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from seepage.report.figure import Figure
from seepage.report.sweep_points import (
    STRONGEST,
    attack_names,
    defended,
    front_of,
    is_ablation,
    undefended_volume,
)
from seepage.report.sweep_style import Marks

if TYPE_CHECKING:
    from seepage.report.figure import Chart
    from seepage.results import SweepResults

ALONE = "undefended"
"""The column of the undefended point alone."""

IN_HAND = "best in hand"
"""What the row of the strongest attack is called: it is picked with the answer in hand."""

Volume = tuple[float, float | None]
"""A hypervolume and its deviation between seeds."""


def volume_rows(results: SweepResults) -> list[str]:
    """The attacks that have a front, the strongest first; ``STRONGEST`` in the end."""
    if is_ablation(results):
        return []
    series = defended(results)
    return [
        attack
        for attack in [*attack_names(results), STRONGEST]
        if any(front_of(results, name, attack) for name in series)
    ]


def row_name(attack: str) -> str:
    """What a row is called."""
    return IN_HAND if attack == STRONGEST else attack


def volume_columns(results: SweepResults) -> list[str]:
    """The series that have a front, the undefended point before them where there is one."""
    series = [name for name in defended(results) if front_of(results, name)]
    return [ALONE, *series] if undefended_volume(results) is not None else series


def volume(results: SweepResults, attack: str, column: str) -> Volume | None:
    """One cell; None where that attack has no front on that series."""
    if column == ALONE:
        base = undefended_volume(results, attack)
        return None if base is None else (base.value, base.deviation)
    front = front_of(results, column, attack)
    return None if front is None else (front.hypervolume, front.deviation)


def smallest(results: SweepResults, column: str) -> str | None:
    """The attack with the least hypervolume in a column: the strongest by itself."""
    cells = {
        name: cell[0]
        for name in volume_rows(results)
        if name != STRONGEST and (cell := volume(results, name, column))
    }
    return min(cells, key=cells.__getitem__, default=None)


def volume_figure(results: SweepResults) -> Figure | None:
    """One line an attack, one mark a series; None where there is no front."""
    rows, columns = volume_rows(results), volume_columns(results)
    series = [name for name in columns if name != ALONE]
    if not rows or not series:
        return None
    cells = {(a, c): cell for a in rows for c in columns if (cell := volume(results, a, c))}
    drawn = [
        {
            "attack": row_name(attack),
            "series": column,
            "volume": value,
            "low": value - (deviation or 0.0),
            "high": value + (deviation or 0.0),
        }
        for (attack, column), (value, deviation) in cells.items()
    ]
    least, most = (f(value for value, _ in cells.values()) for f in (min, max))
    return Figure(
        name="hypervolume",
        title="How good each trade-off is",
        alt=(
            f"Hypervolume of {len(series)} series under {len(rows)} attacks, from "
            f"{least:.3f} to {most:.3f}. The table below gives all numbers."
        ),
        caption=(
            "Hypervolume: the share of all pairs of test error and rate that a series’ front "
            "beats. Further right is the better trade-off; an attack whose marks lie further left "
            "is the stronger one. Diamonds: the undefended point alone. Bars: deviation between "
            "seeds."
        ),
        chart=_dots(drawn, Marks(series, ALONE if ALONE in columns else None)),
    )


def _dots(rows: list[dict[str, Any]], marks: Marks) -> Chart:
    import altair as alt

    low, high = min(row["low"] for row in rows), max(row["high"] for row in rows)
    margin = max(0.06 * (high - low), 0.005)
    scale = alt.Scale(domain=[max(0.0, low - margin), high + margin], nice=False, zero=False)
    axis = alt.Axis(ticks=False, grid=True, labelPadding=10)
    y = alt.Y("attack:N", title=None, sort=None, axis=axis)
    base = alt.Chart(pd.DataFrame(rows)).encode(y=y, color=marks.color("series"))
    bars = base.mark_rule(strokeWidth=1.4).encode(
        x=alt.X("low:Q", title="hypervolume", scale=scale, axis=alt.Axis(tickCount=8)), x2="high:Q"
    )
    dots = base.mark_point(filled=True, size=70, opacity=0.9).encode(
        x=alt.X("volume:Q", title="hypervolume", scale=scale, axis=alt.Axis(tickCount=8)),
        shape=marks.shape("series"),
        tooltip=["attack:N", "series:N", alt.Tooltip("volume:Q", format=".3f")],
    )
    return alt.layer(bars, dots, height={"step": 30})
