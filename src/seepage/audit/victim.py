"""Attacks that ask whose record it is: their decisions, and what a row says of its victim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import xarray as xr

    from seepage.audit.score import Question, Scored
    from seepage.protocols import Attack
    from seepage.records import IntArray


def decisions(
    attack: Attack, seen: Sequence[xr.Dataset], targets: Sequence[int], ids: IntArray
) -> np.ndarray | None:
    """What the attack says is each target's, bool ``(targets, n)``; None for one that decides none.

    Args:
        attack: The attack.
        seen: Signals, one a target.
        targets: Clients asked about.
        ids: Sample ids in the order wanted.
    """
    decide = attack.decide
    if decide is None:
        return None
    said = [decide(signals, target) for signals, target in zip(seen, targets, strict=True)]
    return np.stack([marked.sel(sample=ids).to_numpy() for marked in said])


def declared_classes(signals: xr.Dataset) -> dict[int, list[int]]:
    """The class numbers that each client declared, as the signal ``declared`` says; or none."""
    if "declared" not in signals:
        return {}
    told = signals["declared"].transpose("client", "class")
    clients, numbers = (told.get_index(dim).to_numpy() for dim in told.dims)
    return {
        int(client): [int(number) for number in numbers[row]]
        for client, row in zip(clients, told.to_numpy() > 0, strict=True)
    }


def of_victim(
    one: Scored, question: Question, declared: Mapping[int, Sequence[int]]
) -> dict[str, Any]:
    """The victim of a row and how often the decision was right; nothing for other attacks.

    ``paper_accuracy`` is the share of the question's members that are marked, ``false_alarms`` that
    of its non-members. Pooled over targets, these are shares of pairs of a target and a record.
    """
    if one.marked is None:
        return {}
    victim = question.target if isinstance(question.target, int) else None
    labels = () if victim is None else declared.get(victim, ())
    return {
        "victim": victim,
        "victim_labels": sorted(map(int, labels)) or None,
        "paper_accuracy": float(one.marked[question.member].mean()),
        "false_alarms": float(one.marked[question.nonmember].mean()),
    }
