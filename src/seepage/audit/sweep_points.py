"""What a sweep reads in the results of a point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from seepage.audit.sweep import Point
from seepage.records import Block, UserError
from seepage.report.reading import POINT, lead
from seepage.results import AttackRow, LabelRow, Results, SweepPoint, SweepRate, SweepUser


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Where all points of a sweep are read.

    Attributes:
        target: All targets pooled where there are several, else the one.
        block: Whose scores the members' are compared with.
        at: The false positive rate.
    """

    target: int | Literal["all"]
    block: Block
    at: str


def reading_of(results: Sequence[Results]) -> Reading:
    """Where the points are read: as the first one's verdict is, at a rate that all resolve.

    The rate is 0.1 % where every point resolves it, else the finest that every one does, else the
    coarsest that every one was asked for.

    Raises:
        UserError: No attack on single targets was run, or the points have no rate in common.
    """
    leading = lead(results[0])
    if leading is None or leading.target == "any":
        raise UserError("a sweep needs at least one attack on a single client, or on a model.")
    rows = [_rows(one, leading.target, leading.block) for one in results]
    rates = [row[0].tpr_at_fpr for row in rows if row]
    shared = [at for at in rates[0] if all(at in one for one in rates)]
    if not shared:
        raise UserError("the points have no false positive rate in common: set metrics.fpr.")
    resolved = [at for at in shared if all(one[at].resolved for one in rates)]
    wanted = [at for at in resolved if float(at) == POINT]
    at = wanted[0] if wanted else min(resolved, key=float) if resolved else max(shared, key=float)
    return Reading(target=leading.target, block=leading.block, at=at)


def sweep_point(
    point: Point,
    folder: str,
    results: Results,
    reading: Reading,
    users: Sequence[SweepUser] = (),
) -> SweepPoint:
    """One point of a sweep, from its results.

    Attacks that ask whether anyone at all holds a record (target ``any``) are another question
    and are left out, as are other targets and blocks. What attacks say of whose record it is comes
    as ``users``; accuracy by round stands beside it.

    Raises:
        UserError: It has no result where the sweep is read.
    """
    rows = _rows(results, reading.target, reading.block)
    utility = results.utility
    if not rows or utility is None:
        raise UserError(
            f"no attack has target {reading.target} and block {reading.block}, where this sweep is "
            "read. Keep targets and candidates the same at all points."
        )
    labels = _labels(results, reading)
    beside = next(iter(labels.values()), None)
    spent = results.seconds
    return SweepPoint(
        series=point.series,
        settings=point.settings,
        strength=point.strength,
        seed=point.study.seed,
        fingerprint=results.fingerprint,
        folder=folder,
        train_accuracy=utility.train_accuracy,
        test_accuracy=utility.test_accuracy,
        attacks=[_rate(row, labels.get(row.name), reading.at) for row in rows],
        label_auc=beside.label_auc if beside else None,
        label_tpr=beside.label_tpr if beside and _same(beside, reading.at) else None,
        claimed_epsilon=results.claim.epsilon if results.claim else None,
        blind_ok=results.blind.ok,
        seconds=spent.data + spent.training + spent.signals + spent.attacks + spent.report,
        users=list(users),
        rounds=utility.per_round if users else [],
    )


def _rows(results: Results, target: int | str, block: str) -> list[AttackRow]:
    return [row for row in results.attacks if (row.target, row.block) == (target, block)]


def _labels(results: Results, reading: Reading) -> dict[str, LabelRow]:
    rows = results.labels.rows if results.labels else []
    here = (reading.target, reading.block)
    return {row.name: row for row in rows if (row.target, row.block) == here}


def _same(row: LabelRow, at: str) -> bool:
    return float(row.at) == float(at)


def _rate(row: AttackRow, label: LabelRow | None, at: str) -> SweepRate:
    return SweepRate(
        name=row.name,
        adversary=row.adversary,
        auc=row.auc,
        auc_interval=row.auc_interval,
        tpr=row.tpr_at_fpr[at],
        within_auc=label.within_auc if label else None,
        matched_tpr=label.matched_tpr if label and _same(label, at) else None,
    )
