"""The page: everything it says, gathered, and laid into the template."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from seepage.report import (
    adaptive,
    aggregate,
    claim,
    labels_section,
    noise,
    reading,
    users_section,
    verdict,
    wording,
)
from seepage.report.chosen import unresolved
from seepage.report.curves import exposure
from seepage.report.html import Drawn, render
from seepage.report.pictures import cards
from seepage.report.spread import auc_spread
from seepage.report.users import first_findings

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from seepage.records import Block
    from seepage.report.reading import Lead
    from seepage.results import AttackRow, BlindRow, Interval, Rate, Results

ROWS = 12
"""Attacks against many models that stand in the open; the weaker ones are folded away."""

ROWS_BESIDE = 5
"""The same for a block that does not lead."""

WORDS = {"c": claim, "noise": noise, "beside": labels_section}
"""Modules that the template takes words from."""

OFF = 12
"""Blind checks off chance that are listed, where many models were audited."""


def page(
    results: Results,
    scores: pd.DataFrame,
    figures: Drawn,
    pictures: Mapping[int, np.ndarray] | None,
    labels: Mapping[int, str] | None,
    reconstructions: Mapping[int, np.ndarray] | None = None,
) -> str:
    """The whole page as HTML; ``figures`` are charts with their SVG, by name."""
    lead = reading.lead(results)
    context: dict[str, Any] = {
        "r": results,
        "study": results.study,
        "title": results.study.get("name") or "audit",
        "level": f"{100 * reading.confidence(results):g} %",
        "redrawn": reading.is_redrawn(results),
        "caveat": verdict.caveat(results),
        "opening": first_findings(results),
        "verdicts": verdict.all_verdicts(results),
        "lead": lead,
        "failing": reading.failing(results),
        "settings": settings(results.study),
        "facts": facts(results, lead),
        "unit": reading.unit(results),
        "alarm": claim.alarm(results.claim),
        **WORDS,
    }
    if lead is not None:
        table = exposure(scores, lead.best.name, lead.target, lead.block)
        points = reading.operating_points(lead.rows)
        tnr = float(lead.chosen_tnr.at) if lead.chosen_tnr else None
        context |= {
            "failing_lead": reading.failing(results, lead.block),
            "points": points,
            "tnr": tnr,
            "columns": 4 + len(points) + (tnr is not None) + (lead.unit == "client"),
            "note": "" if lead.chosen else unresolved(lead),
            "blocks": blocks(results, lead),
            "blind": blind(results, lead),
            "labels": labels_section.section(results, lead),
            "cards": cards(table, pictures, labels),
            "hidden": aggregate.hidden(results),
            "known": adaptive.known(results),
            "users": users_section.section(results, figures, reconstructions),
            "source": users_section.source_section(results, figures),
            "figures": users_section.other_figures(results, figures),
        }
    return render("report.html", figures, context)


def facts(results: Results, lead: Lead | None) -> list[tuple[str, str]]:
    """What was audited, in a line: name and value."""
    study = results.study
    data, federation = study.get("data") or {}, study.get("federation") or {}
    models = (study.get("reference") or {}).get("models")
    trained = [("clients", data.get("clients")), ("rounds", federation.get("rounds"))]
    if models:
        trained = [("models", models), ("epochs", _epochs(federation))]
    pairs = [
        ("data", data.get("name")),
        ("model", (study.get("model") or {}).get("name")),
        *trained,
        ("defense", (study.get("defense") or {}).get("name")),
    ]
    if lead is not None:
        members = "member pairs" if models and lead.target == "all" else "members"
        pairs.append((members, wording.count(lead.best.n_members)))
        pooled = "non-member pairs" if lead.target == "all" else "non-members"
        pairs.append((pooled, wording.count(lead.best.n_nonmembers)))
    if (utility := results.utility) is not None:
        if models:
            pairs.insert(0, ("training accuracy", f"{wording.percent(utility.train_accuracy)} %"))
        test = wording.accuracy(utility.test_accuracy, utility.test_deviation)
        pairs.insert(1 if models else len(pairs), ("test accuracy", test))
    return [(name, str(value)) for name, value in pairs if value is not None]


def _epochs(federation: Mapping[str, Any]) -> int | None:
    """Passes over the data in all rounds together."""
    rounds = federation.get("rounds")
    return None if rounds is None else rounds * federation.get("local_epochs", 1)


def blocks(results: Results, lead: Lead) -> list[dict[str, Any]]:
    """The table of attacks, one part for each block of non-members, the leading one first."""
    names: list[Block] = [lead.block, *(name for name in reading.BLOCK_ORDER if name != lead.block)]
    parts = [reading.select(results, name, lead.target) for name in names]
    axis = Axis([row.auc_interval for rows in parts for row in rows])
    return [_block(results, lead, rows, axis) for rows in parts if rows]


def _block(results: Results, lead: Lead, rows: list[AttackRow], axis: Axis) -> dict[str, Any]:
    """A part of the table: its rows in the open, and those that are folded away."""
    room = len(rows)
    if lead.unit == "model":
        room = ROWS if rows[0].block == lead.block else ROWS_BESIDE
    tnr = [_tnr(lead, row) for row in rows]
    lines = [_line(results, lead, row) for row in rows]
    return {
        "block": rows[0].block,
        "best": rows[0],
        "axis": axis,
        "blank": _blank(rows),
        "blank_tnr": not any(rate.resolved for rate in tnr if rate),
        "rows": lines[:room],
        "rest": lines[room:],
    }


def _tnr(lead: Lead, row: AttackRow) -> Rate | None:
    return reading.rate_at(row, lead.chosen_tnr.at, "tnr_at_fnr") if lead.chosen_tnr else None


def _line(results: Results, lead: Lead, row: AttackRow) -> dict[str, Any]:
    """What the table of attacks says of one row."""
    return {
        "row": row,
        "rates": _rates(row),
        "tnr": _tnr(lead, row),
        "spread": auc_spread(results, row) if lead.unit == "model" else None,
        "tag": _tag(lead, row),
    }


def _tag(lead: Lead, row: AttackRow) -> str:
    """Whether this is the chosen attack, the best with the answer in hand, or both."""
    if lead.chosen is None or row.block != lead.block:
        return ""
    taken = row.name in lead.chosen.chosen.split(", ")
    best = row.name == lead.chosen.oracle
    if taken:
        return "chosen and best" if best else "chosen"
    return "best in hand" if best else ""


def _blank(rows: list[AttackRow]) -> set[float]:
    """Operating points that no row of a block resolves: one cell says so for all of them."""
    points = reading.operating_points(rows)
    return {
        fpr
        for fpr in points
        if not any(rate.resolved for row in rows for at, rate in _rates(row).items() if at == fpr)
    }


def _rates(row: AttackRow) -> dict[float, Rate]:
    return {float(key): rate for key, rate in row.tpr_at_fpr.items()}


def blind(results: Results, lead: Lead) -> dict[str, Any]:
    """The blind rows: those off chance and those of the verdict itself first, then the rest.

    Of many models the checks of single ones that are at chance are counted, not listed; where all
    checks are of single models, those of the first stand for them.
    """
    many, checked = lead.unit == "model" and lead.target == "all", results.blind.rows
    single = [row.target for row in checked if row.target != "all"]
    first = {min(single)} if many and 0 < len(checked) == len(single) else set()
    spokes = {lead.target} | first

    def near(row: BlindRow) -> bool:
        beside = row.block == lead.block and row.target in spokes
        return not row.ok or (beside and row.of in (None, lead.best.name))

    everything = sorted(results.blind.rows, key=lambda row: (row.ok, row.target != "all"))
    rows, hidden = everything, []
    if many:
        off = [row for row in everything if not row.ok][:OFF]
        shown = [row for row in everything if row.ok and (row.target == "all" or near(row))]
        rows = off + shown
        hidden = everything[OFF:] if len(off) == OFF else everything[len(off) :]
        hidden = [row for row in hidden if row not in shown]
    return {
        "near": [row for row in rows if near(row)],
        "rest": [row for row in rows if not near(row)],
        "hidden": hidden,
        "hidden_off": sum(not row.ok for row in hidden),
        "axis": Axis([row.auc_interval for row in rows]),
    }


class Axis:
    """A shared scale for intervals drawn in a table's cells, in per cent of the cell's width."""

    def __init__(self, intervals: list[Interval]) -> None:
        """From the tenth at or below the lowest bound to the one at or above the highest."""
        self.low = min([4, *(math.floor(10 * low) for low, _ in intervals)]) / 10
        self.high = max([6, *(math.ceil(10 * high) for _, high in intervals)]) / 10

    def at(self, value: float) -> float:
        """Where a value lies."""
        return round(100 * (value - self.low) / (self.high - self.low), 2)


def settings(study: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """The study, section by section; what stands outside every section comes first."""
    loose = {key: value for key, value in study.items() if not isinstance(value, Mapping)}
    sections = {"study": loose} | {k: v for k, v in study.items() if isinstance(v, Mapping)}
    return [(name, list(_flat(values))) for name, values in sections.items() if values]


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, _shown(value)


def _shown(value: Any) -> str:
    if value is None or value in ({}, []):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(str(each) for each in value)
    return str(value)
