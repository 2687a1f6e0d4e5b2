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


class Best(_Strict):
    """The strongest attack by one metric, chosen honestly and with the answer in hand.

    ``chosen`` is the attack that did best on a reference model, whose members its maker knows, and
    ``rate`` what it reached on the target. ``oracle`` is the attack that happened to do best on
    the target itself, which no adversary could have known. With all targets pooled, ``chosen`` is
    the attack chosen for the most of them. For ``auc`` there is no operating point (``at`` is "")
    and ``rate`` is the area with its interval.
    """

    metric: Literal["tpr_at_fpr", "tnr_at_fnr", "auc"]
    at: str
    target: int | Literal["all"]
    block: Block
    chosen: str
    rate: Rate
    oracle: str
    oracle_rate: Rate


class OneRun(_Strict):
    """A bound on ε from the canaries of one training run (Steinke et al., 2023)."""

    target: int
    attack: str
    canaries: int
    guesses: int
    correct: int
    epsilon: float


class Claim(_Strict):
    """What a private training claims, and what was found.

    ``epsilon`` is the accountant's upper bound, ``lower_bound`` the largest bound that the attacks
    or the one-run audit gave with the study's confidence; ``ok`` says that it is no larger.
    """

    epsilon: float | None
    delta: float
    accountant: str
    sampling: str
    noise: float
    steps: int
    lower_bound: float
    one_run: list[OneRun]
    ok: bool


class RoundUtility(_Strict):
    """Accuracy of the global model after an observed round."""

    round: int
    train_accuracy: Rate01
    test_accuracy: Rate01


class Utility(_Strict):
    """What the training was for: accuracy of the final model.

    With many models, the mean over those that are targets, and the deviation between them.
    """

    train_accuracy: Rate01
    test_accuracy: Rate01
    test_deviation: float | None = None
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
    kind: Literal["audit"] = "audit"
    seepage: str
    fingerprint: str
    study: dict[str, Any]
    utility: Utility | None
    attacks: list[AttackRow]
    blind: Blind
    best: list[Best] = []
    claim: Claim | None = None
    seconds: Seconds


class SuiteRow(_Strict):
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


class Failure(_Strict):
    """A defense of a suite that could not be run, and why."""

    label: str
    defense: str
    reason: str


class SuiteResults(_Strict):
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
