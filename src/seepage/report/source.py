"""Which client holds a record that one of them holds: the sentence and the confusions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seepage.report.figure import COLORS, Figure
from seepage.report.users import Finding
from seepage.report.wording import ADVERSARIES, count, percent, point, shares

if TYPE_CHECKING:
    import pandas as pd

    from seepage.report.figure import Chart
    from seepage.results import Results, Source

NUMBERS = 12
"""Clients up to which every cell of the confusions has room for its number."""


def finding(results: Results) -> Finding | None:
    """How often the right client is named, beside guessing; None where nobody asked."""
    source = results.source
    if source is None:
        return None
    rows = [row for row in results.attacks if row.name == source.attack]
    who = ADVERSARIES[rows[0].adversary] if rows else ADVERSARIES["server"]
    share, low, high = shares(source.accuracy, source.interval)
    base, without = baseline(source)
    return Finding(
        headline=f"{who} names the right client for {share} % of {count(source.n)} records "
        f"[{low}, {high}], {without} would give {point(round(base, 3))}",
        detail=f"attack {source.attack}, among {len(source.clients)} clients"
        f"{_no_better(source.interval, base)}.",
    )


def baseline(source: Source) -> tuple[float, str]:
    """What is right as often without a model, at most, and how it answers."""
    ways = [
        (source.chance, "guessing"),
        (source.largest or 0.0, "always naming the client with most records"),
        (source.by_label or 0.0, "naming the client with most records of the same label"),
    ]
    return max(ways, key=lambda way: round(way[0], 3))


def _no_better(interval: tuple[float, float], base: float) -> str:
    low, high = interval
    if low > base:
        return ""
    if high < base:
        return "; that is worse than without a model"
    return "; the interval holds it, so this may be no better"


def cells(source: Source) -> pd.DataFrame:
    """The confusions as shares of each client's records: ``holder, said, share, number, text``.

    Clients without a record are left out, and among many clients pairs that never happened.
    """
    import pandas as pd

    rows = [
        {
            "holder": i,
            "said": j,
            "share": number / sum(line),
            "number": number,
            "text": f"{100 * number / sum(line):.0f} %",
        }
        for i, line in zip(source.clients, source.confusion, strict=True)
        for j, number in zip(source.clients, line, strict=True)
        if number or (sum(line) and len(source.clients) <= NUMBERS)
    ]
    return pd.DataFrame(rows, columns=["holder", "said", "share", "number", "text"])


def source_figures(results: Results) -> list[Figure]:
    """The heat map of confusions; none where nobody asked."""
    source = results.source
    if source is None:
        return []
    named, ties = len(source.clients), source.n - sum(map(sum, source.confusion))
    figure = Figure(
        name="source",
        title="Said, against true",
        alt=(
            f"Which of {named} clients each record is said to be of: "
            f"{percent(source.accuracy)} % lie on the diagonal, guessing puts "
            f"{percent(source.chance)} % there."
        ),
        caption="A row is what one client holds, and how its records are shared out among those "
        "said to hold them. What lies on the diagonal is right."
        + (f" {count(ties)} ties name nobody and count as wrong." if ties else ""),
        chart=_heat(source),
    )
    return [figure]


def _heat(source: Source) -> Chart:
    import altair as alt

    table, order = cells(source), source.clients
    side = {"axis": alt.Axis(labelAngle=0, ticks=False, domain=False), "sort": order}
    tips = [
        alt.Tooltip("holder:O", title="held by"),
        alt.Tooltip("said:O", title="said to be of"),
        alt.Tooltip("share:Q", title="share", format=".1%"),
        alt.Tooltip("number:Q", title="records"),
    ]
    base = alt.Chart(table).encode(
        x=alt.X(
            "said:O", title="client it is said to be of", scale=alt.Scale(domain=order), **side
        ),
        y=alt.Y("holder:O", title="client that holds it", scale=alt.Scale(domain=order), **side),
    )
    shade = alt.Opacity("share:Q", scale=alt.Scale(domain=[0, 1], range=[0.04, 0.75]), legend=None)
    heat = base.mark_rect(color=COLORS[1]).encode(opacity=shade, tooltip=tips)
    numbers = base.mark_text(fontSize=12, color="#24282d").encode(text="text:N")
    layers = [heat, numbers] if len(order) <= NUMBERS else [heat]
    step = 34 if len(order) <= NUMBERS else max(6, 400 // len(order))
    return alt.layer(*layers, height={"step": step})
