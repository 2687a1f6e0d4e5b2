"""The figure of a suite: what each defense costs in accuracy, and what still leaks."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pandas as pd

from seepage.report.axes import height_of, rate_axis, share_axis
from seepage.report.figure import COLORS, WIDTH, Figure
from seepage.report.labels import Box, along, place_labels
from seepage.report.suite_words import front, measured, stopping_curve
from seepage.report.wording import percent, point

if TYPE_CHECKING:
    import altair as alt

    from seepage.report.figure import Chart
    from seepage.results import SuiteResults, SuiteRow

HEIGHT = 440
JOINED = 2
"""So many runs make a line."""
STOPPED, DEFENSE, NONE = "early stopping", "defense", "no defense"
KINDS = {NONE: COLORS[0], DEFENSE: COLORS[1], STOPPED: COLORS[2]}


def tradeoff_figure(results: SuiteResults) -> Figure | None:
    """Test accuracy against members found, one point a defense; None where no rate is resolved."""
    rows = measured(results)
    if not rows:
        return None
    at, kept = point(float(results.at)), front(results)
    ends = f"from {percent(kept[0].tpr.rate.value)} % to {percent(kept[-1].tpr.rate.value)} %"
    left = len(results.rows) - len(rows)
    runs, verb = ("run", "is") if left == 1 else ("runs", "are")
    missing = f" {left} {runs} whose rate is not resolved {verb} not drawn." if left else ""
    return Figure(
        name="tradeoff",
        title="What it costs, and what still leaks",
        alt=(
            f"Test accuracy and share of members found at {at} false alarms for {len(rows)} runs. "
            f"{len(kept)} of them are on the front: {', '.join(row.label for row in kept)}, "
            f"{ends}. The table gives all numbers."
        ),
        caption=(
            "The further down and to the right, the better. Dots: the attack chosen on reference "
            "models, with its interval; rings: the best with the answer in hand, where it is "
            f"another. {_told(results)}Level bars: deviation between models. Dotted: chance, {at}; "
            f"below it the upright axis is even, above it logarithmic.{missing}"
        ),
        chart=_chart(results, rows),
    )


def _told(results: SuiteResults) -> str:
    """What the lines between runs are, of those that are drawn."""
    words = {
        "Dashed: the front, whose defenses no other beats in both. ": front(results),
        "Green line: training stopped early, which needs no method at all; a defense above and to "
        "the left of it is worth less than stopping. ": stopping_curve(results),
    }
    return "".join(line for line, rows in words.items() if len(rows) >= JOINED)


def _chart(results: SuiteResults, rows: list[SuiteRow]) -> Chart:
    import altair as alt

    scales = _Scales(results, rows)
    table = scales.named(rows, [front(results), stopping_curve(results)])
    present = [kind for kind in KINDS if kind in table["kind"].to_numpy()]
    scale = alt.Scale(domain=present, range=[KINDS[kind] for kind in present])
    legend = alt.Legend(symbolType="circle", symbolSize=80, symbolStrokeWidth=0, symbolOpacity=1)
    base = alt.Chart(table).encode(color=alt.Color("kind:N", scale=scale, legend=legend))
    x, y = scales.x("accuracy"), scales.y("found")
    upright = base.mark_rule(strokeWidth=2).encode(x=x, y=scales.y("low"), y2="high:Q")
    level = base.mark_rule(strokeWidth=1, opacity=0.6).encode(x=scales.x("less"), x2="more:Q", y=y)
    dots = base.mark_point(filled=True, size=75, opacity=1).encode(x=x, y=y, tooltip=_tips())
    rings = base.mark_point(filled=False, size=75, strokeWidth=1.5, opacity=1)
    rings = rings.transform_filter(alt.datum.ring).encode(x=x, y=scales.y("oracle"))
    names = (
        alt.Chart(table)
        .mark_text(
            align=alt.expr("datum.align"),
            dx=alt.expr("datum.dx"),
            dy=alt.expr("datum.dy"),
            baseline="middle",
            fontSize=11.5,
            color="#4a5058",
        )
        .encode(x=x, y=y, text="label:N")
    )
    drawn = [scales.chance(), *_lines(results, scales), level, upright]
    drawn += [rings] if any(row.tpr.oracle != row.tpr.chosen for row in rows) else []
    return alt.layer(*drawn, dots, names, height=HEIGHT)


def _lines(results: SuiteResults, scales: _Scales) -> list[alt.Chart]:
    """The front and the curve of early stopping, each where it has two points or more."""
    import altair as alt

    lines = []
    for rows, color, dash in (
        (front(results), "#6b7178", [5, 4]),
        (stopping_curve(results), KINDS[STOPPED], [1, 0]),
    ):
        if len(rows) >= JOINED:
            table = _table(rows).assign(order=range(len(rows)))
            line = alt.Chart(table).mark_line(color=color, strokeDash=dash, strokeWidth=1.3)
            where = {"x": scales.x("accuracy"), "y": scales.y("found")}
            lines.append(line.encode(**where, order="order:Q"))
    return lines


def _tips() -> list[alt.Tooltip]:
    import altair as alt

    shares = ("accuracy", "found", "low", "high", "oracle")
    return [
        alt.Tooltip("label:N", title="defense"),
        alt.Tooltip("attack:N", title="chosen attack"),
        *(alt.Tooltip(f"{name}:Q", title=name, format=".2%") for name in shares),
    ]


class _Scales:
    """Both axes of the figure, as the chart draws them and in pixels for the names."""

    def __init__(self, results: SuiteResults, rows: list[SuiteRow]) -> None:
        self.at = float(results.at)
        spread = [(row.test_accuracy, row.test_deviation or 0.0) for row in rows]
        low = min(value - deviation for value, deviation in spread)
        high = max(value + deviation for value, deviation in spread)
        margin = max(0.12 * (high - low), 0.01)
        self.across = max(0.0, low - margin), min(1.0, high + margin)
        most = max(max(row.tpr.rate.interval[1], row.tpr.oracle_rate.value) for row in rows)
        self.top = min(1.0, max(1.5 * most, 10 * self.at))

    def x(self, field: str) -> alt.X:
        import altair as alt

        return share_axis(alt.X, field, self.across, "test accuracy")

    def y(self, field: str) -> alt.Y:
        import altair as alt

        title = f"members found at {point(self.at)} false alarms"
        return rate_axis(alt.Y, field, self.at, self.top, title)

    def chance(self) -> alt.Chart:
        """The rate that guessing reaches."""
        import altair as alt

        rule = alt.Chart(pd.DataFrame({"found": [self.at]})).mark_rule(strokeDash=[2, 3])
        return rule.encode(y=self.y("found"), color=alt.value("#6b7178"))

    def named(self, rows: list[SuiteRow], lines: list[list[SuiteRow]]) -> pd.DataFrame:
        """One row a point, with the place of its name beside all that is drawn."""
        points = [self._pixel(row.test_accuracy, row.tpr.rate.value) for row in rows]
        drawn = [box for row in rows for box in self._bars(row)]
        for line in lines:
            corners = [self._pixel(row.test_accuracy, row.tpr.rate.value) for row in line]
            drawn += [box for ends in pairwise(corners) for box in along(*ends)]
        level = self._pixel(0.0, self.at)[1]
        drawn += along((0.0, level), (float(WIDTH), level))
        rings = [self._pixel(row.test_accuracy, row.tpr.oracle_rate.value) for row in rows]
        drawn += [(x - 5.0, y - 5.0, x + 5.0, y + 5.0) for x, y in rings]
        size = (0.0, 0.0, float(WIDTH), float(HEIGHT))
        places = place_labels(points, [row.label for row in rows], drawn, size)
        return _table(rows).assign(
            align=[each.align for each in places],
            dx=[each.dx for each in places],
            dy=[each.dy for each in places],
        )

    def _pixel(self, accuracy: float, found: float) -> tuple[float, float]:
        low, high = self.across
        share = height_of(found, self.at, self.top)
        return WIDTH * (accuracy - low) / (high - low), HEIGHT * (1.0 - share)

    def _bars(self, row: SuiteRow) -> list[Box]:
        """What a row's interval and deviation cover."""
        low, high = row.tpr.rate.interval
        less, more = (row.test_accuracy + s * (row.test_deviation or 0.0) for s in (-1, 1))
        (x, bottom), (_, top) = (self._pixel(row.test_accuracy, bound) for bound in (low, high))
        (left, y), (right, _) = (self._pixel(bound, row.tpr.rate.value) for bound in (less, more))
        return [(x - 1.0, top, x + 1.0, bottom), (left, y - 1.0, right, y + 1.0)]


def _table(rows: list[SuiteRow]) -> pd.DataFrame:
    return pd.DataFrame([_numbers(row) for row in rows])


def _numbers(row: SuiteRow) -> dict[str, object]:
    deviation = row.test_deviation or 0.0
    best = row.tpr
    return {
        "label": row.label,
        "kind": {"none": NONE, "early_stopping": STOPPED}.get(row.defense, DEFENSE),
        "accuracy": row.test_accuracy,
        "less": row.test_accuracy - deviation,
        "more": row.test_accuracy + deviation,
        "attack": best.chosen,
        "found": best.rate.value,
        "low": best.rate.interval[0],
        "high": best.rate.interval[1],
        "oracle": best.oracle_rate.value,
        "ring": best.oracle != best.chosen,
    }
