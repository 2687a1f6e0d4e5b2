"""The page: everything it says, gathered, and laid into the template."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from seepage.report import reading, verdict, wording
from seepage.report.curves import exposure
from seepage.report.figure import Figure, vega_lite
from seepage.report.pictures import cards

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from seepage.records import Block
    from seepage.report.reading import Lead
    from seepage.results import AttackRow, BlindRow, Interval, Rate, Results


def page(
    results: Results,
    scores: pd.DataFrame,
    figures: Mapping[str, tuple[Figure, str]],
    pictures: Mapping[int, np.ndarray] | None,
    labels: Mapping[int, str] | None,
) -> str:
    """The whole page as HTML; ``figures`` are charts with their SVG, by name."""
    from markupsafe import Markup

    lead = reading.lead(results)
    context: dict[str, Any] = {
        "r": results,
        "study": results.study,
        "title": results.study.get("name") or "audit",
        "level": f"{100 * reading.confidence(results):g} %",
        "redrawn": reading.is_redrawn(results),
        "caveat": verdict.caveat(results),
        "verdicts": verdict.all_verdicts(results),
        "lead": lead,
        "failing": reading.failing(results),
        "settings": settings(results.study),
        "facts": facts(results, lead),
        "figures": list(figures.values()),
        "w": wording,
        "script": Markup(_script(figures)),  # ours, and data that cannot close the tag
    }
    if lead is not None:
        table = exposure(scores, lead.best.name, lead.target, lead.block)
        context |= {
            "failing_lead": reading.failing(results, lead.block),
            "points": reading.operating_points(lead.rows),
            "blocks": blocks(results, lead),
            "blind": blind(results, lead),
            "cards": cards(table, pictures, labels),
        }
    return _environment().get_template("report.html").render(context)


def _environment() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup, escape

    def unbroken(text: str) -> Markup:
        """A number and its sign stay on one line, and so do the ends of an interval."""
        text = re.sub(r"(\[[\d.]+), ", "\\1,\N{NO-BREAK SPACE}", text)
        return Markup(escape(text.replace(" %", "\N{NO-BREAK SPACE}%")))

    environment = Environment(
        loader=PackageLoader("seepage.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters["unbroken"] = unbroken
    environment.filters["base64"] = lambda text: base64.b64encode(text.encode()).decode()
    return environment


def _script(figures: Mapping[str, tuple[Figure, str]]) -> str:
    """Vega's scripts, once, and the charts as data. ``<`` is written so that no tag can close."""
    if not figures:
        return ""
    import vl_convert

    specs = {name: figure.spec() for name, (figure, _) in figures.items()}
    data = json.dumps(specs, separators=(",", ":")).replace("<", "\\u003c")
    draw = (
        f"const charts = {data};\n"
        "for (const [name, spec] of Object.entries(charts)) vegaEmbed("
        "document.getElementById('chart-' + name), spec,"
        " {mode: 'vega-lite', renderer: 'svg', actions: false, tooltip: {theme: 'custom'}});"
    )
    # The stub of vl-convert does not know that the snippet may be left out.
    bundle = vl_convert.javascript_bundle(vl_version=vega_lite())  # pyright: ignore[reportCallIssue]
    return bundle + "\n" + draw


def facts(results: Results, lead: Lead | None) -> list[tuple[str, str]]:
    """What was audited, in a line: name and value."""
    study = results.study
    data, federation = study.get("data") or {}, study.get("federation") or {}
    pairs = [
        ("data", data.get("name")),
        ("model", (study.get("model") or {}).get("name")),
        ("clients", data.get("clients")),
        ("rounds", federation.get("rounds")),
        ("defense", (study.get("defense") or {}).get("name")),
    ]
    if lead is not None:
        pairs.append(("members", wording.count(lead.best.n_members)))
        pooled = "non-member pairs" if lead.target == "all" else "non-members"
        pairs.append((pooled, wording.count(lead.best.n_nonmembers)))
    if results.utility is not None:
        pairs.append(("test accuracy", f"{wording.percent(results.utility.test_accuracy)} %"))
    return [(name, str(value)) for name, value in pairs if value is not None]


def blocks(results: Results, lead: Lead) -> list[dict[str, Any]]:
    """The table of attacks, one part for each block of non-members, the leading one first."""
    names: list[Block] = [lead.block, *(name for name in reading.BLOCK_ORDER if name != lead.block)]
    parts = [(name, reading.select(results, name, lead.target)) for name in names]
    axis = Axis([row.auc_interval for _, rows in parts for row in rows])
    return [
        {"block": name, "best": rows[0], "rows": [(row, _rates(row), axis) for row in rows]}
        | {"blank": _blank(rows)}
        for name, rows in parts
        if rows
    ]


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
    """The blind rows: those off chance and those of the verdict itself first, then the rest."""

    def near(row: BlindRow) -> bool:
        beside = (row.block, row.target) == (lead.block, lead.target)
        return not row.ok or (beside and row.of in (None, lead.best.name))

    rows = sorted(results.blind.rows, key=lambda row: row.ok)
    return {
        "near": [row for row in rows if near(row)],
        "rest": [row for row in rows if not near(row)],
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
