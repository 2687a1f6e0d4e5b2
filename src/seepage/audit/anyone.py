"""Is the record anyone's? The one question that attacks on a round's sum can answer.

Members are all records that some client holds, non-members those that nobody trained on. Attacks
on single uploads are asked the same, so that what the sum hides can be read off.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from seepage.audit.score import Question, Scored
from seepage.records import ANYONE, HELD_OUT, FloatArray, Truth, UserError

if TYPE_CHECKING:
    import xarray as xr

    from seepage.protocols import Attack

NO_OTHER_SIDE = (
    "it tells whether anyone trained on a record, and among the records with signals there is none "
    "that nobody trained on. Add some (owner -1), or leave the attack out."
)


def score_anyone(
    attacks: Mapping[str, Attack],
    scored: Sequence[Scored],
    signals: xr.Dataset,
    truth: Truth,
    targets: Sequence[int],
) -> list[Scored]:
    """Every attack's scores for the question whether anyone trained on a record.

    An attack on the sum gives one score a record. One on single clients gives a record the highest
    score that any client gets, over all clients it can be run on and not the targets alone.

    Args:
        attacks: Attacks by name.
        scored: What those on single clients said of the targets; none where they are not to be
            asked, as with redrawn candidates, whose scores are those of other records.
        signals: Signals of exactly the samples of ``truth``.
        truth: Used only to put the scores in order, and to see whether any record is held out.
        targets: Clients asked about.

    Returns:
        Scores of one row each, ``(1, n)``; empty where no attack is on the sum, since the question
        is then nobody's, or where no record is held out.
    """
    of_sums = {name: attack for name, attack in attacks.items() if attack.over == "round"}
    if not of_sums or not np.any(truth.owner == HELD_OUT):
        return []
    summed = [_once(name, attack, signals, truth) for name, attack in of_sums.items()]
    return [*summed, *(_lifted(one, signals, truth, targets) for one in scored)]


def answerable(
    attacks: Mapping[str, Attack], truth: Truth, *, named: bool
) -> tuple[dict[str, Attack], dict[str, str]]:
    """The attacks that the candidates allow, and for each of the others the reason.

    Raises:
        UserError: An attack on the sum was named and no record is held out, or no attack is left.
    """
    if np.any(truth.owner == HELD_OUT):
        return dict(attacks), {}
    left_out = {name: NO_OTHER_SIDE for name, each in attacks.items() if each.over == "round"}
    able = {name: attack for name, attack in attacks.items() if name not in left_out}
    if left_out and (named or not able):
        raise UserError(f"attack {next(iter(left_out))!r}: {NO_OTHER_SIDE}")
    return able, left_out


def ask_anyone(truth: Truth) -> list[Question]:
    """The question, with masks of one row; empty where no record is held out."""
    held_out = (truth.owner == HELD_OUT)[None, :]
    if not held_out.any():
        return []
    return [Question(target="any", block="held_out", member=~held_out, nonmember=held_out)]


def on_sums(scored: Sequence[Scored]) -> list[Scored]:
    """Those of attacks on the sum; what others say of anyone is told by their own scores."""
    return [one for one in scored if one.attack.over == "round"]


def _once(name: str, attack: Attack, signals: xr.Dataset, truth: Truth) -> Scored:
    began = time.perf_counter()
    values = _run(attack, signals, ANYONE, truth)[None, :]
    seconds = np.array([time.perf_counter() - began])
    return Scored(name=name, attack=attack, values=values, seconds=seconds)


def _lifted(one: Scored, signals: xr.Dataset, truth: Truth, targets: Sequence[int]) -> Scored:
    """Each record's highest score over the clients; those that are no target are run here."""
    began = time.perf_counter()
    highest = one.values.max(axis=0)
    for client in _clients(one.attack, signals):
        if client not in targets:
            try:
                highest = np.maximum(highest, _run(one.attack, signals, client, truth))
            except UserError:
                continue  # one that took part in no observed round, or in none with two others
    seconds = one.seconds.sum() + time.perf_counter() - began
    return Scored(
        name=one.name, attack=one.attack, values=highest[None, :], seconds=np.array([seconds])
    )


def _clients(attack: Attack, signals: xr.Dataset) -> list[int]:
    """The clients that the signals it reads tell apart."""
    told = any("client" in signals[name].dims for name in attack.needs if name in signals)
    return [int(client) for client in signals.indexes["client"]] if told else []


def _run(attack: Attack, signals: xr.Dataset, target: int, truth: Truth) -> FloatArray:
    return attack(signals, target).sel(sample=truth.ids).to_numpy()
