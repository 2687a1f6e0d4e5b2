"""Numbers as people read them: the same everywhere, in the page, the terminal and the sentences."""

from __future__ import annotations

import math

from seepage.records import AdversaryName, Block
from seepage.results import AttackRow, BlindRow, Interval

LANDMARKS = (0.0, 0.5, 1.0)

ADVERSARIES: dict[AdversaryName, str] = {
    "server": "The server",
    "aggregate": "A server under secure aggregation",
    "participant": "A participant",
    "querier": "Anyone who may query the final model",
}
BLOCKS: dict[Block, str] = {
    "held_out": "records nobody trained on",
    "mix": "records nobody trained on and records of other clients, mixed",
    "others": "records of other clients",
}
BLOCK_NAMES: dict[Block, str] = {
    "held_out": "held-out records",
    "mix": "both mixed",
    "others": "other clients’ records",
}
BLIND = {
    "blind_label": "guesses from the label alone",
    "blind_input": "a classifier that sees the record and never the model",
    "placebo": "held-out records called members",
}


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


def target_name(target: int | str) -> str:
    """``client 3``, or ``all clients``."""
    return "all clients" if target == "all" else f"client {target}"


def sizes(row: AttackRow | BlindRow) -> str:
    """How much stands behind a row. Pooled, a record is asked about once for each client."""
    pairs = "pairs of a non-member and a client" if row.target == "all" else "non-members"
    return f"{count(row.n_members)} members, {count(row.n_nonmembers)} {pairs}"


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
