"""Axes of trade-offs: rates with a place for 0, and shares in per cent."""

from __future__ import annotations

import math
from typing import Any

PER_CENT = "format(datum.value * 100, '~g') + ' %'"
TICKS = [0.0, *(10.0**k for k in range(-5, 1))]

Pair = tuple[float, float]


def rate_axis(
    channel: Any, field: str, at: float, top: float, title: str | None, ticks: int = 2
) -> Any:
    """Even up to the operating point and logarithmic above, so that 0 has a place."""
    import altair as alt

    fine = [3 * x for x in TICKS] if ticks > 1 else []
    values = sorted({0.0, *(x for x in (*TICKS, *fine) if at <= x <= top)})
    scale = alt.Scale(type="symlog", constant=at, domain=[0.0, top], nice=False)
    axis = alt.Axis(values=values, labelExpr=PER_CENT)
    return channel(f"{field}:Q", title=title, axis=axis, scale=scale)


def share_axis(channel: Any, field: str, domain: Pair, title: str | None, ticks: int = 6) -> Any:
    """A share in per cent, between two bounds."""
    import altair as alt

    axis = alt.Axis(labelExpr=PER_CENT, tickCount=ticks)
    scale = alt.Scale(domain=list(domain), nice=False, zero=False)
    return channel(f"{field}:Q", title=title, axis=axis, scale=scale)


def height_of(rate: float, at: float, top: float) -> float:
    """Where a rate lies on the upright axis, as a share of its length from below."""
    return math.log1p(rate / at) / math.log1p(top / at)
