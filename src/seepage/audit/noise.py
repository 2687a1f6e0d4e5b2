"""Whether the noise really added is the noise configured: collected by round, judged at the end."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from seepage.federation.turns import SERVER
from seepage.observe.noise import Found, Limits, find_noise, limits, right_weight
from seepage.results import NoiseCheck, NoiseRow

if TYPE_CHECKING:
    from seepage.protocols import NoisedUpdate
    from seepage.records import Round, State

ERROR = 1e-3
"""Probability that a run which does what is configured is accused, over all its rows together."""

TINY = 1e-30
"""Stands for no noise where ratios are compared."""


class NoiseWatch:
    """Recomputes clipping and noise of the observed rounds, where nothing else acts on updates.

    Args:
        noise: What the defense promises, if it promises anything.
        lines: Rounds that are committed already, with what was found in them.
        memory: What everyone kept from the last of them.
    """

    def __init__(
        self,
        noise: NoisedUpdate | None,
        lines: Iterable[Mapping[str, Any]],
        memory: Mapping[str, State],
    ) -> None:
        self.noise = noise if noise is not None and noise.alone else None
        self.found: dict[int, list[Found]] = {
            line["round"]: [Found(**row) for row in line["noise"]]
            for line in lines
            if "noise" in line
        }
        self._told: State = memory.get(SERVER, {})

    def __call__(self, what: Round, *, observed: bool) -> dict[str, Any]:
        """Take note of a round; what its committed line is to say of it."""
        told, self._told = self._told, what.memory.get(SERVER, {})
        if self.noise is None or not observed:
            return {}
        self.found[what.number] = find_noise(what, self.noise, told)
        return {"noise": [asdict(row) for row in self.found[what.number]]}

    def check(self) -> NoiseCheck | None:
        """The judgement on all rounds; None where there is nothing to judge."""
        return check_noise(self.found) if self.found else None


def check_noise(found: Mapping[int, list[Found]], *, error: float = ERROR) -> NoiseCheck:
    """Every row beside what chance allows it, at an ``error`` that rows with noise share evenly.

    Without noise there is nothing random: such a row stands within rounding, or it is wrong.
    """
    noisy = sum(row.deviation > 0 for rows in found.values() for row in rows)
    each = error / (2 * max(1, noisy))
    judged = [(t, row, limits(row, error=each)) for t in sorted(found) for row in found[t]]
    problems = _problems(judged)
    return NoiseCheck(
        ok=not problems, error=error, rows=[_row(*one) for one in judged], problems=problems
    )


def _row(number: int, row: Found, chance: Limits) -> NoiseRow:
    return NoiseRow(
        round=number,
        of=row.of,
        norm=row.norm,
        factor=row.factor,
        factor_found=row.factor_found,
        factor_expected=chance.factor,
        deviation=row.deviation,
        deviation_found=row.deviation_found,
        expected=chance.deviation,
        weight=row.weight,
        weight_found=row.weight_found,
        ok=not any(fault(row, chance) for fault, _ in KINDS),
    )


def _problems(judged: list[tuple[int, Found, Limits]]) -> list[str]:
    """A sentence for each kind of fault, clients' and server's, about the worst row that has it."""
    said = []
    for server in (False, True):
        rows = [one for one in judged if (one[1].of == "server") is server]
        for fault, words in KINDS:
            wrong = [(size, number, row) for number, row, c in rows if (size := fault(row, c))]
            if wrong:
                _, number, row = max(wrong, key=lambda one: one[0])
                more = f" ({len(wrong) - 1} more like it)" if len(wrong) > 1 else ""
                said.append(f"{words(number, row)}{more}.")
    return said


def _factor(row: Found, chance: Limits) -> float:
    """How far a factor is off; 0 where chance allows it."""
    low, high = chance.factor
    return 0.0 if low <= row.factor_found <= high else abs(row.factor_found - row.factor)


def _deviation(row: Found, chance: Limits) -> float:
    """The same of a deviation, on a scale of ratios."""
    low, high = chance.deviation
    if low <= row.deviation_found <= high:
        return 0.0
    return abs(math.log(max(row.deviation_found, TINY) / max(row.deviation, TINY)))


def _weight(row: Found, _: Limits) -> float:
    """The same of a weight."""
    if row.weight is None or row.weight_found is None or right_weight(row):
        return 0.0
    return abs(row.weight_found - row.weight)


def _factor_words(number: int, row: Found) -> str:
    if row.of == "server":
        return f"the server multiplies the mean of round {number} by {row.factor_found:.3g}"
    change = f"client {row.of}'s change in round {number}, of norm {row.norm:.3g}, is multiplied"
    rule = f"clipping to {row.clip:.3g} multiplies it by {row.factor:.3g}"
    return f"{change} by {row.factor_found:.3g} where {rule}"


def _deviation_words(number: int, row: Found) -> str:
    whose = "the server's" if row.of == "server" else f"client {row.of}'s"
    noise = f"{whose} noise in round {number} has deviation {row.deviation_found:.3g}"
    if not row.deviation:
        return f"{noise} where none is configured"
    ratio = row.deviation_found / row.deviation
    return f"{noise} where {row.deviation:.3g} is configured: {ratio:.3g} of it"


def _weight_words(number: int, row: Found) -> str:
    return (
        f"the mean of round {number} gives client {row.of} a weight of {row.weight_found:.3g}, "
        f"not {row.weight:.3g}"
    )


KINDS: list[tuple[Callable[[Found, Limits], float], Callable[[int, Found], str]]] = [
    (_factor, _factor_words),
    (_deviation, _deviation_words),
    (_weight, _weight_words),
]
