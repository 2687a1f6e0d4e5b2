"""The noise configured beside the noise found, in a line, a table and a warning."""

from __future__ import annotations

import math

from seepage.report.wording import count
from seepage.results import NoiseCheck, NoiseRow

SHOWN = 6
"""Rows in the page's table: those that are wrong first, then those nearest their limits."""

MEANING = (
    "What was sent was compared with what it was before the defense, so this is what the code does "
    "and not what it was told to do. Look for noise scaled by another number of clients, a norm "
    "that is not applied, or weights that differ from those the noise was made for. Until it is "
    "mended, no ε of this run means anything."
)


def opened(problem: str) -> str:
    """A problem as a sentence that opens a line."""
    return problem[0].upper() + problem[1:]


def sentence(check: NoiseCheck) -> str:
    """What was compared and found, for a terminal."""
    wrong = [row for row in check.rows if not row.ok]
    said = "as configured" if check.ok else f"{count(len(wrong))} off"
    return (
        f"noise: {count(len(check.rows))} rows checked, {said}; {_noise(check)}; {_clipping(check)}"
    )


def _noise(check: NoiseCheck) -> str:
    """How much there was for what was configured, over the rows that have some."""
    ratios = [row.deviation_found / row.deviation for row in check.rows if row.deviation]
    if not ratios:
        return "none is configured"
    who = "server" if any(row.of == "server" for row in check.rows) else "clients"
    span = f"{min(ratios):.3f}" if len(ratios) == 1 else f"{min(ratios):.3f} to {max(ratios):.3f}"
    return f"deviation found over configured {span}, added by the {who}"


def _clipping(check: NoiseCheck) -> str:
    clients = [row for row in check.rows if row.of != "server"]
    return (
        f"{count(sum(row.factor < 1 for row in clients))} of {count(len(clients))} changes clipped"
    )


def lede(check: NoiseCheck) -> str:
    """The same as a sentence for the page."""
    return opened(f"{_noise(check)}; {_clipping(check)}.")


def rows(check: NoiseCheck) -> list[NoiseRow]:
    """The rows that the page has room for."""
    return sorted(check.rows, key=lambda row: (row.ok, -_off(row)))[:SHOWN]


def _off(row: NoiseRow) -> float:
    """How far a deviation is off in half-widths of its limits."""
    low, high = row.expected
    return abs(row.deviation_found - row.deviation) / max(high - low, math.ulp(1.0))


def span(interval: tuple[float, float]) -> str:
    """``0.0194 to 0.0206``, with as many digits as tell the two apart."""
    low, high = interval
    digits = 3
    while digits < 9 and f"{low:.{digits}g}" == f"{high:.{digits}g}":
        digits += 1
    return f"{low:.{digits}g} to {high:.{digits}g}"


def found(row: NoiseRow) -> str:
    """The noise found; where none is configured, what rounding leaves is no noise."""
    return f"{row.deviation_found:.3g}" if row.deviation or not row.ok else "none"


def clipping(row: NoiseRow) -> str:
    """What clipping makes of the norm; a change within the bound is left as it is."""
    return f"{row.norm * row.factor:.3g}" if row.factor < 1 else "as it is"


def name(row: NoiseRow) -> str:
    """Who a row is about."""
    return "the server" if row.of == "server" else f"client {row.of}"
