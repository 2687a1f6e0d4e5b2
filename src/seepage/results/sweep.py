"""``results.json`` of a sweep."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from seepage.records import AdversaryName, Block
from seepage.results.audit import SCHEMA, RoundUtility
from seepage.results.rows import Interval, Rate, Rate01, Strict
from seepage.results.suite import Failure


class SweepRate(Strict):
    """One attack in one run of a sweep, at the sweep's target, block and operating point.

    ``within_auc`` and ``label_auc`` stand where labels were dealt out unevenly.
    """

    name: str
    adversary: AdversaryName
    auc: Rate01
    auc_interval: Interval
    tpr: Rate
    within_auc: Rate01 | None = None
    matched_tpr: Rate01 | None = None


class SweepUser(Strict):
    """One attack on one victim in one run: which of the participants' records are its own?

    ``labels`` is the number of labels that the victim declared. ``paper_accuracy`` is the share of
    its records marked as its own, ``false_alarms`` that of other participants' records. ``curve``
    holds points of the ROC: false and true positive rates, ascending, from (0, ·) to (1, 1).
    """

    name: str
    victim: int
    labels: int
    paper_accuracy: Rate01
    false_alarms: Rate01
    auc: Rate01
    auc_interval: Interval
    curve: list[tuple[Rate01, Rate01]]


class SweepPoint(Strict):
    """One run of a sweep.

    ``series`` is the curve it is on (a defense, or the whole sweep); ``settings`` what the grid
    set, by key; ``folder`` its run folder inside the sweep's. ``strength`` orders the points of a
    series: the place of its settings in the grid, from 0. ``users`` and ``rounds`` (accuracy of the
    global model) stand where attacks asked whose record it is.
    """

    series: str
    settings: dict[str, Any]
    strength: int
    seed: int
    fingerprint: str
    folder: str
    train_accuracy: Rate01
    test_accuracy: Rate01
    attacks: list[SweepRate]
    label_auc: Rate01 | None = None
    label_tpr: Rate01 | None = None
    claimed_epsilon: float | None = None
    blind_ok: bool
    seconds: float
    users: list[SweepUser] = Field(default_factory=list)
    rounds: list[RoundUtility] = Field(default_factory=list)

    @property
    def error(self) -> float:
        """Test error of the final model."""
        return 1.0 - self.test_accuracy


class FrontPoint(Strict):
    """A point of a front: means over the seeds."""

    settings: dict[str, Any]
    error: Rate01
    tpr: Rate01


class SweepFront(Strict):
    """One attack on one series: what no other strength beats in both error and rate.

    ``hypervolume`` is the area that a seed's points dominate up to (1, 1), the undefended point
    among them: its mean over the seeds, and their deviation (None for one seed). Larger is a
    better trade-off. ``attack`` is a name, or ``strongest``: at every point the attack with the
    highest rate, as an adversary with the answer in hand would choose it.
    """

    series: str
    attack: str
    hypervolume: Rate01
    deviation: float | None
    points: list[FrontPoint]


class SweepResults(Strict):
    """``results.json`` of a sweep: many runs, each a point of a trade-off.

    ``grid`` holds the values of every key that was swept, by series. All attacks are read for
    ``target`` and ``block`` at ``at`` false alarms.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_: Literal[1] = Field(default=SCHEMA, alias="schema")
    kind: Literal["sweep"] = "sweep"
    seepage: str
    name: str
    recipe: str | None
    scale: str
    dataset: str
    grid: dict[str, dict[str, list[Any]]]
    seeds: list[int]
    at: str
    target: int | Literal["all"]
    block: Block
    points: list[SweepPoint]
    fronts: list[SweepFront]
    failures: list[Failure]
    seconds: float
