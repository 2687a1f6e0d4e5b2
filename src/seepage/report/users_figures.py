"""What attacks on users find by the number of labels that their victims declared, drawn."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from seepage.report.axes import share_axis
from seepage.report.curves import FLOOR, placed_sides, roc_steps, thin
from seepage.report.curves import part as part_of
from seepage.report.figure import COLORS, DASHES, GREY, Figure
from seepage.report.users import STANDS_IN, decided, leading_block, subject
from seepage.report.wording import BLOCK_NAMES

if TYPE_CHECKING:
    from seepage.records import Block
    from seepage.report.figure import Chart
    from seepage.results import AttackRow, Results

NAMES = ("users_labels", "users_roc")
"""Figures that stand with the words on users, not among the others."""

MARKED, WRONGLY = "the victim’s records", "the others’, falsely"
BESIDE = "declared_label_global"
"""The baseline whose curves stand beside the attack's, as the published figures would want."""

LINES = len(COLORS)
"""Attacks and numbers of labels that a figure has room for."""


def users_figures(results: Results, scores: pd.DataFrame) -> list[Figure]:
    """Both figures, where the rows and the scores allow them."""
    block = leading_block(results)
    if results.users is None or block is None:
        return []
    rows = [row for row in decided(results, block) if row.victim_labels is not None]
    if not rows:
        return []
    return [each for each in (_labels(rows, block), _roc(rows, scores, block)) if each]


def by_labels(rows: list[AttackRow]) -> pd.DataFrame:
    """Shares marked, the mean over victims with as many labels: ``attack, place, kind, share``.

    The place is the number of labels; where all victims declared as many, it is the victim.
    """
    varied = len({len(row.victim_labels or []) for row in rows}) > 1
    table = pd.DataFrame(
        [
            {
                "attack": row.name,
                "place": len(row.victim_labels or []) if varied else f"client {row.victim}",
                "kind": kind,
                "share": share,
            }
            for row in rows
            for kind, share in ((MARKED, row.paper_accuracy), (WRONGLY, row.false_alarms))
            if share is not None
        ]
    )
    kept = _told(rows)
    keys = ["attack", "place", "kind"]
    inside = pd.DataFrame(table[table["attack"].isin(kept)])
    return inside.groupby(keys, as_index=False, sort=False).agg({"share": "mean"})


def _told(rows: list[AttackRow]) -> list[str]:
    """Names that a figure has room for: the attack that speaks, the baselines, then the rest."""
    names = list(dict.fromkeys(row.name for row in rows))
    first = subject(rows).name
    ordered = sorted(names, key=lambda name: (name != first, name not in STANDS_IN))
    return ordered[:LINES]


def _untold(rows: list[AttackRow]) -> str:
    """What a figure has no room for."""
    more = len({row.name for row in rows}) - len(_told(rows))
    return f" {more} more {'is' if more == 1 else 'are'} in the table." if more else ""


def _labels(rows: list[AttackRow], block: Block) -> Figure:
    table = by_labels(rows)
    varied = not isinstance(table["place"].iloc[0], str)
    by = "number of labels the victim declared" if varied else "victim"
    ends = table[table["kind"] == MARKED]["share"]
    return Figure(
        name="users_labels",
        title="Records marked as the victim’s" + (", by number of labels" if varied else ""),
        alt=(
            f"Share of the victims’ records marked as theirs, from {ends.min():.0%} to "
            f"{ends.max():.0%}, and of other records marked so, by attack and {by}."
        ),
        caption=(
            "Filled: the victim’s records marked as the victim’s, the published accuracy. Hollow: "
            f"{BLOCK_NAMES['client', block]} marked so, which are false alarms. The further apart, "
            "the better."
            + (" Means over victims with as many labels." if varied else "")
            + _untold(rows)
        ),
        chart=_labels_chart(table, by, varied),
    )


def _labels_chart(table: pd.DataFrame, title: str, varied: bool) -> Chart:
    import altair as alt

    names = list(dict.fromkeys(table["attack"]))
    color = alt.Scale(domain=names, range=COLORS[: len(names)])
    kinds = alt.Scale(domain=[MARKED, WRONGLY], range=DASHES[:2])
    place = "place:O"
    axis = alt.Axis(labelAngle=0, grid=False)
    legend = alt.Legend(columns=2, symbolType="stroke", symbolOpacity=1)
    base = alt.Chart(table).encode(
        x=alt.X(place, title=title, axis=axis, sort=None if not varied else "ascending"),
        y=share_axis(alt.Y, "share", (0.0, 1.0), "share marked as the victim’s", 5),
        color=alt.Color("attack:N", scale=color, legend=legend),
        tooltip=["attack:N", "kind:N", place, alt.Tooltip("share:Q", format=".1%")],
    )
    right, wrong = (base.transform_filter(alt.datum.kind == kind) for kind in (MARKED, WRONGLY))
    dots = [
        right.mark_point(filled=True, size=70, opacity=1, clip=False),
        wrong.mark_point(filled=False, size=60, opacity=1, strokeWidth=1.8, clip=False),
    ]
    dash = alt.StrokeDash("kind:N", scale=kinds, legend=None)
    lines = [base.mark_line(strokeWidth=1.6).encode(strokeDash=dash)] if varied else []
    return alt.layer(*lines, *dots, height=280)


def roc_by_labels(rows: list[AttackRow], scores: pd.DataFrame, block: Block) -> pd.DataFrame:
    """Curves of the attack and the global model, victims with as many labels pooled.

    Returns:
        Columns ``attack, labels, fpr, tpr, x``; ``x`` is the rate as drawn, at least the floor.
    """
    first = subject(rows).name
    beside = [BESIDE] if any(row.name == BESIDE for row in rows) else []
    names = list(dict.fromkeys([first, *beside]))
    tables = []
    numbers = sorted({len(row.victim_labels or []) for row in rows})[:LINES]
    for name in names:
        for number in numbers:
            victims = [
                row.victim
                for row in rows
                if row.name == name and len(row.victim_labels or []) == number
            ]
            of = part_of(scores, name, "all")
            sides = _sides(pd.DataFrame(of[of["target"].isin(victims)]), block)
            if sides is None:
                continue
            fpr, tpr = thin(*roc_steps(*sides))
            curve = {"fpr": fpr, "tpr": tpr, "x": np.maximum(fpr, FLOOR)}
            words = f"{number} label{'s' if number != 1 else ''}"
            tables.append(pd.DataFrame({"attack": name, "labels": words, **curve}))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _sides(rows: pd.DataFrame, block: Block) -> Any:
    if rows.empty:
        return None
    sides = placed_sides(rows, block)
    return sides if len(sides[0]) and len(sides[1]) else None


def _roc(rows: list[AttackRow], scores: pd.DataFrame, block: Block) -> Figure | None:
    table = roc_by_labels(rows, scores, block)
    if table.empty:
        return None
    names = list(dict.fromkeys(table["attack"]))
    beside = f"Solid: {names[0]}." + (f" Dashed: {names[1]}." if len(names) > 1 else "")
    finest = min(row.n_nonmembers for row in rows)
    several = len(set(table["labels"])) > 1
    pooled = "the victims that declared as many labels" if several else "all victims"
    return Figure(
        name="users_roc",
        title="The victim’s records found, against false alarms",
        alt=(
            f"ROC curves of {' and '.join(names)} against {BLOCK_NAMES['client', block]}, by the "
            "number of labels that the victim declared; the table gives their areas."
        ),
        caption=(
            f"{beside} Each curve pools {pooled}, against {BLOCK_NAMES['client', block]}. Dotted: "
            f"chance. Rates finer than 1 in {finest:,} are not resolved."
        ),
        chart=_roc_chart(table, names, 10.0 ** math.floor(-math.log10(finest))),
    )


def _roc_chart(table: pd.DataFrame, names: list[str], low: float) -> Chart:
    import altair as alt

    labels = list(dict.fromkeys(table["labels"]))
    several = len(labels) > 1
    field, order = ("labels:N", labels) if several else ("attack:N", names)
    color = alt.Scale(domain=order, range=COLORS[: len(order)])
    dash = alt.Scale(domain=names, range=DASHES[: len(names)])
    rates = alt.Axis(
        values=[10.0**k for k in range(round(math.log10(low)), 1)],
        labelExpr="format(datum.value * 100, '~g') + ' %'",
    )
    log = alt.Scale(type="log", domain=[low, 1.0], clamp=True)
    x = alt.X("x:Q", title="false alarms", scale=log, axis=rates)
    y = share_axis(alt.Y, "tpr", (0.0, 1.0), "victim’s records found", 5)
    guess = np.geomspace(low, 1.0, 50)
    chance = alt.Chart(pd.DataFrame({"x": guess, "tpr": guess})).encode(x=x, y=y)
    lines = alt.Chart(table).mark_line(interpolate="step-after", strokeWidth=1.9)
    legend = alt.Legend(columns=3, symbolType="stroke", symbolOpacity=1)
    curves = lines.encode(
        x=x,
        y=y,
        color=alt.Color(field, scale=color, legend=legend),
        strokeDash=alt.StrokeDash("attack:N", scale=dash, legend=None),
        detail=["attack:N", "labels:N"],
        tooltip=[
            "attack:N",
            "labels:N",
            alt.Tooltip("fpr:Q", title="false alarms", format=".2%"),
            alt.Tooltip("tpr:Q", title="found", format=".2%"),
        ],
    )
    return alt.layer(
        chance.mark_line(color=GREY, strokeDash=[2, 3], strokeWidth=1.2), curves, height=280
    )
