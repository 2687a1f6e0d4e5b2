"""What every page is made with: the templates, and the scripts that draw its charts."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from seepage.report import wording
from seepage.report.figure import Figure, vega_lite

if TYPE_CHECKING:
    from markupsafe import Markup

Drawn = Mapping[str, tuple[Figure, str]]
"""Charts with their SVG, by name."""


def render(template: str, figures: Drawn, context: Mapping[str, Any]) -> str:
    """A page as HTML: a template with its words, its charts and the scripts that draw them."""
    from markupsafe import Markup

    shared = {
        "w": wording,
        "figures": list(figures.values()),
        "script": Markup(_script(figures)),  # ours, and data that cannot close the tag
    }
    return _environment().get_template(template).render({**shared, **context})


def _environment() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("seepage.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters["unbroken"] = _unbroken
    environment.filters["base64"] = lambda text: base64.b64encode(text.encode()).decode()
    return environment


def _unbroken(text: str) -> Markup:
    """A number and its sign stay on one line, and so do the ends of an interval."""
    from markupsafe import Markup, escape

    text = re.sub(r"(\[[\d.]+), ", "\\1,\N{NO-BREAK SPACE}", text)
    return Markup(escape(text.replace(" %", "\N{NO-BREAK SPACE}%")))


def _script(figures: Drawn) -> str:
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
