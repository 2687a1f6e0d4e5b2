"""A chart with its words, and the look that all charts share."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import altair as alt

    Chart = alt.LayerChart | alt.FacetChart | alt.ConcatChart

# Okabe and Ito's palette, safe for colour-blind readers; dashes tell lines apart in grey print.
COLORS = ["#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00"]
DASHES = [[1, 0], [8, 3], [2, 2], [8, 3, 2, 3], [4, 4]]
GREY = "#9aa0a6"
WIDTH = 560

_FONT = "Helvetica Neue, Helvetica, Arial, sans-serif"
_AXIS = {
    "labelColor": "#4a5058",
    "titleColor": "#24282d",
    "gridColor": "#e4e6e9",
    "domainColor": "#b6bbc1",
    "tickColor": "#b6bbc1",
    "labelFontSize": 12,
    "titleFontSize": 12,
    "titleFontWeight": "normal",
    "titlePadding": 8,
}
_LEGEND = {
    "orient": "top",
    "title": None,
    "labelColor": "#24282d",
    "labelFontSize": 12,
    "labelLimit": 190,
    "symbolSize": 300,
    "symbolStrokeWidth": 2.5,
}
_LOOK = {"font": _FONT, "axis": _AXIS, "legend": _LEGEND, "view": {"stroke": None}}


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A chart with what must stand beside it.

    Attributes:
        name: File name without its ending.
        title: What it is.
        alt: What a reader who cannot see it should know.
        caption: How to read it.
        chart: The chart, without a width; one of several panels has widths of its own.
        hover: What only a page that follows the pointer needs on top of it.
    """

    name: str
    title: str
    alt: str
    caption: str
    chart: Chart
    hover: alt.Chart | None = None

    def spec(self) -> dict[str, Any]:
        """Vega-Lite for the page, as wide as the element it stands in."""
        chart = self.chart if self.hover is None else self.chart + self.hover
        return self._vega_lite(chart, "container")

    def svg(self) -> str:
        """The chart as a picture of its own."""
        import vl_convert

        spec = self._vega_lite(self.chart, WIDTH)
        return vl_convert.vegalite_to_svg(json.dumps(spec), vl_version=vega_lite())

    def _vega_lite(self, chart: Chart, width: int | str) -> dict[str, Any]:
        import altair as alt

        # Panels bring widths of their own: Vega-Lite lets only a single view follow its element.
        wide = {} if isinstance(chart, alt.ConcatChart) else {"width": width}
        chart = chart.properties(**wide, description=self.alt, background="transparent")
        # No $schema: it is an address, and the page names none.
        spec = chart.configure(**_LOOK).to_dict()
        del spec["$schema"]
        return spec


def vega_lite() -> str:
    """The version of Vega-Lite that Altair writes, as vl-convert names it."""
    import altair as alt

    return ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
