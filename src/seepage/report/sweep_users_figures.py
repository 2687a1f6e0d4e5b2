"""Whose record is it, over a sweep, drawn: shares by number of labels, ROC curves, accuracy."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from seepage.report.axes import share_axis
from seepage.report.figure import COLORS, DASHES, GREY, Figure
from seepage.report.sweep_points import mean
from seepage.report.sweep_style import ROOM, bounds, panel_title
from seepage.report.sweep_users import (
    Cell,
    asked,
    attack_order,
    baseline,
    cells,
    series_names,
    share,
    speaks,
)
from seepage.report.sweep_users_table import heading
from seepage.report.users import STANDS_IN
from seepage.report.users_figures import MARKED, WRONGLY
from seepage.report.wording import percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    import altair as alt

    from seepage.records import FloatArray
    from seepage.results import SweepResults, SweepUser

    Panel = alt.LayerChart | alt.FacetChart

LINES = len(COLORS)
"""Attacks, numbers of labels and series that a figure has room for."""

ACROSS = 2
WIDE = round(ROOM / ACROSS) - 70
"""Width of a panel, without its axis."""

GRID = np.unique(np.concatenate([np.linspace(0.0, 1.0, 101), np.geomspace(1e-3, 0.1, 25)]))
"""False positive rates at which curves are averaged."""


def labels_figure(results: SweepResults) -> Figure | None:
    """Shares marked and false alarms by number of labels, a panel a series; figure 6."""
    import altair as alt

    first = speaks(results)
    if first is None:
        return None
    names = attack_order(results)
    told = sorted(names, key=lambda name: (name != first, name not in STANDS_IN))[:LINES]
    panels = [
        _labels_panel(results, series, told, left=place % ACROSS == 0)
        for place, series in enumerate(series_names(results)[:LINES])
    ]
    own = [cell.marked.value for cell in cells(results, first)]
    left = len(names) - len(told)
    rest = f" {left} further attack{'s are' if left > 1 else ' is'} left to the table." * (left > 0)
    return Figure(
        name="victims_labels",
        title="Records marked as the victim’s, by its number of labels",
        alt=(
            f"{first} marks {percent(min(own))} % to {percent(max(own))} % of the victims’ "
            "records, by series and number of labels. The table gives all numbers."
        ),
        caption=(
            "Filled: the victim’s records marked as the victim’s, the published accuracy. Hollow: "
            "the other participants’ records marked so, false alarms that the published figures "
            "leave out. Means over the victims of all runs and seeds with as many labels; bars: "
            f"their deviation.{rest}"
        ),
        chart=alt.concat(*panels, columns=ACROSS, spacing=36),
    )


def _labels_panel(results: SweepResults, series: str, told: list[str], *, left: bool) -> Panel:
    import altair as alt

    own = [cell for cell in cells(results, series=series) if cell.attack in told]
    table = pd.DataFrame([row for cell in own for row in _shares(cell)])
    color = alt.Scale(domain=told, range=COLORS[: len(told)])
    legend = alt.Legend(columns=3, symbolType="stroke", symbolOpacity=1)
    title = "share marked as the victim’s" if left else None
    y = partial(share_axis, alt.Y, domain=(0.0, 1.0), title=title, ticks=5)
    base = alt.Chart(table).encode(
        x=alt.X(
            "labels:O",
            title="labels that the victim declared",
            axis=alt.Axis(labelAngle=0, grid=False),
        ),
        color=alt.Color("attack:N", scale=color, legend=legend),
        tooltip=["attack:N", "kind:N", "labels:O", "share:N", "victims:Q"],
    )
    dash = alt.Scale(domain=[MARKED, WRONGLY], range=DASHES[:2])
    right, wrong = (base.transform_filter(alt.datum.kind == kind) for kind in (MARKED, WRONGLY))
    return alt.layer(
        base.mark_line(strokeWidth=1.6).encode(
            y=y("value"), strokeDash=alt.StrokeDash("kind:N", scale=dash, legend=None)
        ),
        base.mark_rule(strokeWidth=1.4).encode(y=y("low"), y2="high:Q"),
        right.mark_point(filled=True, size=70, opacity=1).encode(y=y("value")),
        wrong.mark_point(filled=False, size=60, opacity=1, strokeWidth=1.8).encode(y=y("value")),
        width=WIDE,
        height=270,
        title=panel_title(series if len(series_names(results)) > 1 else ""),
    )


def _shares(cell: Cell) -> list[dict[str, object]]:
    return [
        {
            "attack": cell.attack,
            "labels": cell.labels,
            "kind": kind,
            "value": found.value,
            "low": found.low,
            "high": found.high,
            "share": share(found),
            "victims": len(cell.users),
        }
        for kind, found in ((MARKED, cell.marked), (WRONGLY, cell.alarms))
    ]


def mean_curve(users: Sequence[SweepUser]) -> FloatArray:
    """The mean true positive rate at each false positive rate of ``GRID``: vertical averaging.

    Between the stored points a curve is a straight line. Where it rises upright, its highest point
    stands.

    References:
        | An introduction to ROC analysis (Fawcett, 2006)
    """
    curves = []
    for user in users:
        fpr, tpr = np.asarray(user.curve, dtype=np.float64).T
        curves.append(np.interp(GRID, fpr, tpr))
    return np.mean(curves, axis=0)


def roc_figure(results: SweepResults) -> Figure | None:
    """ROC curves by number of labels: a line of panels a series; figures 7 and 8."""
    import altair as alt

    first, plain = speaks(results), baseline(results)
    names = [name for name in (first, plain) if name is not None]
    if not names:
        return None
    numbers = sorted({cell.labels for cell in cells(results)})[:LINES]
    several = len(series_names(results)) > 1
    panels = [
        _roc_panel(own, numbers, f"{series}: {name}" if several else name, WIDE)
        for series in series_names(results)[:LINES]
        for name in names
        if (own := [c for c in cells(results, name, series) if c.labels in numbers])
    ]
    return Figure(
        name="victims_roc",
        title="The victim’s records found, against false alarms",
        alt=(
            f"ROC curves of {' and '.join(names)} against other participants’ records, by series "
            "and number of labels; the table gives their areas."
        ),
        caption=(
            "Each curve is the mean over the victims of all runs and seeds with as many labels, at "
            "each rate of false alarms. Dotted: chance."
        ),
        chart=alt.concat(*panels, columns=len(names), spacing=36),
    )


def _roc_panel(own: list[Cell], numbers: list[int], title: str, wide: int) -> Panel:
    import altair as alt

    order = [heading(labels) for labels in numbers]
    tables = [
        pd.DataFrame({"labels": heading(cell.labels), "fpr": GRID, "tpr": mean_curve(cell.users)})
        for cell in own
    ]
    x = share_axis(alt.X, "fpr", (0.0, 1.0), "false alarms", 5)
    y = share_axis(alt.Y, "tpr", (0.0, 1.0), "victim’s records found", 5)
    legend = alt.Legend(columns=5, symbolType="stroke", symbolOpacity=1)
    lines = alt.Chart(pd.concat(tables)).mark_line(strokeWidth=1.9)
    curves = lines.encode(
        x=x,
        y=y,
        color=alt.Color(
            "labels:N", scale=alt.Scale(domain=order, range=COLORS[: len(order)]), legend=legend
        ),
        strokeDash=alt.StrokeDash(
            "labels:N", scale=alt.Scale(domain=order, range=DASHES[: len(order)]), legend=legend
        ),
        tooltip=[
            "labels:N",
            alt.Tooltip("fpr:Q", title="false alarms", format=".2%"),
            alt.Tooltip("tpr:Q", title="found", format=".2%"),
        ],
    )
    guess = alt.Chart(pd.DataFrame({"fpr": [0.0, 1.0], "tpr": [0.0, 1.0]}))
    chance = guess.mark_line(color=GREY, strokeDash=[2, 3], strokeWidth=1.2).encode(x=x, y=y)
    return alt.layer(chance, curves, width=wide, height=270, title=panel_title(title))


def rounds_table(results: SweepResults) -> pd.DataFrame:
    """Test accuracy by series and round over all its runs: ``series, round, value, low, high``.

    A round counts where every run of the series has it; ``low`` and ``high`` are the least and the
    most of any run.
    """
    rows = []
    for series in series_names(results)[:LINES]:
        runs = [
            {each.round: each.test_accuracy for each in point.rounds}
            for point in asked(results)
            if point.series == series
        ]
        for number in sorted(set.intersection(*(set(run) for run in runs))):
            values = [run[number] for run in runs]
            ends = {"low": min(values), "high": max(values)}
            rows.append({"series": series, "round": number, "value": np.mean(values), **ends})
    return pd.DataFrame(rows)


def rounds_figure(results: SweepResults) -> Figure | None:
    """Accuracy of the global model by round, a line a series; figure 5."""
    table = rounds_table(results)
    if table.empty:
        return None
    names = list(dict.fromkeys(table["series"]))
    lead = [f"{name} " if len(names) > 1 else "" for name in names]
    finals = [f"{told}{_last(results, n)}" for told, n in zip(lead, names, strict=True)]
    return Figure(
        name="accuracy_by_round",
        title="The task that the federation is for",
        alt=f"Test accuracy of the global model by round. After the last: {'; '.join(finals)}.",
        caption=(
            "Test accuracy of the global model after each observed round, the mean over all runs "
            f"of a series; bands: from the least to the most. After the last: {'; '.join(finals)}."
        ),
        chart=_rounds_chart(table, names),
    )


def _rounds_chart(table: pd.DataFrame, names: list[str]) -> Panel:
    import altair as alt

    domain = bounds([mean([float(value)]) for value in (*table["low"], *table["high"])])
    y = partial(share_axis, alt.Y, domain=domain, title="test accuracy", ticks=5)
    scale = alt.Scale(domain=names, range=COLORS[: len(names)])
    dash = alt.Scale(domain=names, range=DASHES[: len(names)])
    legend = alt.Legend(columns=5, symbolType="stroke", symbolOpacity=1)
    several = legend if len(names) > 1 else None
    span = int(np.ptp(table["round"].to_numpy()))
    axis = alt.Axis(tickCount=min(8, max(span, 1)), format="d", grid=False)
    base = alt.Chart(table).encode(
        x=alt.X("round:Q", axis=axis, title="round"),
        color=alt.Color("series:N", scale=scale, legend=several),
        tooltip=["series:N", "round:Q", alt.Tooltip("value:Q", format=".1%")],
    )
    line = base.mark_line(strokeWidth=1.9).encode(
        y=y("value"), strokeDash=alt.StrokeDash("series:N", scale=dash, legend=several)
    )
    dots = base.mark_point(filled=True, size=34, opacity=1).encode(y=y("value"))
    band = base.mark_area(opacity=0.15).encode(y=y("low"), y2="high:Q")
    return alt.layer(band, line, dots, height=240)


def _last(results: SweepResults, series: str) -> str:
    own = [point.test_accuracy for point in asked(results) if point.series == series]
    return share(mean(own))
