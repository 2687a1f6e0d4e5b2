"""``results.json`` of an audit."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from seepage.results.claim import Claim, NoiseCheck
from seepage.results.labels import Labels
from seepage.results.rows import AttackRow, Best, Blind, Rate01, Strict
from seepage.results.users import Source, Users

SCHEMA = 1


class RoundUtility(Strict):
    """Accuracy of the global model after an observed round."""

    round: int
    train_accuracy: Rate01
    test_accuracy: Rate01


class Utility(Strict):
    """What the training was for: accuracy of the final model.

    With many models, the mean over those that are targets, and the deviation between them.
    """

    train_accuracy: Rate01
    test_accuracy: Rate01
    test_deviation: float | None = None
    per_round: list[RoundUtility]


class Seconds(Strict):
    """Wall-clock seconds a stage took, in this run."""

    data: float
    training: float
    signals: float
    attacks: float
    report: float


class Results(Strict):
    """All of ``results.json``. ``utility`` is null where signals came from elsewhere."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_: Literal[1] = Field(default=SCHEMA, alias="schema")
    kind: Literal["audit"] = "audit"
    seepage: str
    fingerprint: str
    study: dict[str, Any]
    utility: Utility | None
    attacks: list[AttackRow]
    blind: Blind
    best: list[Best] = Field(default_factory=list)
    claim: Claim | None = None
    noise: NoiseCheck | None = None
    labels: Labels | None = None
    users: Users | None = None
    source: Source | None = None
    seconds: Seconds
