"""Axes and marks that the figures of a sweep share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seepage.report.axes import PER_CENT, Pair, share_axis
from seepage.report.figure import COLORS, DASHES
from seepage.report.sweep_points import Mean, Strength

if TYPE_CHECKING:
    import altair as alt

SHAPES = ["circle", "square", "triangle-up", "cross", "triangle-down", "triangle-right"]
NEUTRAL = "#737b84"
ROOM = 920.0
"""Pixels that the page has for a figure in panels."""

SPREAD, FINEST = 4.0, 1e-3
"""The ratio of errors from which an axis is logarithmic, and the least error that one shows."""


class Marks:
    """A color, a shape and a dash for each name, the same in every figure.

    Five hues that color-blind readers tell apart and six shapes: neighbors differ in both, and up
    to thirty names do not share a pair. ``plain`` is a name in grey, before the others; ``told``
    says whether legends have it.
    """

    def __init__(self, names: Sequence[str], plain: str | None = None, told: bool = True) -> None:
        own = [plain] if plain else []
        self.names = [*own, *names]
        self.listed = self.names if told else list(names)
        self.colors = [NEUTRAL] * len(own) + [COLORS[i % 5] for i in range(len(names))]
        self.shapes = ["diamond"] * len(own) + [SHAPES[i % 6] for i in range(len(names))]
        self.dashes = [[1, 0]] * len(own) + [DASHES[i // 5 % 5] for i in range(len(names))]

    def color(self, field: str, columns: int | None = 4) -> alt.Color:
        """The hue; with the legend of hue and shape in one, in so many columns."""
        import altair as alt

        scale = alt.Scale(domain=self.names, range=self.colors)
        return alt.Color(f"{field}:N", scale=scale, legend=self._legend(columns), title=None)

    def shape(self, field: str, columns: int | None = 4) -> alt.Shape:
        """The shape; its legend falls together with the hue's."""
        import altair as alt

        scale = alt.Scale(domain=self.names, range=self.shapes)
        return alt.Shape(f"{field}:N", scale=scale, legend=self._legend(columns), title=None)

    def dash(self, field: str) -> alt.StrokeDash:
        """The dash of a line, which tells names of one hue apart."""
        import altair as alt

        scale = alt.Scale(domain=self.names, range=self.dashes)
        return alt.StrokeDash(f"{field}:N", scale=scale, legend=None)

    def _legend(self, columns: int | None) -> alt.Legend | None:
        import altair as alt

        if columns is None:
            return None
        return alt.Legend(
            values=self.listed,
            columns=columns,
            columnPadding=18,
            symbolSize=80,
            symbolOpacity=1,
            symbolStrokeWidth=0,
        )


def panel_title(words: str) -> alt.Title:
    """What stands above a panel."""
    import altair as alt

    return alt.Title(words, fontSize=12.5, fontWeight=600, color="#24282d", anchor="middle")


def area_axis(channel: Any, field: str, domain: Pair, title: str | None) -> Any:
    """An AUC, between two bounds."""
    import altair as alt

    scale = alt.Scale(domain=list(domain), nice=False, zero=False)
    return channel(f"{field}:Q", title=title, axis=alt.Axis(tickCount=4), scale=scale)


@dataclass(frozen=True)
class Errors:
    """The level axis of test errors: logarithmic where one is over four times another.

    A useless model at one strength would else press all others into a corner.
    """

    low: float
    high: float
    logarithmic: bool

    @classmethod
    def of(cls, means: Sequence[Mean]) -> Errors:
        """With room for every reach."""
        least, most = max(FINEST, min(e.low for e in means)), max(e.high for e in means)
        if most > SPREAD * least:
            return cls(0.9 * least, min(1.0, 1.1 * most), logarithmic=True)
        return cls(*bounds(means), logarithmic=False)

    def axis(self, field: str, title: str | None) -> Any:
        """The axis of a field."""
        import altair as alt

        if not self.logarithmic:
            return share_axis(alt.X, field, (self.low, self.high), title)
        ticks = [k * 10.0**power for power in range(-3, 1) for k in (1, 2, 5)]
        shown = [tick for tick in ticks if self.low <= tick <= self.high]
        scale = alt.Scale(type="log", domain=[self.low, self.high], nice=False, clamp=True)
        axis = alt.Axis(values=shown, labelExpr=PER_CENT)
        return alt.X(f"{field}:Q", title=title, axis=axis, scale=scale)

    def place(self, error: float) -> float:
        """Where an error lies, as a share of the axis from the left."""
        if not self.logarithmic:
            return (error - self.low) / (self.high - self.low)
        return math.log(max(error, self.low) / self.low) / math.log(self.high / self.low)


def bounds(means: Sequence[Mean], least: float = 0.01) -> Pair:
    """From the lowest reach to the highest, with a margin, inside [0, 1]."""
    low, high = min(each.low for each in means), max(each.high for each in means)
    margin = max(0.08 * (high - low), least)
    return max(0.0, low - margin), min(1.0, high + margin)


def top_rate(points: Sequence[Strength], attacks: Sequence[str], at: float) -> float:
    """Where the upright axis of rates ends: above all that is drawn, at most 1."""
    rates = [rate.high for each in points for name in attacks if (rate := each.tpr(name))]
    return min(1.0, max(1.4 * max(rates, default=at), 10.0 * at))
