"""The label-only baseline, and what is left of every attack among records of the same label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from seepage import metrics
from seepage.audit.anyone import ask_anyone
from seepage.audit.blind import Sides, label_prior, label_priors
from seepage.audit.score import Question, Scored, pooled, questions
from seepage.records import IntArray, Truth
from seepage.results import AttackRow, LabelRow, Labels

if TYPE_CHECKING:
    from seepage.study import Study

UNEVEN = ("dirichlet", "disjoint_labels")
"""Partitions that give clients different labels on purpose."""

POINT = 0.001
"""No finer operating point is told: that of the published comparison."""


def is_skewed(study: Study) -> bool:
    """Whether the study deals labels out unevenly on purpose."""
    return study.data.partition in UNEVEN


def label_rows(
    scored: Sequence[Scored],
    everyone: Sequence[Scored],
    rows: Sequence[AttackRow],
    truth: Truth,
    targets: Sequence[int],
    labels: IntArray,
    *,
    skewed: bool,
    confidence: float = 0.95,
    seed: int = 0,
) -> Labels:
    r"""Every attack beside the labels: one row an attack and block, all targets pooled.

    And one an attack on whether anyone trained on a record, where that was asked.

    Where clients hold different labels, a label alone says whose a record may be, and an attack
    that sees no more than that is above chance. Two figures tell such an attack from a leak of the
    model: what labels reach alone (:func:`~seepage.audit.blind.label_priors`), and the attack's AUC
    among pairs of the same target and label (:func:`seepage.metrics.within_auc`). With
    :math:`A_w` the latter,

    .. math:: \text{explained} = \frac{A - A_w}{A - 0.5}

    cut to [0, 1]. Rates are read at the finest operating point of at least 0.1 % that the block's
    records resolve, also once they are weighted (:func:`seepage.metrics.matched_size`); at the
    coarsest where they resolve none.

    Args:
        scored: Scores of every attack.
        everyone: Their scores for whether anyone did, of one row each; empty where nobody asked.
        rows: The attacks' rows on the same questions.
        truth: Owners.
        targets: Clients asked about.
        labels: Class of every record of ``truth``.
        skewed: Whether labels were dealt out unevenly on purpose.
        confidence: Of every interval.
        seed: The study's: halves are those of :func:`~seepage.audit.blind.blind_rows`.
    """
    whole = "all" if len(targets) > 1 else int(targets[0])
    alone = label_priors(labels, truth, targets, seed=seed)
    asked = [(q, scored, alone.get(q.block)) for q in questions(truth, targets)]
    asked += [(q, everyone, label_prior(q, labels, truth, seed=seed)) for q in ask_anyone(truth)]
    found: list[LabelRow] = []
    for question, of_attacks, sides in asked:
        target = question.target
        here = {r.name: r for r in rows if (r.target, r.block) == (target, question.block)}
        if target in (whole, "any") and here:
            groups = _groups(question, labels)
            at = operating_point(list(here.values()), _worth(question, groups))
            facts = _of_labels(sides, at, confidence)
            found += [
                LabelRow(
                    name=one.name,
                    target=target,
                    block=question.block,
                    **_of_attack(here[one.name], one, question, truth.ids, groups, at, confidence),
                    **facts,
                )
                for one in of_attacks
                if one.name in here
            ]
    return Labels(skewed=skewed, rows=found)


def operating_point(rows: Sequence[AttackRow], worth: float) -> str:
    """The finest point of at least 0.1 % that rows resolve, plain and with labels matched.

    ``worth`` is the number of non-members once they are weighted. Where no point is resolved, the
    coarsest.
    """
    resolved = [
        at
        for row in rows
        for at, rate in row.tpr_at_fpr.items()
        if rate.resolved and float(at) >= POINT and float(at) * worth >= 1 - 1e-9
    ]
    return min(resolved, key=float) if resolved else max(rows[0].tpr_at_fpr, key=float)


def _groups(question: Question, labels: IntArray) -> tuple[IntArray, IntArray]:
    """A number for each target and label, of the members and of the non-members."""
    targets = np.arange(len(question.member))[:, None]
    group = targets * (int(labels.max(initial=0)) + 1) + labels
    return group[question.member], group[question.nonmember]


def _worth(question: Question, groups: tuple[IntArray, IntArray]) -> float:
    """Distinct non-members that count once they are weighted; pooled, a record comes often."""
    rows, distinct = question.nonmember.sum(), question.nonmember.any(axis=0).sum()
    return metrics.matched_size(*groups) * float(distinct) / float(rows)


def _of_labels(sides: Sides | None, at: str, confidence: float) -> dict[str, Any]:
    """What labels reach alone on a block, and the point that rates are told at."""
    if sides is None:
        return {"at": at, "label_auc": None, "label_interval": None, "label_tpr": None}
    scores = sides.member, sides.nonmember
    judged = len(np.unique(sides.nonmember_ids))  # half of the block's records: the rest teach
    resolved = float(at) * judged >= 1 - 1e-9
    return {
        "at": at,
        "label_auc": metrics.auc(*scores),
        "label_interval": metrics.auc_interval(
            *scores,
            member_ids=sides.member_ids,
            nonmember_ids=sides.nonmember_ids,
            confidence=confidence,
        ),
        "label_tpr": metrics.tpr_at_fpr(*scores, float(at)) if resolved else None,
    }


def _of_attack(
    row: AttackRow,
    one: Scored,
    question: Question,
    ids: IntArray,
    groups: tuple[IntArray, IntArray],
    at: str,
    confidence: float,
) -> dict[str, Any]:
    """What an attack reaches, and what of it is left among pairs of one target and label."""
    told = {"auc": row.auc, "tpr": row.tpr_at_fpr[at].value}
    covered = metrics.covered_share(*groups)
    if not covered:
        left = dict.fromkeys(("within_auc", "within_interval", "matched_tpr", "explained"))
        return told | left | {"covered": covered}
    who = np.broadcast_to(ids, question.member.shape)
    left = metrics.summarise_within(
        *pooled(one.values, question),
        member_groups=groups[0],
        nonmember_groups=groups[1],
        member_ids=who[question.member],
        nonmember_ids=who[question.nonmember],
        fpr=float(at),
        confidence=confidence,
    )
    part = explained(row.auc, left["within_auc"])
    return told | left | {"explained": part, "covered": covered}


def explained(area: float, within: float) -> float | None:
    """The part of an AUC above chance that is gone within labels; None where it is not above."""
    if area <= 0.5:
        return None
    return float(np.clip((area - within) / (area - 0.5), 0.0, 1.0))
