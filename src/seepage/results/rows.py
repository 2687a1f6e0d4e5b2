"""Rows that every kind of result is made of: rates, attacks, blind checks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from seepage.records import AdversaryName, Block

Rate01 = Annotated[float, Field(ge=0.0, le=1.0)]
Interval = tuple[Rate01, Rate01]


class Strict(BaseModel):
    """Frozen, and a field it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Rate(Strict):
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


class AttackRow(Strict):
    """One attack against one target (or all targets pooled), on one block of non-members.

    Target ``any`` asks whether anyone at all trained on the record: members are all records that
    some client holds. An attack on single clients then scores a record by the client it suits
    best.

    Attacks that ask whose record it is name the ``victim`` and the labels that it declared, and
    take a decision: ``paper_accuracy`` is the share of the victim's records marked as its own (the
    true positive rate of the decision, all that the user-level paper reports), and
    ``false_alarms`` the share of the other records marked so. With all targets pooled the victim
    is null, and so are they for attacks that decide nothing.
    """

    name: str
    adversary: AdversaryName
    target: int | Literal["all", "any"]
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
    victim: int | None = None
    victim_labels: list[int] | None = None
    paper_accuracy: Rate01 | None = None
    false_alarms: Rate01 | None = None


class BlindRow(Strict):
    """A row that never saw the model (or, for the placebo, never a true member).

    ``of`` names the attack whose score a placebo row uses. The interval is simultaneous over all
    blind rows at 95 %; ``ok`` says that it contains 0.5. A row is ``expected`` to be off chance
    where the study deals labels out unevenly: it then says what labels alone tell, and does not
    spoil the whole.
    """

    name: Literal["blind_label", "blind_input", "placebo"]
    of: str | None = None
    target: int | Literal["all", "any"]
    block: Block
    n_members: int
    n_nonmembers: int
    auc: Rate01
    auc_interval: Interval
    ok: bool
    expected: bool = False


class Blind(Strict):
    """The checks that decide whether the numbers above can be believed."""

    ok: bool
    rows: list[BlindRow]


class Best(Strict):
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
