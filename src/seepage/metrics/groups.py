"""Pairs of a member and a non-member of the same group: who outscores whom, from one sort."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from seepage.metrics.roc import BoolArray, Float64Array, IntArray, Scores, as_scores
from seepage.records import UserError


@dataclass(frozen=True, kw_only=True)
class Groups:
    """Groups as numbers from 0: ``sides`` are those of the members and of the non-members."""

    sides: tuple[IntArray, IntArray]
    total: int


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Comparisons within groups, ties one half: ``wins`` of each member over her ``rivals``
    (non-members of her group), ``losses`` of each non-member to his ``opponents``.
    """

    wins: Float64Array
    rivals: Float64Array
    losses: Float64Array
    opponents: Float64Array

    @property
    def area(self) -> float:
        return float(self.wins.sum() / self.rivals.sum())


def grouped(
    member_scores: Scores,
    nonmember_scores: Scores,
    member_groups: ArrayLike,
    nonmember_groups: ArrayLike,
) -> tuple[Float64Array, Float64Array, Groups]:
    """Scores of both sides and their groups, checked; arguments and errors as for
    :func:`seepage.metrics.within_auc`.
    """
    members, nonmembers = (
        as_scores(member_scores, "member"),
        as_scores(nonmember_scores, "non-member"),
    )
    groups = np.asarray(member_groups), np.asarray(nonmember_groups)
    if (groups[0].shape, groups[1].shape) != (members.shape, nonmembers.shape):
        raise UserError(
            f"one group a score: expected {len(members)} member and {len(nonmembers)} non-member "
            f"groups, got shapes {groups[0].shape} and {groups[1].shape}."
        )
    names, number = np.unique(np.concatenate(groups), return_inverse=True)
    number = number.ravel().astype(np.int64)
    sides = number[: len(members)], number[len(members) :]
    if not np.isin(*sides).any():
        raise UserError(
            "no member has a non-member of the same group, so nothing can be compared within "
            "groups. Add non-members that share groups with members, such as held-out records."
        )
    return members, nonmembers, Groups(sides=sides, total=len(names))


def pairs_within(members: Float64Array, nonmembers: Float64Array, groups: Groups) -> Pairs:
    """What every row wins and loses within its group; takes what :func:`grouped` gives."""
    m, both = len(members), np.concatenate([members, nonmembers])
    order = np.lexsort((both, group := np.concatenate(groups.sides)))  # one sort for all groups
    begins = np.diff(group[order], prepend=-1) > 0
    ties = begins | np.append(True, both[order][1:] != both[order][:-1])
    wins, rivals = _outscored(order >= m, begins, ties)
    saved, opponents = _outscored(order < m, begins, ties)
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    mine, theirs = back[:m], back[m:]
    return Pairs(
        wins=wins[mine],
        rivals=rivals[mine],
        losses=opponents[theirs] - saved[theirs],
        opponents=opponents[theirs],
    )


def _outscored(
    other: BoolArray, begins: BoolArray, ties: BoolArray
) -> tuple[Float64Array, Float64Array]:
    """How many of the ``other`` side each row outscores in its group, ties one half, of how many.

    Rows are sorted by group and score; ``begins`` marks the first row of each group, ``ties`` that
    of each run of equal scores in a group.
    """
    before = np.concatenate([[0], np.cumsum(other)])

    def runs(begin: BoolArray) -> tuple[IntArray, IntArray]:
        first = np.flatnonzero(begin)
        after = np.append(first[1:], len(other))
        low, high = (np.repeat(before[end], after - first) for end in (first, after))
        return low, high

    below, up_to = runs(ties)
    start, end = runs(begins)
    return (below + up_to) / 2 - start, (end - start).astype(np.float64)
