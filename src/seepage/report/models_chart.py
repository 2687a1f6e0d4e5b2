"""Every model on its own: one line an attack, one dot a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from seepage.report.figure import COLORS, GREY, Figure
from seepage.report.reading import select
from seepage.report.spread import found_values, single
from seepage.report.wording import percent, point

if TYPE_CHECKING:
    from seepage.report.figure import Chart
    from seepage.report.reading import Lead
    from seepage.results import Results

ATTACKS = 10
STEP = 30


def models_figure(results: Results, leading: Lead) -> Figure | None:
    """How much the strongest attacks find in each model; None where there are fewer than two.

    The rate at the point that speaks, or the AUC where not every model resolves that point.
    """
    rates = bool(found_values(results, leading, leading.best.name))
    table = _values(results, leading, rates)
    models = len(set(table["target"]))
    if models < 2:
        return None
    own = table.loc[table["attack"] == leading.best.name, "value"]
    at = point(float(leading.chosen.at)) if leading.chosen else ""
    what = f"share of members found at {at} false alarms" if rates else "AUC"
    low, high = (percent(x) + " %" if rates else f"{x:.3f}" for x in (own.min(), own.max()))
    return Figure(
        name="models",
        title="Every model on its own",
        alt=f"{leading.best.name} against each of {models} models: {what} from {low} to {high}.",
        caption=(
            f"One dot a model, {models} in each line; the upright stroke is their median. "
            f"{leading.best.name} goes from {low} to {high}. A wide line says that one audited "
            "model would not have told the whole story."
        ),
        chart=_strips(table, what[0].upper() + what[1:], rates, leading.best.name),
    )


def _values(results: Results, leading: Lead, rates: bool) -> pd.DataFrame:
    """Columns ``attack, target, value``, the strongest attacks in the order of the table."""
    rows = select(results, leading.block, leading.target)
    shown = [row for i, row in enumerate(rows) if i < ATTACKS or row.name == leading.best.name]
    tables = []
    for row in shown:
        alone = single(results, row.name, leading.block)
        found = found_values(results, leading, row.name) if rates else [x.auc for x in alone]
        if len(found) == len(alone):
            columns = {"target": [x.target for x in alone], "value": found}
            tables.append(pd.DataFrame({"attack": row.name, **columns}))
    empty = pd.DataFrame({"attack": [], "target": [], "value": []})
    return pd.concat(tables, ignore_index=True) if tables else empty


def _strips(table: pd.DataFrame, title: str, rates: bool, best: str) -> Chart:
    import altair as alt

    table = table.assign(kind=["chosen" if name == best else "other" for name in table["attack"]])
    axis = alt.Axis(tickCount=6)
    if rates:
        axis = alt.Axis(labelExpr="format(datum.value * 100, '~g') + ' %'", tickCount=6)
    x = alt.X("value:Q", title=title, axis=axis, scale=alt.Scale(zero=rates, nice=True))
    y = alt.Y(
        "attack:N", title=None, sort=None, axis=alt.Axis(ticks=False, grid=True, labelPadding=12)
    )
    scale = alt.Scale(domain=["chosen", "other"], range=[COLORS[0], GREY])
    color = alt.Color("kind:N", scale=scale, legend=None)
    tips = [
        alt.Tooltip("attack:N"),
        alt.Tooltip("target:N", title="model"),
        alt.Tooltip("value:Q", title=title, format=".2%" if rates else ".3f"),
    ]
    base = alt.Chart(table).encode(y=y, color=color)
    dots = base.mark_point(filled=True, size=34, opacity=0.45).encode(x=x, tooltip=tips)
    middle = base.mark_tick(thickness=2.5, size=18, opacity=1).encode(
        x=alt.X("median(value):Q", title=title)
    )
    return alt.layer(dots, middle, height={"step": STEP})
