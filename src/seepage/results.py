"""The shape of ``results.json``, schema version 1.

Other programs read this file, so a change of meaning raises ``SCHEMA`` and is told in the
changelog. ``docs/reference/results.schema.json`` is generated from these classes.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from seepage.records import AdversaryName, Block

SCHEMA = 1

Rate01 = Annotated[float, Field(ge=0.0, le=1.0)]
Interval = tuple[Rate01, Rate01]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rate(_Strict):
    """A rate at an operating point.

    ``interval`` is Clopper and Pearson's for the rate at the threshold that this sample sets.
    ``joint_interval`` is for the population's rate at the operating point: it allows for the
    threshold being an estimate too, and is therefore wider.
    ``resolved`` is false where the sample has fewer than ``1 / operating point`` negatives: the
    value is then the rate at the coarsest point the sample can express (no error at all).
    """

    value: Rate01
    interval: Interval
    joint_interval: Interval
    resolved: bool


class AttackRow(_Strict):
    """One attack against one target (or all targets pooled), on one block of non-members."""

    name: str
    adversary: AdversaryName
    target: int | Literal["all"]
    block: Block
    n_members: int
    n_nonmembers: int
    auc: Rate01
    auc_interval: Interval
    balanced_accuracy: Rate01
    tpr_at_fpr: dict[str, Rate]
    tnr_at_fnr: dict[str, Rate]
    epsilon_lower_bound: float | None
    seconds: float


class BlindRow(_Strict):
    """A row that never saw the model (or, for the placebo, never a true member).

    ``of`` names the attack whose score a placebo row uses. The interval is simultaneous over all
    blind rows at 95 %; ``ok`` says that it contains 0.5.
    """

    name: Literal["blind_label", "blind_input", "placebo"]
    of: str | None = None
    target: int | Literal["all"]
    block: Block
    n_members: int
    n_nonmembers: int
    auc: Rate01
    auc_interval: Interval
    ok: bool


class Blind(_Strict):
    """The checks that decide whether the numbers above can be believed."""

    ok: bool
    rows: list[BlindRow]


class RoundUtility(_Strict):
    """Accuracy of the global model after an observed round."""

    round: int
    train_accuracy: Rate01
    test_accuracy: Rate01


class Utility(_Strict):
    """What the federation was for: accuracy of the final global model."""

    train_accuracy: Rate01
    test_accuracy: Rate01
    per_round: list[RoundUtility]


class Seconds(_Strict):
    """Wall-clock seconds a stage took, in this run."""

    data: float
    training: float
    signals: float
    attacks: float
    report: float


class Results(_Strict):
    """All of ``results.json``. ``utility`` is null where signals came from elsewhere."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_: Literal[1] = Field(default=SCHEMA, alias="schema")
    seepage: str
    fingerprint: str
    study: dict[str, Any]
    utility: Utility | None
    attacks: list[AttackRow]
    blind: Blind
    seconds: Seconds
