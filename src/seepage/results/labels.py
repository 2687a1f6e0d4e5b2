"""How much of a leak labels alone explain."""

from __future__ import annotations

from typing import Literal

from seepage.records import Block
from seepage.results.rows import Interval, Rate01, Strict


class LabelRow(Strict):
    """One attack beside the labels, on one block.

    ``auc`` is the attack's own. ``within_auc`` compares members and non-members of the same label
    alone, so that labels explain nothing of it. ``label_auc`` is what knowing each client's
    labels reaches without looking at a model; it is judged on half of the records, the other half
    being what it knows, and ``label_tpr`` is None where that half does not resolve ``at``.
    ``tpr``, ``label_tpr`` and ``matched_tpr`` are shares of members found at ``at`` false alarms,
    the finest point resolved; for the last, non-members are weighted so that their labels are the
    members'. ``explained`` is the part of ``auc - 0.5`` that is gone within
    labels, in [0, 1]; None where the attack is not above chance. ``covered`` is the share of
    members with a non-member of the same label.

    With all targets pooled, only records asked about for one target are compared within a label.
    What compares within labels is None where ``covered`` is 0, and what labels reach alone is None
    where too few records are left to learn it from.
    """

    name: str
    target: int | Literal["all", "any"]
    block: Block
    auc: Rate01
    within_auc: Rate01 | None
    within_interval: Interval | None
    label_auc: Rate01 | None
    label_interval: Interval | None
    at: str
    tpr: Rate01
    matched_tpr: Rate01 | None
    label_tpr: Rate01 | None
    explained: Rate01 | None
    covered: Rate01


class Labels(Strict):
    """What labels alone tell. ``skewed``: the study deals them out unevenly on purpose."""

    skewed: bool
    rows: list[LabelRow]
