"""``results.json`` of a suite."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from seepage.results.audit import SCHEMA
from seepage.results.claim import Claim
from seepage.results.rows import Best, Interval, Rate01, Strict


class SuiteRow(Strict):
    """One defense of a suite, all its targets pooled."""

    label: str
    defense: str
    options: dict[str, Any]
    fingerprint: str
    models: int
    train_accuracy: Rate01
    test_accuracy: Rate01
    test_deviation: float | None
    tpr: Best
    tnr: Best
    auc_attack: str
    auc: Rate01
    auc_interval: Interval
    claim: Claim | None
    blind_ok: bool
    seconds: float


class Failure(Strict):
    """A defense of a suite that could not be run, and why."""

    label: str
    defense: str
    reason: str


class SuiteResults(Strict):
    """``results.json`` of a suite: one data set, many defenses, every attack on each."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_: Literal[1] = Field(default=SCHEMA, alias="schema")
    kind: Literal["suite"] = "suite"
    seepage: str
    recipe: str
    scale: str
    preset: str
    dataset: str
    at: str
    rows: list[SuiteRow]
    failures: list[Failure]
    seconds: float
