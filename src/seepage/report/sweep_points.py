"""A sweep's runs as points of a trade-off: the strengths of a series, means over their seeds."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from seepage.report.sweep_names import point_name, varying
from seepage.results import Interval, SweepFront, SweepPoint, SweepRate, SweepResults

UNDEFENDED = "none"
"""The series whose runs have no defense."""

STRONGEST = "strongest"
"""Not an attack's name: at every run the attack that did best in it."""

By = Literal["tpr", "auc"]


@dataclass(frozen=True, kw_only=True)
class Mean:
    """A number over the seeds of a strength.

    Attributes:
        value: Mean over the seeds.
        low: Its reach downwards: the deviation between the seeds, or the mean of the runs' own
            intervals, whichever is wider.
        high: Its reach upwards.
        deviation: Sample deviation between the seeds; None for one seed.
    """

    value: float
    low: float
    high: float
    deviation: float | None

    def below(self, other: Mean) -> bool:
        """Whether it is smaller by more than both reaches."""
        return self.high < other.low


def mean(values: Sequence[float], intervals: Sequence[Interval] = ()) -> Mean:
    """The mean of shares in [0, 1], of which each may have an interval of its own."""
    middle = statistics.fmean(values)
    deviation = statistics.stdev(values) if len(values) > 1 else None
    low, high = middle - (deviation or 0.0), middle + (deviation or 0.0)
    if intervals:
        low = min(low, statistics.fmean(interval[0] for interval in intervals))
        high = max(high, statistics.fmean(interval[1] for interval in intervals))
    return Mean(value=middle, low=max(0.0, low), high=min(1.0, high), deviation=deviation)


@dataclass(frozen=True, kw_only=True)
class Strength:
    """One setting of a series: its runs, one a seed.

    For ``STRONGEST``, every run stands with the attack that did best in it. That choice needs the
    answer, so no adversary could have made it.
    """

    series: str
    name: str
    settings: dict[str, Any]
    runs: tuple[SweepPoint, ...]

    @property
    def error(self) -> Mean:
        """Test error of the final model."""
        return mean([run.error for run in self.runs])

    @property
    def accuracy(self) -> Mean:
        """Test accuracy of the final model."""
        return mean([run.test_accuracy for run in self.runs])

    @property
    def train_accuracy(self) -> Mean:
        """Accuracy on the training records."""
        return mean([run.train_accuracy for run in self.runs])

    def tpr(self, attack: str = STRONGEST) -> Mean | None:
        """Share of members found; None where a run does not resolve the operating point."""
        rates = [rate.tpr for rate in self._picked(attack, "tpr")]
        if not rates or not all(rate.resolved for rate in rates):
            return None
        return mean([rate.value for rate in rates], [rate.interval for rate in rates])

    def auc(self, attack: str = STRONGEST) -> Mean | None:
        """Area under the ROC; None where the attack was not run."""
        rates = self._picked(attack, "auc")
        if not rates:
            return None
        return mean([rate.auc for rate in rates], [rate.auc_interval for rate in rates])

    def within_auc(self, attack: str = STRONGEST) -> Mean | None:
        """Area among records of the same label, of the attack with the highest area or a named."""
        found = [rate.within_auc for rate in self._picked(attack, "auc")]
        known = [value for value in found if value is not None]
        return mean(known) if known else None

    @property
    def label_auc(self) -> Mean | None:
        """What knowing the labels reaches without a model, where it was measured."""
        known = [run.label_auc for run in self.runs if run.label_auc is not None]
        return mean(known) if known else None

    def attacks(self, by: By) -> str:
        """The attacks that did best in the runs, the most frequent first: ``a``, ``a, b``."""
        best = Counter(rate.name for rate in self._picked(STRONGEST, by))
        return ", ".join(name for name, _ in best.most_common())

    def claimed(self) -> float | None:
        """The largest ε that a run of it claims, if any does."""
        known = [run.claimed_epsilon for run in self.runs if run.claimed_epsilon is not None]
        return max(known, default=None)

    def _picked(self, attack: str, by: By) -> list[SweepRate]:
        """The row of each run that stands for an attack."""
        rows = []
        for run in self.runs:
            own = [row for row in run.attacks if attack in (row.name, STRONGEST)]
            rows += sorted(own, key=lambda row: -_size(row, by))[:1]
        return rows


def _size(row: SweepRate, by: By) -> float:
    return row.auc if by == "auc" else row.tpr.value


def strengths(results: SweepResults, series: str | None = None) -> list[Strength]:
    """Every strength, or those of one series: by series as they came, then by strength."""
    groups: dict[tuple[str, int], list[SweepPoint]] = {}
    for point in results.points:
        if series in (None, point.series):
            groups.setdefault((point.series, point.strength), []).append(point)
    order = list(dict.fromkeys(point.series for point in results.points))
    keys = {name: varying(results, name) for name in order}
    return [
        Strength(
            series=name,
            name=_called(name, groups[name, place][0].settings, keys[name]),
            settings=groups[name, place][0].settings,
            runs=tuple(sorted(groups[name, place], key=lambda run: run.seed)),
        )
        for name, place in sorted(groups, key=lambda key: (order.index(key[0]), key[1]))
    ]


def _called(series: str, settings: dict[str, Any], keys: list[str]) -> str:
    if series == UNDEFENDED:
        return "undefended"
    return point_name(settings, keys) or series


def defended(results: SweepResults) -> list[str]:
    """The series but the undefended one, as they came."""
    names = dict.fromkeys(point.series for point in results.points)
    return [name for name in names if name != UNDEFENDED]


def undefended(results: SweepResults) -> Strength | None:
    """The runs with no defense, if the sweep has any."""
    return next(iter(strengths(results, UNDEFENDED)), None)


def attack_names(results: SweepResults) -> list[str]:
    """Every attack, by descending mean rate over all runs; by AUC where no rate is resolved."""
    rows: dict[str, list[SweepRate]] = {}
    for point in results.points:
        for row in point.attacks:
            rows.setdefault(row.name, []).append(row)

    def size(name: str) -> tuple[float, float]:
        rates = [row.tpr.value for row in rows[name] if row.tpr.resolved]
        return (statistics.fmean(rates or [0.0]), statistics.fmean(r.auc for r in rows[name]))

    return sorted(rows, key=size, reverse=True)


def is_ablation(results: SweepResults) -> bool:
    """Whether settings of a study were varied, and no defense against none.

    Several series are then the parts of one course, such as IID data before Dirichlet's.
    """
    keys = {key for grid in results.grid.values() for key in grid}
    of_studies = bool(keys) and not any(key.split(".")[0] == "defense" for key in keys)
    series = len(defended(results))
    return undefended(results) is None and (series == 1 or (series > 1 and of_studies))


def complete(points: Sequence[Strength]) -> list[Strength]:
    """Those with as many seeds as any: the others' means are not over the same draws."""
    most = max((len(each.runs) for each in points), default=0)
    return [each for each in points if len(each.runs) == most]


def unbeaten(points: Sequence[Strength], attack: str = STRONGEST) -> list[Strength]:
    """The front of many strengths, by ascending error: those that no other beats.

    One beats another if it has no more error and leaks no more, and is better in one of the two.
    By their means over the seeds, whose reaches may overlap.
    """
    costs = [(each.error.value, rate.value, each) for each in points if (rate := each.tpr(attack))]

    def beaten(error: float, rate: float) -> bool:
        return any(e <= error and r <= rate and (e, r) != (error, rate) for e, r, _ in costs)

    kept = [cost for cost in costs if not beaten(cost[0], cost[1])]
    return [each for _, _, each in sorted(kept, key=lambda cost: cost[:2])]


def front_of(results: SweepResults, series: str, attack: str = STRONGEST) -> SweepFront | None:
    """The front of one series against one attack; None where a run of it resolves no rate."""
    runs = [run for run in results.points if run.series in (series, UNDEFENDED)]
    if not all(row.tpr.resolved for run in runs for row in run.attacks):
        return None
    found = (f for f in results.fronts if (f.series, f.attack) == (series, attack))
    return next(found, None)


def undefended_volume(results: SweepResults, attack: str = STRONGEST) -> Mean | None:
    """The hypervolume of the undefended point alone, which no series with it falls below.

    A single point dominates (1 - error) · (1 - rate) up to (1, 1).
    """
    start = undefended(results)
    if start is None or start.tpr(attack) is None:
        return None
    alone = [Strength(series="", name="", settings={}, runs=(run,)) for run in start.runs]
    rates = [(each, each.tpr(attack)) for each in alone]
    return mean([each.accuracy.value * (1.0 - rate.value) for each, rate in rates if rate])
