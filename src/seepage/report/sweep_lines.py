"""Small panels: rates, areas and errors along the strengths of a series, with their reaches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd

from seepage.report.axes import rate_axis, share_axis
from seepage.report.figure import DASHES
from seepage.report.sweep_names import flat, key_name, value_name, varying
from seepage.report.sweep_points import Mean, Strength, strengths
from seepage.report.sweep_style import (
    NEUTRAL,
    Marks,
    area_axis,
    bounds,
    top_rate,
)

if TYPE_CHECKING:
    import altair as alt

    from seepage.results import SweepResults

Value = Callable[[Strength], Mean | None]


@dataclass(frozen=True, kw_only=True)
class Measure:
    """What a panel shows upwards.

    Attributes:
        title: Its name.
        form: How the pointer's box writes it.
        value: It, of a strength under an attack.
        axis: The upright axis, from a field and a title.
    """

    title: str
    form: str
    value: Callable[[Strength, str], Mean | None]
    axis: Callable[..., alt.Y]


def measures(results: SweepResults, attacks: list[str], label: bool = False) -> list[Measure]:
    """Rate, AUC and test error, each with an axis that has room for all series.

    Rate and AUC are left out where no run measured them; ``label`` makes room for what labels alone
    reach, and for the best attack within them.
    """
    import altair as alt

    points, at = strengths(results), float(results.at)
    areas = [area for each in points for name in attacks if (area := each.auc(name))]
    if label:
        beside = [area for each in points for area in (each.label_auc, each.within_auc())]
        areas += [area for area in beside if area]
    found = Measure(
        title="members found",
        form=".2%",
        value=Strength.tpr,
        axis=partial(rate_axis, alt.Y, at=at, top=top_rate(points, attacks, at), ticks=1),
    )
    error = Measure(
        title="test error",
        form=".1%",
        value=lambda each, _: each.error,
        axis=partial(share_axis, alt.Y, domain=bounds([e.error for e in points]), ticks=4),
    )
    if not areas:
        return [error]
    axis = partial(area_axis, alt.Y, domain=bounds(areas))
    area = Measure(title="AUC", form=".3f", value=Strength.auc, axis=axis)
    resolved = any(each.tpr(name) for each in points for name in attacks)
    return [found, area, error] if resolved else [area, error]


class Along:
    """The swept values of one series, evenly apart in the order of the grid."""

    def __init__(self, results: SweepResults, points: list[Strength], wide: int) -> None:
        keys = varying(results, points[0].series)
        self.points, self.wide = points, wide
        self.joined = len(keys) <= 1
        self.title = key_name(keys[0]) if len(keys) == 1 else None
        self.ticks = [
            value_name(flat(each.settings).get(keys[0])) if len(keys) == 1 else each.name
            for each in points
        ]
        self.apart = len(set(self.ticks)) < len(self.ticks)
        if self.apart:  # several series with the same values
            pairs = zip(points, self.ticks, strict=True)
            self.ticks = [f"{each.series}: {tick}" for each, tick in pairs]
            self.joined = False

    def axis(self, shown: bool) -> alt.X:
        """Ordinal; ``shown`` says whether values and their key stand below it."""
        import altair as alt

        room = self.wide / len(self.ticks)
        turned = max(len(tick) for tick in self.ticks) * 6.6 > room
        axis = alt.Axis(
            labels=shown,
            ticks=shown,
            grid=False,
            labelAngle=-40 if turned else 0,
            labelLimit=200 if self.apart else 90,
        )
        return alt.X("tick:O", sort=self.ticks, title=self.title if shown else None, axis=axis)

    def table(self, lines: Mapping[str, Value]) -> pd.DataFrame:
        """One row a strength and line, of those that were measured."""
        rows = [
            {
                "series": name,
                "tick": tick,
                "point": each.name,
                "order": order,
                "value": found.value,
                "low": found.low,
                "high": found.high,
            }
            for name, value in lines.items()
            for order, (tick, each) in enumerate(zip(self.ticks, self.points, strict=True))
            if (found := value(each))
        ]
        return pd.DataFrame(rows)


@dataclass(frozen=True, kw_only=True)
class Lines:
    """Panels of lines that share their strengths and marks.

    Attributes:
        along: The strengths.
        marks: Color and shape of each name.
        columns: Columns of the legend; None draws none.
    """

    along: Along
    marks: Marks
    columns: int | None = None

    def panel(
        self,
        measure: Measure,
        lines: Mapping[str, str],
        *,
        high: int,
        title: str | None,
        shown: bool = True,
        level: float | None = None,
        dashed: Mapping[str, Value] | None = None,
    ) -> alt.LayerChart | alt.FacetChart:
        """Lines with dots and bars.

        Args:
            measure: What is drawn upwards.
            lines: Attacks by the name that their marks go by.
            high: Height in pixels.
            title: Of the upright axis.
            shown: Whether the swept values stand below.
            level: Where a dashed line goes all the way across.
            dashed: Lines without dots, dashed and grey, each with its name beside it.
        """
        import altair as alt

        y = partial(measure.axis, title=title)
        x = self.along.axis(shown)
        layers = [] if level is None else [_level(level, y)]
        values = {name: partial(_under, measure, attack) for name, attack in lines.items()}
        table = self.along.table(values)
        if self.along.joined:
            layers.append(self._line(table, x, y))
        layers += _dashed(self.along, dashed or {}, x, y)
        color = self.marks.color("series", self.columns)
        base = alt.Chart(table).encode(x=x, color=color)
        bars = base.mark_rule(strokeWidth=1.4).encode(y=y("low"), y2="high:Q")
        dots = base.mark_point(filled=True, size=46, opacity=1).encode(
            y=y("value"),
            shape=self.marks.shape("series", self.columns),
            tooltip=["series:N", "point:N", *_numbers(measure.form)],
        )
        return alt.layer(*layers, bars, dots, width=self.along.wide, height=high)

    def _line(self, table: pd.DataFrame, x: alt.X, y: partial[alt.Y]) -> alt.Chart:
        import altair as alt

        color = self.marks.color("series", self.columns)
        line = alt.Chart(table).mark_line(strokeWidth=1.7)
        return line.encode(x=x, y=y("value"), color=color, order="order:Q")


def _dashed(
    along: Along, lines: Mapping[str, Value], x: alt.X, y: partial[alt.Y]
) -> list[alt.Chart]:
    """Grey lines with their names at the right end, the higher one's name a little higher."""
    import altair as alt

    grey = alt.value(NEUTRAL)
    tables = [along.table({name: value}) for name, value in lines.items()]
    layers = []
    for table, dash in zip(tables, DASHES[1:], strict=False):
        end = table.iloc[[-1]]
        highest = all(end["value"].item() >= other["value"].iloc[-1] for other in tables)
        line = alt.Chart(table).mark_line(strokeWidth=1.5, strokeDash=dash)
        words = alt.Chart(end).mark_text(align="left", dx=10, dy=-4 if highest else 5)
        layers += [
            line.encode(x=x, y=y("value"), color=grey, order="order:Q"),
            words.encode(x=x, y=y("value"), text="series:N", color=grey),
        ]
    return layers


def _under(measure: Measure, attack: str, each: Strength) -> Mean | None:
    return measure.value(each, attack)


def _level(value: float, y: partial[alt.Y]) -> alt.Chart:
    import altair as alt

    rule = alt.Chart(pd.DataFrame({"value": [value]})).mark_rule(strokeDash=[3, 3])
    return rule.encode(y=y("value"), color=alt.value(NEUTRAL))


def _numbers(form: str) -> list[alt.Tooltip]:
    import altair as alt

    return [alt.Tooltip(f"{name}:Q", format=form) for name in ("value", "low", "high")]
