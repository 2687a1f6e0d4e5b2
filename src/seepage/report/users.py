"""Whose record is it? What a curious participant found, beside what it takes no attack to find."""

from __future__ import annotations

from dataclasses import dataclass

from seepage.records import Block
from seepage.report.reading import confidence
from seepage.report.users_words import BLOCKS, insiders, shown
from seepage.report.wording import count, with_interval
from seepage.results import AttackRow, Interval, Results, Users

STANDS_IN = {
    "declared_label_global": "The global model alone",
    "own_data_only": "A classifier of the insider’s own records alone",
    "declared_label": "The record’s own label, without any model,",
}
"""The plain baselines of attacks on users, in the order they are told, and how a sentence opens."""

HERS = ("participant", "querier")
"""Whose attacks an insider can run; what a server finds is another section's."""

WITH = {"user_level_gan": "the generator"}
"""What an attack on users has that the baselines lack, where it has a name of its own."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A sentence in two parts: what was found, and the numbers or what follows from it.

    ``equal`` marks a baseline that does as well as the attack.
    """

    headline: str
    detail: str
    equal: bool = False

    @property
    def sentence(self) -> str:
        return f"{self.headline}: {self.detail}"


def decided(results: Results, block: Block, target: int | str | None = None) -> list[AttackRow]:
    """Rows of a participant's attacks that say whose a record is, on one block: baselines last.

    Args:
        results: All rows.
        block: Whose records the victim's are compared with.
        target: One victim or ``all``; None takes every one.
    """
    rows = [
        row
        for row in results.attacks
        if row.paper_accuracy is not None
        and row.adversary in HERS
        and row.block == block
        and target in (None, row.target)
    ]
    order = [*WITH, "", *STANDS_IN]
    return sorted(rows, key=lambda row: order.index(row.name if row.name in order else ""))


def leading_block(results: Results) -> Block | None:
    """The block that speaks for attacks on users; None where none decided anything."""
    return next((block for block in BLOCKS if decided(results, block)), None)


def leading_rows(results: Results, block: Block) -> list[AttackRow]:
    """One row an attack: all victims pooled where that row exists, else the first victim's."""
    rows = decided(results, block)
    targets = {row.target for row in rows}
    single = [target for target in targets if isinstance(target, int)]
    target = "all" if "all" in targets or not single else min(single)
    return [row for row in rows if row.target == target]


def findings(results: Results) -> list[Finding]:
    """What the insider's attack found, then each baseline beside it; none where nobody asked."""
    block = leading_block(results)
    if results.users is None or block is None:
        return []
    rows = leading_rows(results, block)
    speaks = subject(rows)
    found = [_found(results, results.users, speaks)]
    if speaks.name not in STANDS_IN:
        level = confidence(results)
        found += [beside(row, speaks, level) for row in rows if row.name in STANDS_IN]
    return found + _stronger(rows, speaks)


def subject(rows: list[AttackRow]) -> AttackRow:
    """The row that speaks: that of the generator, else the strongest that is no baseline's."""
    named = [row for row in rows if row.name in WITH]
    attacks = [row for row in rows if row.name not in STANDS_IN]
    return max(named or attacks or rows, key=lambda row: row.auc)


def _stronger(rows: list[AttackRow], speaks: AttackRow) -> list[Finding]:
    """Another attack, no baseline, that ranks records better than the one that speaks."""
    others = [row for row in rows if row.name not in STANDS_IN and row.auc > speaks.auc]
    if not others:
        return []
    best = max(others, key=lambda row: row.auc)
    auc = with_interval(best.auc, best.auc_interval, 3)
    return [
        Finding(
            headline=f"Of the other attacks, {best.name} ranks records best",
            detail=f"AUC {auc}; it marks {shown(best.paper_accuracy)} of the victim’s records, "
            f"with {shown(best.false_alarms)} false alarms.",
        )
    ]


def first_findings(results: Results) -> list[Finding]:
    """The finding, and the baseline that says most of it, for where there is little room.

    That is the first one that does as well as the attack; where none does, the first of all.
    """
    found = findings(results)
    equal = [each for each in found[1:] if each.equal]
    return found[:1] + (equal or found[1:])[:1]


def _found(results: Results, users: Users, row: AttackRow) -> Finding:
    several = len(users.clients) > 1
    marks = f"{insiders(users)} {'mark' if several else 'marks'}"
    whose = "a victim’s records as the victim’s"
    against = {"others": "other participants’ records", "held_out": "records nobody trained on"}
    where = against.get(row.block, "all other records")
    if row.target == "all":
        victims = {each.victim for each in decided(results, row.block)} - {None}
        pooled = f", {count(len(victims))} victims pooled" if len(victims) > 1 else ""
    else:
        pooled = f", against client {row.target}"
    return Finding(
        headline=f"{marks} {shown(row.paper_accuracy)} of {whose}, and {shown(row.false_alarms)} "
        f"of {where}",
        detail=f"{row.name}{pooled}, AUC {with_interval(row.auc, row.auc_interval, 3)}."
        + ("" if _above_chance(row) else " That is no better than guessing."),
    )


def beside(plain: AttackRow, attack: AttackRow, level: float) -> Finding:
    """A baseline beside the attack: whether it does as well, and what the attack then adds.

    It ranks as well where its AUC is higher or the two intervals overlap. It decides as well where
    its share of the victim's records reaches the interval of the attack's (Clopper and Pearson),
    and where the attack's AUC may be chance: how many it then marks means nothing.

    Args:
        plain: The baseline's row.
        attack: The attack's, on the same target and block.
        level: Confidence of the intervals.
    """
    name, adds = STANDS_IN[plain.name], WITH.get(attack.name, attack.name)
    ranks = plain.auc_interval[1] >= attack.auc_interval[0]
    marks = not _above_chance(attack) or _as_many(plain, attack, level)
    aucs = [f"{row.auc:.3f}" for row in (plain, attack)]
    if aucs[0] == aucs[1] and plain.auc != attack.auc:
        aucs = [f"{row.auc:.5f}" for row in (plain, attack)]
    numbers = f"(AUC {aucs[0]} against {aucs[1]})"
    nothing = f"{adds} adds nothing to whose record it is. {_numbers(plain, attack)}"
    if ranks and marks:
        better = plain.auc_interval[0] > attack.auc_interval[1]
        within = "" if plain.auc >= attack.auc else " within the intervals"
        does = "does better" if better else f"does as well{within}"
        return Finding(headline=f"{name} {does} {numbers}", detail=nothing, equal=True)
    if ranks:
        return Finding(
            headline=f"{name} ranks records as well {numbers}, but marks fewer",
            detail=f"that is a matter of where to draw the line; {nothing}",
            equal=True,
        )
    does = "marks as many, but ranks records worse" if marks else "does worse"
    return Finding(
        headline=f"{name} {does} {numbers}",
        detail=f"{adds} tells more than that. {_numbers(plain, attack)}",
    )


def _above_chance(row: AttackRow) -> bool:
    return row.auc_interval[0] > 0.5


def _as_many(plain: AttackRow, attack: AttackRow, level: float) -> bool:
    if plain.paper_accuracy is None or attack.paper_accuracy is None:
        return False
    return plain.paper_accuracy >= _clopper_pearson(attack, level)[0]


def _clopper_pearson(row: AttackRow, level: float) -> Interval:
    """The interval of the share of the victim's records that were marked."""
    from scipy.stats import beta

    n, tail = row.n_members, (1.0 - level) / 2.0
    k = round((row.paper_accuracy or 0.0) * n)
    low = float(beta.ppf(tail, k, n - k + 1)) if k else 0.0
    high = float(beta.ppf(1.0 - tail, k + 1, n - k)) if k < n else 1.0
    return low, high


def _numbers(plain: AttackRow, attack: AttackRow) -> str:
    without, having = (with_interval(row.auc, row.auc_interval, 3) for row in (plain, attack))
    return (
        f"Without, {shown(plain.paper_accuracy)} of the victim’s records are marked, and with it "
        f"{shown(attack.paper_accuracy)}; of the others’ {shown(plain.false_alarms)} and "
        f"{shown(attack.false_alarms)}; AUC {without} and {having}."
    )
