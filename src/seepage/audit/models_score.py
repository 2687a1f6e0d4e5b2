"""Attacks on models whose members are known to nobody but us: scores, choices, rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from seepage.audit.best import METRICS, Choices, rank_attacks
from seepage.audit.models_evidence import evidence
from seepage.audit.score import Question, Scored, Target
from seepage.records import HELD_OUT, Block, FloatArray, IntArray, UserError
from seepage.reference import complement

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from seepage.protocols import Attack

MOST_ROWS = 20_000_000
"""Rows of the table of scores; of larger audits the first targets that fit are kept."""

WithLogits = Callable[["xr.Dataset", int], "xr.Dataset"]
"""``(evidence, target) -> the same with whole answers beside it``, for few models."""


def score_models(
    attacks: Mapping[str, Attack],
    signals: xr.Dataset,
    ids: IntArray,
    targets: Sequence[int],
    *,
    with_logits: WithLogits | None = None,
    tell: Callable[[int, int], None] = lambda done, total: None,
    left_out: dict[str, str] | None = None,
) -> list[Scored]:
    """Every attack's scores of the records ``ids`` for every target.

    Args:
        attacks: Attacks by name, over models.
        signals: Signals of all models with ``member``; the target's is hidden from its attack.
        ids: Records of the pool.
        targets: Models attacked.
        with_logits: Adds whole answers, for attacks that need them.
        tell: Told how many targets are done.
        left_out: Takes the attacks that some target lacks the evidence for, with the reason; their
            scores are not given back. None makes that an error.

    Raises:
        UserError: An attack cannot be run on a target and is not to be left out, or none can.
    """
    shape = (len(targets), len(ids))
    values = {name: np.empty(shape) for name in attacks}
    seconds = {name: np.empty(len(targets)) for name in attacks}
    for i, target in enumerate(targets):
        shown = evidence(signals, target)
        for name in list(values):
            began = time.perf_counter()
            try:
                values[name][i] = _score(attacks[name], shown, target, ids, with_logits)
            except UserError as error:
                reason = f"model {target}: {error}"
                if left_out is None:
                    raise UserError(f"{name} on {reason}") from error
                left_out[name] = reason
                del values[name]
            seconds[name][i] = time.perf_counter() - began
        tell(i + 1, len(targets))
    if left_out and not values:
        raise UserError(f"no attack can be run on these signals. {next(iter(left_out.values()))}")
    return [
        Scored(name=name, attack=attacks[name], values=rows, seconds=seconds[name])
        for name, rows in values.items()
    ]


def choose_on_references(
    attacks: Mapping[str, Attack],
    signals: xr.Dataset,
    member: np.ndarray,
    ids: IntArray,
    targets: Sequence[int],
    *,
    canaries: np.ndarray,
    with_logits: WithLogits | None = None,
) -> Choices:
    """For each target the attacks that did best on two reference models, the target unseen.

    The reference models that play the target are the next two that have members and non-members
    and are neither the target nor its complement; both of these are left out of the evidence. Two
    complements therefore share a rehearsal. Where there is no such model, nothing is chosen.

    Args:
        attacks: As for :func:`score_models`.
        signals: As for :func:`score_models`.
        member: Whether model *s* holds record ``ids[j]``, shape ``(S, n)``.
        ids: Records of the pool.
        targets: Models to choose for.
        canaries: Whether a record is a canary, shape ``(n,)``.
        with_logits: As for :func:`score_models`.
    """
    chosen: Choices = {}
    rehearsed: dict[frozenset[int], dict[tuple[Block, str], str]] = {}
    for target in targets:
        partner = complement(member, target)
        hidden = frozenset({target} if partner is None else {target, partner})
        if hidden not in rehearsed:
            stand_ins = list(islice(_stand_ins(member, target, hidden, canaries), 2))
            scores = _rehearsed(attacks, signals, ids, stand_ins, hidden, with_logits)
            rehearsed[hidden] = (
                {}
                if not scores or not stand_ins
                else {
                    (block, metric): rank_attacks(
                        {name: [row[among] for row in rows] for name, rows in scores.items()},
                        [member[one][among] for one in stand_ins],
                        metric,
                    )
                    for block, among in _blocks(canaries)
                    for metric in METRICS
                }
            )
        chosen[target] = rehearsed[hidden]
    return chosen


def _rehearsed(
    attacks: Mapping[str, Attack],
    signals: xr.Dataset,
    ids: IntArray,
    stand_ins: Sequence[int],
    hidden: frozenset[int],
    with_logits: WithLogits | None,
) -> dict[str, list[FloatArray]]:
    """Scores of the attacks that can do with the reference models that are left."""
    scores: dict[str, list[FloatArray]] = {name: [] for name in attacks}
    for one in stand_ins:
        shown = evidence(signals, one, without=hidden)
        for name, attack in attacks.items():
            try:
                scores[name].append(_score(attack, shown, one, ids, with_logits))
            except UserError:  # two models fewer than the target's attacker has
                continue
    return {name: rows for name, rows in scores.items() if len(rows) == len(stand_ins)}


def _blocks(canaries: np.ndarray) -> list[tuple[Block, np.ndarray]]:
    """The records of each block: canaries apart, where there are any."""
    plain: list[tuple[Block, np.ndarray]] = [("held_out", ~canaries)]
    return [*plain, ("canaries", canaries)] if canaries.any() else plain


def _stand_ins(
    member: np.ndarray, target: int, hidden: frozenset[int], canaries: np.ndarray
) -> Iterator[int]:
    """Models after the target that can play it: in each block, members and non-members."""
    for step in range(1, len(member)):
        one = (target + step) % len(member)
        sides = (member[one][among] for _, among in _blocks(canaries))
        if one not in hidden and all(row.any() and not row.all() for row in sides):
            yield one


def _score(
    attack: Attack,
    shown: xr.Dataset,
    target: int,
    ids: IntArray,
    with_logits: WithLogits | None,
) -> FloatArray:
    if "logits" in attack.needs and "logits" not in shown and with_logits is not None:
        shown = with_logits(shown, target)
    return attack(shown, target).sel(sample=ids).to_numpy()


def model_questions(
    member: np.ndarray, targets: Sequence[int], canaries: np.ndarray
) -> Iterator[Question]:
    """Members against non-members of every target and (with several) of all pooled.

    Args:
        member: Whether target *i* holds record *j*, shape ``(targets, n)``.
        targets: Their numbers.
        canaries: Whether a record is a canary, shape ``(n,)``; asked about apart and not with the
            others where there are any.
    """
    rows: list[tuple[Target, np.ndarray]] = [
        (int(target), np.eye(len(targets), dtype=bool)[i][:, None])
        for i, target in enumerate(targets)
    ]
    if len(targets) > 1:
        rows.append(("all", np.ones((len(targets), 1), dtype=bool)))
    for target, row in rows:
        for block, among in _blocks(canaries):
            inside, outside = member & among & row, ~member & among & row
            if inside.any() and outside.any():
                yield Question(target=target, block=block, member=inside, nonmember=outside)


def model_scores_frame(
    scored: Sequence[Scored], member: np.ndarray, ids: IntArray, targets: Sequence[int]
) -> pd.DataFrame:
    """``scores.parquet``: a record's ``owner`` is the target that was trained on it, or -1."""
    import pandas as pd

    most = max(1, MOST_ROWS // (len(scored) * len(ids)))
    kept = np.asarray(targets[:most], dtype=np.int64)
    n, k = len(ids), len(kept)
    owner = np.where(member[:k], kept[:, None], HELD_OUT).ravel()
    parts = [
        pd.DataFrame(
            {
                "sample": np.tile(ids, k),
                "attack": one.name,
                "target": np.repeat(kept, n),
                "score": one.values[:k].ravel(),
                "owner": owner,
            }
        )
        for one in scored
    ]
    return pd.concat(parts, ignore_index=True)
