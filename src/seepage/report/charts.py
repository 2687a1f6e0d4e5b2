"""The charts of the report. All numbers are aggregated before they come here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from seepage.report.curves import FLOOR, LEFT_OUT, MEMBERS, OTHERS, OUTSIDE
from seepage.report.figure import COLORS, DASHES, GREY
from seepage.report.wording import count, target_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    import altair as alt

    from seepage.report.figure import Chart
    from seepage.results import AttackRow, RoundUtility

REST = "other attacks"
SHOWN = len(COLORS)
HEIGHT = 400
GROUPS = {MEMBERS: COLORS[0], OUTSIDE: COLORS[1], LEFT_OUT: COLORS[1], OTHERS: GREY}


def roc_chart(table: pd.DataFrame, nonmembers: int) -> Chart:
    """Log-log ROC in steps, with the chance line and the finest rate ``1 / nonmembers``.

    The first five attacks of the table have a colour and a dash of their own.
    """
    import altair as alt

    names = [str(name) for name in table["attack"].unique()]
    lines = names[:SHOWN] + [REST] * (len(names) > SHOWN)
    color = alt.Scale(domain=lines, range=[*COLORS[: len(names)], GREY])
    dash = alt.Scale(domain=lines, range=[*DASHES[: len(names)], [1, 0]])
    # Lines are drawn in the order of their rows: turned round, the best lies on top.
    table = table.assign(line=[n if n in lines else REST for n in table["attack"]]).iloc[::-1]
    curves = alt.Chart(table).mark_line(interpolate="step-after", strokeWidth=1.9, clip=True)
    steps = curves.encode(
        x=_log_axis(alt.X, "x", "false positive rate"),
        y=_log_axis(alt.Y, "y", "true positive rate"),
        color=alt.Color("line:N", scale=color, legend=_legend(2)),
        strokeDash=alt.StrokeDash("line:N", scale=dash, legend=_legend(2)),
        detail="attack:N",
    )
    return alt.layer(*_roc_ground(nonmembers), steps, height=HEIGHT)


def roc_hover(table: pd.DataFrame) -> alt.Chart:
    """Unseen spots on the curves that answer to the pointer; for the page alone."""
    import altair as alt

    tips = [
        alt.Tooltip("attack:N", title="attack"),
        alt.Tooltip("fpr:Q", title="FPR", format=".4f"),
        alt.Tooltip("tpr:Q", title="TPR", format=".4f"),
    ]
    spots = alt.Chart(table).mark_point(opacity=0, size=60, filled=True)
    return spots.encode(x="x:Q", y="y:Q", tooltip=tips)


def _log_axis(channel: Any, field: str, title: str) -> Any:
    import altair as alt

    axis = alt.Axis(
        values=[10.0**k for k in range(-4, 1)],
        labelExpr="format(datum.value * 100, '~g') + ' %'",
    )
    scale = alt.Scale(type="log", domain=[FLOOR, 1.0], clamp=True)
    return channel(f"{field}:Q", title=title, scale=scale, axis=axis)


def _roc_ground(nonmembers: int) -> list[alt.Chart]:
    """What lies under the curves: the unresolved region, its border, the chance line."""
    import altair as alt

    limit = pd.DataFrame({"x": [FLOOR], "end": [max(1.0 / nonmembers, FLOOR)]})
    diagonal = pd.DataFrame({"x": [FLOOR, 1.0], "y": [FLOOR, 1.0]})
    x, y = _log_axis(alt.X, "x", "false positive rate"), _log_axis(alt.Y, "y", "true positive rate")
    shade = alt.Chart(limit).mark_rect(color=GREY, opacity=0.14).encode(x=x, x2="end:Q")
    label = (
        alt.Chart(limit.assign(text=f"finer than 1 in {count(nonmembers)}"))
        .mark_text(align="right", dx=-5, y=HEIGHT - 10, fontSize=11, color="#6b7178")
        .encode(x="end:Q", text="text:N")
    )
    chance = alt.Chart(diagonal).mark_line(color="#6b7178", strokeWidth=1.2, strokeDash=[3, 3])
    wide_enough = 1.0 / nonmembers >= 30 * FLOOR
    return [shade, *([label] if wide_enough else []), chance.encode(x=x, y=y)]


def histogram_chart(cells: pd.DataFrame, title: str) -> Chart:
    """Shares of each group in steps, members on top; other clients' records in outline only."""
    import altair as alt

    closing = cells.groupby("group", sort=False).tail(1)
    outline = pd.concat([cells, closing.assign(start=closing["end"])], ignore_index=True)
    present = [name for name in GROUPS if name in cells["group"].to_numpy()]
    order = {name: -place for place, name in enumerate(present)}
    outline = outline.iloc[outline["group"].map(order.__getitem__).argsort(kind="stable")]
    scale = alt.Scale(domain=present, range=[GROUPS[name] for name in present])
    x = alt.X("start:Q", title=title, scale=alt.Scale(nice=False), axis=alt.Axis(grid=False))
    y = alt.Y("share:Q", title="share of the group", stack=None, axis=_percent_axis())
    color = alt.Color("group:N", scale=scale, legend=_legend(3))
    tips = [
        alt.Tooltip("group:N", title="group"),
        alt.Tooltip("start:Q", title="from", format=".4g"),
        alt.Tooltip("share:Q", title="share", format=".2%"),
    ]
    filled = alt.Chart(outline[outline["group"] != OTHERS])
    area = filled.mark_area(interpolate="step-after", opacity=0.15).encode(x=x, y=y, color=color)
    line = alt.Chart(outline).mark_line(interpolate="step-after", strokeWidth=1.7)
    return alt.layer(area, line.encode(x=x, y=y, color=color, tooltip=tips), height=280)


def _legend(columns: int) -> alt.Legend:
    """Strokes in full colour, whatever the opacity of the marks."""
    import altair as alt

    return alt.Legend(columns=columns, symbolType="stroke", symbolOpacity=1)


def _percent_axis() -> alt.Axis:
    import altair as alt

    return alt.Axis(labelExpr="format(datum.value * 100, '~g') + ' %'", tickCount=5)


def clients_chart(rows: Sequence[AttackRow]) -> Chart:
    """AUC and its interval for every target, with the chance line."""
    import altair as alt

    table = pd.DataFrame(
        {
            "target": [target_name(row.target, "client") for row in rows],
            "auc": [row.auc for row in rows],
            "low": [row.auc_interval[0] for row in rows],
            "high": [row.auc_interval[1] for row in rows],
            "kind": ["pooled" if row.target == "all" else "one client" for row in rows],
        }
    )
    low = min([0.45, *(row.auc_interval[0] - 0.02 for row in rows)])
    high = max([0.6, *(row.auc_interval[1] + 0.02 for row in rows)])
    x = alt.X(
        "auc:Q",
        title="AUC",
        scale=alt.Scale(domain=[max(0.0, low), min(1.0, high)], nice=False),
        axis=alt.Axis(tickCount=6),
    )
    crowded = len(rows) > 40
    y = alt.Y("target:N", title=None, sort=None, axis=alt.Axis(labels=not crowded, ticks=False))
    scale = alt.Scale(domain=["one client", "pooled"], range=[COLORS[1], COLORS[0]])
    color = alt.Color("kind:N", scale=scale, legend=None)
    base = alt.Chart(table).encode(
        y=y, color=color, tooltip=["target:N", *(f"{k}:Q" for k in ("auc", "low", "high"))]
    )
    chance = alt.Chart(pd.DataFrame({"auc": [0.5]})).mark_rule(strokeDash=[3, 3], color="#6b7178")
    spans = base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", title="AUC"), x2="high:Q")
    dots = base.mark_point(filled=True, size=20 if crowded else 70, opacity=1).encode(x=x)
    return alt.layer(chance.encode(x=x), spans, dots, height={"step": 6 if crowded else 24})


def utility_chart(rounds: Sequence[RoundUtility]) -> Chart:
    """Accuracy of the global model on training and test records over the observed rounds."""
    import altair as alt

    table = pd.DataFrame(
        [
            {"round": each.round, "records": name, "accuracy": value}
            for each in rounds
            for name, value in (
                ("training", each.train_accuracy),
                ("test", each.test_accuracy),
            )
        ]
    )
    scale = alt.Scale(domain=["training", "test"], range=[COLORS[1], COLORS[0]])
    base = alt.Chart(table).encode(
        x=alt.X("round:Q", axis=alt.Axis(tickMinStep=1, grid=False), scale=alt.Scale(zero=False)),
        y=alt.Y("accuracy:Q", axis=_percent_axis(), scale=alt.Scale(zero=False)),
        color=alt.Color("records:N", scale=scale, legend=_legend(2)),
        tooltip=["records:N", "round:Q", alt.Tooltip("accuracy:Q", format=".2%")],
    )
    line = base.mark_line(strokeWidth=1.9)
    return alt.layer(line, base.mark_point(filled=True, size=36, opacity=1), height=280)
