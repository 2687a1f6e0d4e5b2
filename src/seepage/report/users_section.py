"""The page's section on whose record a record is: words, tables, figures and pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from seepage.report import reconstructions, source, users_figures
from seepage.report.users import STANDS_IN, decided, findings, leading_block
from seepage.report.users_words import introduction, labeled, overlap, shown
from seepage.report.wording import BLOCK_NAMES, count, target_name

if TYPE_CHECKING:
    import numpy as np

    from seepage.records import Block
    from seepage.report.figure import Figure
    from seepage.report.html import Drawn
    from seepage.results import AttackRow, Results, Users

VICTIMS = 4
"""Victims whose rows stand in the open; those of further ones are folded away."""

Plots = list[tuple["Figure", str]]


@dataclass(frozen=True, kw_only=True)
class Line:
    """One attack against one victim, as the table shows it; ``left`` and ``right`` in per cent."""

    row: AttackRow
    plain: bool
    marked: str
    false_alarms: str
    balanced: str
    left: float
    right: float


@dataclass(frozen=True, kw_only=True)
class Group:
    """All attacks against one victim, or against all of them pooled."""

    head: str
    sizes: str
    lines: list[Line]


def section(
    results: Results, drawn: Drawn, kept: Mapping[int, np.ndarray] | None
) -> dict[str, Any] | None:
    """Everything the section says; None where no insider was there.

    Args:
        results: The rows, and who the insider is.
        drawn: Every figure of the page by name; the section takes its own.
        kept: The insider's images by round.
    """
    users = results.users
    if users is None:
        return None
    block, made = leading_block(results), users.generated
    groups = [] if block is None else _groups(results, users, block)
    single = reconstructions.drawn(results)
    return {
        "introduction": introduction(users, results.study),
        "overlap": overlap(results),
        "findings": findings(results),
        "block": block and BLOCK_NAMES["client", block],
        "groups": groups[: VICTIMS + 1],
        "rest": groups[VICTIMS + 1 :],
        "anyone": _anyone(results, users) if block == "others" else None,
        "figures": _figures(drawn, users),
        "drawn": single,
        "notes": [] if made is None else reconstructions.notes(made),
        "gallery": None if made is None else reconstructions.gallery(made, kept or {}),
    }


def source_section(results: Results, drawn: Drawn) -> dict[str, Any] | None:
    """The section on which client holds a record; None where nobody asked."""
    found = source.finding(results)
    if found is None:
        return None
    return {"finding": found, "figures": [drawn["source"]] if "source" in drawn else []}


def other_figures(results: Results, drawn: Drawn) -> Plots:
    """The figures that stand in no section of their own."""
    apart = {"source", *users_figures.NAMES} | ({"utility"} if results.users else set())
    return [each for name, each in drawn.items() if name not in apart]


def _figures(drawn: Drawn, users: Users) -> Plots:
    """The section's own, and what became of the task that the federation was for."""
    own = [drawn[name] for name in users_figures.NAMES if name in drawn]
    if "utility" not in drawn:
        return own
    figure, svg = drawn["utility"]
    made = users.generated
    began = (
        ""
        if made is None or made.began is None
        else f" The insider draws from round {made.began} on."
    )
    caption = f"Accuracy of the global model after each observed round.{began}"
    return [*own, (replace(figure, caption=caption), svg)]


def _groups(results: Results, users: Users, block: Block) -> list[Group]:
    """One part of the table for all victims pooled, and one for each."""
    rows = decided(results, block)
    targets = sorted({row.target for row in rows}, key=lambda each: (each != "all", each))
    groups = []
    for target in targets:
        own = [row for row in rows if row.target == target]
        first = own[0]
        named = "All victims, pooled" if target == "all" else _victim(first, users)
        sizes = f"{count(first.n_members)} of its records, {count(first.n_nonmembers)} others"
        if target == "all":
            sizes = sizes.replace("its records", "their records").replace(
                "others", "pairs of another record and a victim"
            )
        groups.append(Group(head=named, sizes=sizes, lines=[_line(row) for row in own]))
    return groups


def _victim(row: AttackRow, users: Users) -> str:
    """``Client 1: 2 labels, 3 and 5``."""
    name = target_name(row.target, "client")
    opened = name[0].upper() + name[1:]
    if row.victim_labels is None:
        return opened
    n = len(row.victim_labels)
    if n == 0:
        return f"{opened}: no label"
    kind, _, which = labeled(row.victim_labels, users).partition(" ")
    return f"{opened}: {n} {kind}, {which}"


def _line(row: AttackRow) -> Line:
    marked, wrong = row.paper_accuracy or 0.0, row.false_alarms or 0.0
    return Line(
        row=row,
        plain=row.name in STANDS_IN,
        marked=shown(row.paper_accuracy),
        false_alarms=shown(row.false_alarms),
        balanced=shown(row.balanced_accuracy),
        left=round(100 * wrong, 2),
        right=round(100 * marked, 2),
    )


def _anyone(results: Results, users: Users) -> dict[str, Any] | None:
    """The compact table: the same attacks against records nobody trained on; None without any."""
    rows = decided(results, "held_out")
    if not rows:
        return None
    names = list(dict.fromkeys(row.name for row in rows))
    targets = sorted({row.target for row in rows}, key=lambda each: (each != "all", each))
    lines = []
    for target in targets:
        own = {row.name: row for row in rows if row.target == target}
        first = next(iter(own.values()))
        head = "All victims, pooled" if target == "all" else _victim(first, users)
        lines.append((head, [_line(own[name]) if name in own else None for name in names]))
    return {"names": names, "lines": lines}
