"""One panel of a trade-off: the points of all series, their fronts and their names."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pandas as pd

from seepage.report.axes import height_of, rate_axis
from seepage.report.labels import Box, along, place_labels
from seepage.report.sweep_points import (
    STRONGEST,
    UNDEFENDED,
    Strength,
    complete,
    defended,
    front_of,
    strengths,
    unbeaten,
    undefended,
)
from seepage.report.sweep_style import (
    NEUTRAL,
    Errors,
    Marks,
    panel_title,
    top_rate,
)
from seepage.report.wording import point

if TYPE_CHECKING:
    import altair as alt

    from seepage.results import SweepResults

Axis = Callable[..., Any]
Corners = list[tuple[float, float]]

NAMED = 14
"""So many points can all have their names beside them; of more, those on the front of all."""


@dataclass(frozen=True, kw_only=True)
class View:
    """What panels share: the points, the marks and the ranges of both axes."""

    results: SweepResults
    points: list[Strength]
    marks: Marks
    at: float
    across: Errors
    top: float

    @classmethod
    def of(cls, results: SweepResults, attacks: list[str]) -> View | None:
        """None where no point resolves the operating point."""
        at = float(results.at)
        points = [e for e in strengths(results) if any(e.tpr(name) for name in attacks)]
        if not points:
            return None
        return cls(
            results=results,
            points=points,
            marks=Marks(defended(results), "undefended" if undefended(results) else None),
            at=at,
            across=Errors.of([each.error for each in points]),
            top=top_rate(points, attacks, at),
        )

    def main(self, wide: int, high: int) -> alt.LayerChart | alt.FacetChart:
        """The strongest attack, with names; ``wide`` is what names are placed for."""
        import altair as alt

        x = self._x("test error")
        y = self._y(f"members found at {point(self.at)} false alarms")
        layers = [*self._layers(STRONGEST, x, y, 75), self._names(x, y, wide, high)]
        return alt.layer(*layers, height=high)

    def panel(
        self, attack: str, wide: int, high: int, *, left: bool, bottom: bool
    ) -> alt.LayerChart | alt.FacetChart:
        """One attack, small; ``left`` and ``bottom`` say which axes have a title."""
        import altair as alt

        x = self._x("test error" if bottom else None)
        y = self._y("members found" if left else None)
        return alt.layer(
            *self._layers(attack, x, y, 36), height=high, width=wide, title=panel_title(attack)
        )

    def _x(self, title: str | None) -> Axis:
        return partial(self.across.axis, title=title)

    def _y(self, title: str | None) -> Axis:
        import altair as alt

        return partial(rate_axis, alt.Y, at=self.at, top=self.top, title=title)

    def _layers(self, attack: str, x: Axis, y: Axis, size: int) -> list[alt.Chart]:
        import altair as alt

        chance = alt.Chart(pd.DataFrame({"rate": [self.at]})).mark_rule(strokeDash=[3, 3])
        base = alt.Chart(self._table(attack)).encode(
            color=self.marks.color("series"),
            opacity=alt.condition("datum.kept", alt.value(1.0), alt.value(0.3)),
        )
        return [
            chance.encode(y=y("rate"), color=alt.value(NEUTRAL)),
            *self._band(attack, x, y),
            *self._steps(attack, x, y),
            base.mark_rule(strokeWidth=1.0).encode(x=x("less"), x2="more:Q", y=y("rate")),
            base.mark_rule(strokeWidth=1.4).encode(x=x("error"), y=y("low"), y2="high:Q"),
            base.mark_point(filled=True, size=size).encode(
                x=x("error"), y=y("rate"), shape=self.marks.shape("series"), tooltip=_tips()
            ),
        ]

    def _table(self, attack: str) -> pd.DataFrame:
        """One row a point: means, reaches, and whether it is on the front of its series."""
        rows = [
            {
                "series": "undefended" if each.series == UNDEFENDED else each.series,
                "name": each.name,
                "error": each.error.value,
                "less": each.error.low,
                "more": each.error.high,
                "rate": rate.value,
                "low": rate.low,
                "high": rate.high,
                "attack": each.attacks("tpr") if attack == STRONGEST else attack,
                "seeds": len(each.runs),
                "kept": self._kept(each, attack),
            }
            for each in self.points
            if (rate := each.tpr(attack))
        ]
        return pd.DataFrame(rows)

    def _kept(self, each: Strength, attack: str) -> bool:
        front, rate = front_of(self.results, each.series, attack), each.tpr(attack)
        if each.series == UNDEFENDED or front is None or rate is None:
            return True
        own = (each.error.value, rate.value)
        return any(math.dist(own, (corner.error, corner.tpr)) < 1e-9 for corner in front.points)

    def _fronts(self, attack: str) -> dict[str, Corners]:
        """The corners of each series' front by ascending error, of those with two or more."""
        found = {name: front_of(self.results, name, attack) for name in defended(self.results)}
        lines = {name: [(p.error, p.tpr) for p in f.points] for name, f in found.items() if f}
        return {name: corners for name, corners in lines.items() if len(corners) > 1}

    def _steps(self, attack: str, x: Axis, y: Axis) -> list[alt.Chart]:
        import altair as alt

        tables = [_corners(line, name) for name, line in self._fronts(attack).items()]
        if not tables:
            return []
        lines = alt.Chart(pd.concat(tables)).mark_line(
            interpolate="step-after", strokeWidth=1.4, opacity=0.8
        )
        look = {"color": self.marks.color("series"), "strokeDash": self.marks.dash("series")}
        return [lines.encode(x=x("error"), y=y("rate"), order="order:Q", **look)]

    def _band(self, attack: str, x: Axis, y: Axis) -> list[alt.Chart]:
        """The front of all series."""
        import altair as alt

        line = self._best(attack)
        if len(line) < 2:
            return []
        band = alt.Chart(_corners(line, "all")).mark_line(
            interpolate="step-after", strokeWidth=10, opacity=0.2, strokeJoin="round"
        )
        return [band.encode(x=x("error"), y=y("rate"), order="order:Q", color=alt.value(NEUTRAL))]

    def _best(self, attack: str) -> Corners:
        kept = unbeaten(complete(self.points), attack)
        return [(each.error.value, rate.value) for each in kept if (rate := each.tpr(attack))]

    def _names(self, x: Axis, y: Axis, wide: int, high: int) -> alt.Chart:
        """Names beside the points, each where it covers least."""
        import altair as alt

        best = unbeaten(complete(self.points))
        few = len(self.points) <= NAMED
        shown = [e for e in self.points if few or e in best or e.series == UNDEFENDED]
        names = [each.name for each in shown]
        spots = [(e.error.value, r.value) for e in shown if (r := e.tpr())]
        pixels = [self._pixel(spot, wide, high) for spot in spots]
        size = (0.0, 0.0, float(wide), float(high))
        places = place_labels(pixels, names, self._covered(wide, high), size)
        table = pd.DataFrame(
            {
                "name": names,
                "error": [error for error, _ in spots],
                "rate": [rate for _, rate in spots],
                "align": [place.align for place in places],
                "dx": [place.dx for place in places],
                "dy": [place.dy for place in places],
            }
        )
        text = alt.Chart(table).mark_text(
            align=alt.expr("datum.align"),
            dx=alt.expr("datum.dx"),
            dy=alt.expr("datum.dy"),
            baseline="middle",
            fontSize=11.5,
            color="#4a5058",
        )
        return text.encode(x=x("error"), y=y("rate"), text="name:N")

    def _covered(self, wide: int, high: int) -> list[Box]:
        """What names should not cover: points, their bars, steps and the chance line."""
        level = self._pixel((0.0, self.at), wide, high)[1]
        boxes = along((0.0, level), (float(wide), level))
        for each in self.points:
            rate = each.tpr()
            if rate is None:
                continue
            x, y = self._pixel((each.error.value, rate.value), wide, high)
            (left, bottom), (right, top) = (
                self._pixel(ends, wide, high)
                for ends in ((each.error.low, rate.low), (each.error.high, rate.high))
            )
            boxes += [(x - 5.0, y - 5.0, x + 5.0, y + 5.0), (x - 1.0, top, x + 1.0, bottom)]
            boxes += [(left, y - 1.0, right, y + 1.0)]
        for line in [self._best(STRONGEST), *self._fronts(STRONGEST).values()]:
            for (x0, y0), (x1, y1) in pairwise(self._pixel(end, wide, high) for end in line):
                boxes += [*along((x0, y0), (x1, y0)), *along((x1, y0), (x1, y1))]
        return boxes

    def _pixel(self, spot: tuple[float, float], wide: int, high: int) -> tuple[float, float]:
        high_up = height_of(spot[1], self.at, self.top)
        return wide * self.across.place(spot[0]), high * (1.0 - high_up)


def _corners(line: Corners, series: str) -> pd.DataFrame:
    table = pd.DataFrame(line, columns=pd.Index(["error", "rate"]))
    return table.assign(series=series, order=range(len(line)))


def _tips() -> list[alt.Tooltip]:
    import altair as alt

    shares = {"error": "test error", "rate": "found", "low": "from", "high": "to"}
    return [
        *(alt.Tooltip(f"{name}:N") for name in ("series", "name", "attack")),
        *(alt.Tooltip(f"{name}:Q", title=title, format=".2%") for name, title in shares.items()),
        alt.Tooltip("seeds:Q"),
    ]
