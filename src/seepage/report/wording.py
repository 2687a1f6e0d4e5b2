"""Numbers as people read them: the same everywhere, in the page, the terminal and the sentences."""

from __future__ import annotations

import math
from typing import Literal

from seepage.records import AdversaryName, Block
from seepage.results import AttackRow, BlindRow, Interval

LANDMARKS = (0.0, 0.5, 1.0)

Unit = Literal["client", "model"]
"""What a target is called: a client of a federation, or one of many models."""

ADVERSARIES: dict[AdversaryName, str] = {
    "server": "The server",
    "aggregate": "A server under secure aggregation",
    "participant": "A participant",
    "querier": "Anyone who may query the final model",
}
BLOCKS: dict[tuple[Unit, Block], str] = {
    ("client", "held_out"): "records nobody trained on",
    ("client", "mix"): "records nobody trained on and records of other clients, mixed",
    ("client", "others"): "records of other clients",
    ("model", "held_out"): "records the model was not trained on",
    ("model", "canaries"): "non-members, canaries alone",
}
BLOCK_NAMES: dict[tuple[Unit, Block], str] = {
    ("client", "held_out"): "held-out records",
    ("client", "mix"): "both mixed",
    ("client", "others"): "other clients’ records",
    ("model", "held_out"): "records left out",
    ("model", "canaries"): "canaries left out",
}
BLIND = {
    "blind_label": "guesses from the label alone",
    "blind_input": "a classifier that sees the record and never the model",
    "placebo": "held-out records called members",
}


def who(name: AdversaryName, unit: Unit) -> str:
    """Who, at the beginning of a sentence. Among many models there is no final one."""
    return ADVERSARIES[name] if unit == "client" else ADVERSARIES[name].replace("final ", "")


def inside(words: str) -> str:
    """Words that could begin a sentence, in the middle of one."""
    return words[0].lower() + words[1:]


def fixed(values: tuple[float, ...], digits: int) -> list[str]:
    """The values with ``digits`` decimals, or more while one would read 0, 0.5 or 1 and is not.

    So 0.5004 does not stand as 0.50, a bound that includes chance where it does not.
    """
    while digits < 6 and any(
        round(x, digits) in LANDMARKS and abs(x - round(x, digits)) > 1e-9 for x in values
    ):
        digits += 1
    return [f"{x:.{digits}f}" for x in values]


def with_interval(value: float, interval: Interval, digits: int = 2) -> str:
    """``0.56 [0.54, 0.59]``, all three with the same number of decimals."""
    shown, low, high = fixed((value, *interval), digits)
    return f"{shown} [{low}, {high}]"


def percent(rate: float) -> str:
    """A rate as per cent without the sign, in two significant decimals where it is small."""
    hundred = 100.0 * rate
    if hundred == 0.0 or hundred >= 99.95:
        return f"{hundred:.4g}"
    return f"{hundred:.1f}" if hundred >= 0.095 else f"{hundred:.1g}"


def point(fpr: float) -> str:
    """An operating point as people say it: ``1 %``, ``0.1 %``."""
    return f"{100.0 * fpr:.6g} %"


def count(number: int) -> str:
    """Thousands apart: ``1,000``."""
    return f"{number:,}"


def needed(fpr: float) -> int:
    """Non-members needed to express the operating point: the smallest n with ``1 / n <= fpr``."""
    return math.ceil(1.0 / fpr - 1e-9)


def needs(fpr: float) -> str:
    """What stands in a cell that the sample cannot fill."""
    return f"needs {count(needed(fpr))} non-members"


def target_name(target: int | str, unit: Unit) -> str:
    """``client 3``, ``all clients`` or ``anyone``; ``model 3``, or ``all models``."""
    if target == "any":
        return "anyone"
    return f"all {unit}s" if target == "all" else f"{unit} {target}"


def sizes(row: AttackRow | BlindRow, unit: Unit) -> str:
    """How much stands behind a row. Pooled, a record is asked about once for each target."""
    members, others = count(row.n_members), count(row.n_nonmembers)
    if row.target != "all":
        return f"{members} members, {others} non-members"
    if unit == "client":
        return f"{members} members, {others} pairs of a non-member and a client"
    return f"{members} pairs of a member and a model, {others} of a non-member and a model"


def accuracy(value: float, deviation: float | None) -> str:
    """``60.1 % ± 0.4``: the mean over models and the deviation between them, in points."""
    spread = "" if deviation is None else f" ± {100.0 * deviation:.1f}"
    return f"{percent(value)} %{spread}"


def shares(value: float, interval: Interval) -> list[str]:
    """A rate and its interval as per cent without the sign, all with the same decimals.

    One decimal, two below 1 %, and more while a value that is not 0 would read as 0.
    """
    values = [100.0 * x for x in (value, *interval)]
    digits = 1 if values[0] >= 1.0 else 2
    while digits < 6 and 0.0 < values[0] < 0.5 * 10.0**-digits:
        digits += 1
    return [f"{x:.{digits}f}" if x else "0" for x in values]


def rate(value: float, interval: Interval) -> str:
    """``12.3 % [11.9, 12.8]``."""
    shown, low, high = shares(value, interval)
    return f"{shown} % [{low}, {high}]"


def seconds(value: float) -> str:
    """A duration at a glance: ``0.4 s``, ``41 s``, ``3 min 5 s``, ``2 h 10 min``."""
    if value < 10:
        return f"{value:.1f} s"
    if value < 119.5:
        return f"{value:.0f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 120:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
