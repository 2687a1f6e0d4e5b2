"""The fronts of a sweep: which strengths of a defense no other beats, and the area they win."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from seepage.attacks import ATTACKS
from seepage.metrics import hypervolume, pareto_front
from seepage.results import FrontPoint, SweepFront, SweepPoint

UNDEFENDED = "none"
STRONGEST = "strongest"

Place = tuple[bool, int]
"""Whether a point is of the series itself, and its strength there: the undefended come first."""

Seen = dict[Place, tuple[float, float]]
"""``(test error, true positive rate)`` by place."""


def sweep_fronts(points: Sequence[SweepPoint]) -> list[SweepFront]:
    """A front for every series and attack, and one for the strongest attack at every point.

    Points are (test error, true positive rate), both costs. The undefended point, where the sweep
    has a series ``none``, is the weakest strength of every series: a defense is at least as good
    as to be switched off. For an attack that adapts to a defense it stands with the attack it is
    made from, since without a defense there is nothing to adapt to.

    The hypervolume is taken seed by seed, its mean and deviation (ddof = 1) over the seeds; the
    front's points are means over the seeds. Only strengths that stand at every seed count: a
    strength that failed with one of them would make its seed look worse than the others.
    """
    series = dict.fromkeys(point.series for point in points)
    return [
        front
        for name in series
        for attack in _attacks([p for p in points if p.series == name])
        if (front := _front(points, name, attack))
    ]


def _attacks(points: Sequence[SweepPoint]) -> list[str]:
    return [*dict.fromkeys(rate.name for p in points for rate in p.attacks), STRONGEST]


def _front(points: Sequence[SweepPoint], series: str, attack: str) -> SweepFront | None:
    settings: dict[Place, dict[str, Any]] = {}
    by_seed: dict[int, Seen] = {}
    for point in points:
        own = point.series == series
        rate = _rate(point, attack)
        if rate is None or not (own or point.series == UNDEFENDED):
            continue
        place = (own, point.strength)
        settings[place] = point.settings
        by_seed.setdefault(point.seed, {})[place] = (point.error, rate)
    seeds = [seen for seen in by_seed.values() if any(own for own, _ in seen)]
    places = sorted(set.intersection(*(set(seen) for seen in seeds))) if seeds else []
    if not any(own for own, _ in places):
        return None
    volumes = [hypervolume([seen[place] for place in places]) for seen in seeds]
    means = {p: np.mean([seen[p] for seen in seeds], axis=0) for p in places}
    return SweepFront(
        series=series,
        attack=attack,
        hypervolume=float(np.mean(volumes)),
        deviation=float(np.std(volumes, ddof=1)) if len(volumes) > 1 else None,
        points=_unbeaten(means, settings),
    )


def _unbeaten(
    means: Mapping[Place, np.ndarray], settings: Mapping[Place, dict[str, Any]]
) -> list[FrontPoint]:
    """The front by ascending error, each point with the weakest settings that reach it."""
    return [
        FrontPoint(
            settings=next(settings[p] for p, at in means.items() if np.array_equal(at, corner)),
            error=float(corner[0]),
            tpr=float(corner[1]),
        )
        for corner in pareto_front(list(means.values()))
    ]


def _rate(point: SweepPoint, attack: str) -> float | None:
    """The rate of an attack at a point; None where it was not run there."""
    rates = {rate.name: rate.tpr.value for rate in point.attacks}
    if attack == STRONGEST:
        return max(rates.values(), default=None)
    plain = ATTACKS[attack].adapts if attack in ATTACKS else ""
    nothing_to_know = not any(name in ATTACKS and ATTACKS[name].adapts for name in rates)
    return rates.get(plain if plain and nothing_to_know else attack)
