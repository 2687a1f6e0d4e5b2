"""Short names for the points of a sweep: the last word of a key, and its value."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from seepage.results import SweepResults

GREEK = {
    "alpha": "α",
    "beta": "β",
    "delta": "δ",
    "epsilon": "ε",
    "gamma": "γ",
    "lambda": "λ",
    "sigma": "σ",
    "target_epsilon": "ε",
}


def varying(results: SweepResults, series: str) -> list[str]:
    """The keys whose value is not the same at every point of a series; see :func:`flat`."""
    settings = [flat(point.settings) for point in results.points if point.series == series]
    keys = dict.fromkeys(key for each in settings for key in each)
    return [key for key in keys if len({str(each.get(key)) for each in settings}) > 1]


def flat(value: Any, key: str = "") -> dict[str, Any]:
    """Settings with a key for each plain value: ``parts: [{share: 0.5}]`` is ``parts.0.share``.

    A list of plain values is one value.
    """
    match value:
        case Mapping():
            inner = [(str(name), each) for name, each in value.items()]
        case list() | tuple() if not is_plain(value):
            inner = [(str(place), each) for place, each in enumerate(value)]
        case _:
            return {key: value}
    found: dict[str, Any] = {}
    for name, each in inner:
        found |= flat(each, f"{key}.{name}" if key else name)
    return found


def is_plain(values: Sequence[Any]) -> bool:
    """Whether a list holds no list and no table."""
    return not any(isinstance(each, Mapping | list | tuple) for each in values)


def point_name(settings: Mapping[str, Any], keys: Sequence[str]) -> str:
    """``σ=0.05``, or ``α=1, share=0.5``: the given keys of the flat settings, and their values.

    A semicolon stands between them where a value is a list: ``labels=1, 2; β=1``.
    """
    values = flat(settings)
    names = {key: value_name(values[key]) for key in keys if key in values}
    return joined([f"{key_name(key, keys)}={name}" for key, name in names.items()])


def joined(names: Sequence[str]) -> str:
    """One after the other, with semicolons where a comma is part of a name."""
    return ("; " if any(", " in name for name in names) else ", ").join(names)


def key_name(key: str, others: Sequence[str] = ()) -> str:
    """The last part of a dotted key; with the part before it where two keys end alike."""
    parts = key.split(".")
    alike = [other for other in others if other != key and other.split(".")[-1] == parts[-1]]
    return ".".join(parts[-2:]) if alike else GREEK.get(parts[-1], parts[-1])


def value_name(value: Any) -> str:
    """A plain value in few letters: ``0.05``, ``∞``, ``yes``; a list is ``1, 1, 2``."""
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case int() | float():
            return "∞" if value == math.inf else _number(value)
        case list() | tuple():
            return ", ".join(value_name(each) for each in value) or "none"
        case _:
            return str(value)


def _number(value: float) -> str:
    """As short as it goes: ``1e-05`` is ``1e-5``, and ``100000`` is ``1e5``."""
    plain, power = f"{value:.10g}", re.sub(r"\.?0*e", "e", f"{value:.9e}")
    short = power if abs(value) >= 1e5 and len(power) <= len(plain) + 2 else plain
    return re.sub(r"e([+-])0*", lambda found: "e" + found[1].strip("+"), short)
