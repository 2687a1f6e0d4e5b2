"""Attacks on signals, truth on scores: the rows of a result.

Works on arrays alone, so it serves a run of ours and a signals file made anywhere.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from seepage import metrics
from seepage._rng import child
from seepage.attacks.redraw import redraw
from seepage.audit.victim import decisions, of_victim
from seepage.records import ANYONE, HELD_OUT, Block, FloatArray, IntArray, Truth, UserError
from seepage.results import AttackRow

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from seepage.protocols import Attack

BLOCKS: tuple[Block, ...] = ("mix", "held_out", "others")
DEFAULT_FPR = (1e-1, 1e-2, 1e-3, 1e-4)
NOTHING_SHARED = (
    "the signals and the truth have no sample id in common. "
    "Both must number the records the same way."
)
Target = int | Literal["all", "any"]


@dataclass(frozen=True, kw_only=True)
class Scored:
    """One attack's scores: ``values[i, j]`` for target ``targets[i]`` and sample ``ids[j]``.

    For the question whether anyone trained on a record, ``values`` has a single row.
    ``marked[i, j]`` is the attack's own decision, where it has one.
    """

    name: str
    attack: Attack
    values: FloatArray
    seconds: FloatArray
    marked: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True)
class Question:
    """Members and non-members of one target (or all, pooled) within one block of non-members.

    Target ``any`` is all clients as one: see :mod:`seepage.audit.anyone`.
    """

    target: Target
    block: Block
    member: np.ndarray
    nonmember: np.ndarray


def align(signals: xr.Dataset, truth: Truth, targets: Sequence[int]) -> tuple[xr.Dataset, Truth]:
    """Signals and truth of the samples that both have, joined by id.

    Raises:
        UserError: They have no sample in common, or a target owns none of them.
    """
    shared = np.intersect1d(signals.indexes["sample"].to_numpy(), truth.ids)
    if not len(shared):
        raise UserError(NOTHING_SHARED)
    owner = truth.owner[np.searchsorted(truth.ids, shared)]
    for target in targets:
        if target not in owner:
            owners = ", ".join(str(k) for k in np.unique(owner) if k != HELD_OUT)
            raise UserError(
                f"client {target} owns none of the {len(shared)} samples with signals; "
                f"owners there are: {owners or 'none'}. Choose one of these as --target."
            )
    if (owner == owner[0]).all():
        raise UserError(
            "every sample has the same owner, so there is nobody to tell apart. "
            "Add records that nobody trained on (owner -1)."
        )
    return signals.sel(sample=shared), Truth(ids=shared, owner=owner)


def score_attacks(
    attacks: Mapping[str, Attack],
    signals: xr.Dataset,
    truth: Truth,
    targets: Sequence[int],
    *,
    redraw_seed: int | None = None,
) -> list[Scored]:
    """Run every attack on every target.

    Args:
        attacks: Attacks by name; those on a round's sum look at no target and are left out.
        signals: Signals of exactly the samples of ``truth``.
        truth: Used only to put the scores in order and, with ``redraw_seed``, to know which
            columns are non-members; no attack sees it.
        targets: Clients asked about.
        redraw_seed: Reproduce the released protocol's redraw of the non-members.
    """
    scored = []
    seen: dict[int, xr.Dataset] = dict.fromkeys(targets, signals)
    if redraw_seed is not None:
        for target in targets:
            seen[target] = redraw(
                signals, truth.owner, target, child(redraw_seed, "redraw", target)
            )
    for name, attack in attacks.items():
        if attack.over == "round":
            continue
        values, seconds = np.empty((len(targets), len(truth.ids))), np.empty(len(targets))
        for i, target in enumerate(targets):
            began = time.perf_counter()
            values[i] = attack(seen[target], target).sel(sample=truth.ids).to_numpy()
            seconds[i] = time.perf_counter() - began
        marked = decisions(attack, [seen[target] for target in targets], targets, truth.ids)
        scored.append(
            Scored(name=name, attack=attack, values=values, seconds=seconds, marked=marked)
        )
    return scored


def questions(truth: Truth, targets: Sequence[int]) -> Iterator[Question]:
    """Every target against every block, then (with several targets) all of them pooled.

    A question's masks have the shape of the scores, ``(targets, samples)``. Pooled, a record
    counts once for each target it is a candidate for; the intervals know that it is one record.
    A block without a record is left out.
    """
    owner = truth.owner[None, :]
    member = owner == np.asarray(targets)[:, None]
    outside = {
        "mix": ~member,
        "held_out": np.broadcast_to(owner == HELD_OUT, member.shape),
        "others": ~member & (owner != HELD_OUT),
    }
    rows: list[tuple[Target, np.ndarray]] = [
        (int(target), np.eye(len(targets), dtype=bool)[i][:, None])
        for i, target in enumerate(targets)
    ]
    if len(targets) > 1:
        rows.append(("all", np.ones((len(targets), 1), dtype=bool)))
    for target, row in rows:
        for block in BLOCKS:
            nonmember = outside[block] & row
            if nonmember.any():
                yield Question(target=target, block=block, member=member & row, nonmember=nonmember)


def attack_rows(
    scored: Sequence[Scored],
    asked: Sequence[Question],
    ids: IntArray,
    *,
    fprs: Sequence[float] | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    declared: Mapping[int, Sequence[int]] | None = None,
    labels: IntArray | None = None,
) -> list[AttackRow]:
    """The rows of ``results.json``: every attack on every question about the records ``ids``.

    ``declared`` are the classes that each client declared, where anyone declared any. ``labels``
    are the records' classes where these were dealt out unevenly: see :func:`epsilon_bound`.
    """
    if not scored or not asked:
        return []
    ids = np.broadcast_to(ids, asked[0].member.shape)
    return [
        AttackRow(
            name=one.name,
            adversary=one.attack.adversary,
            target=question.target,
            block=question.block,
            seconds=float(one.seconds[question.member.any(axis=1)].sum()),
            epsilon_lower_bound=epsilon_bound(
                one, question, confidence=confidence, seed=seed, labels=labels
            ),
            **metrics.summarise(
                *pooled(one.values, question),
                member_ids=ids[question.member],
                nonmember_ids=ids[question.nonmember],
                fprs=fprs or DEFAULT_FPR,
                confidence=confidence,
            ),
            **of_victim(one, question, declared or {}),
        )
        for one in scored
        for question in asked
    ]


def pooled(values: FloatArray, question: Question) -> tuple[FloatArray, FloatArray]:
    """Scores of members and non-members, as placements among their own target's non-members.

    For one target that changes no metric. For several it makes their scores comparable: clients
    of different sizes, or at different levels of loss, do not become a leak by being pooled.
    """
    placed = np.array(values, dtype=np.float64)
    for row in np.flatnonzero(np.any(question.member, axis=1)):
        placed[row] = metrics.placements(values[row], values[row][question.nonmember[row]])
    return placed[question.member], placed[question.nonmember]


def epsilon_bound(
    one: Scored,
    question: Question,
    *,
    confidence: float,
    seed: int,
    delta: float = 0.0,
    labels: IntArray | None = None,
) -> float | None:
    """A bound from records that differ by whether anyone trained on them; None for other blocks.

    Target ``any`` compares the same two kinds of records, so its bound holds as well.

    Another client's record was trained on too, so those blocks bound a move, not a presence.
    Pooled, a record is asked about for one target alone, drawn in proportion to the targets'
    members, so that trials are independent and both sides hold the same mixture.

    A bound needs membership that was drawn at random. Where ``labels`` were dealt out unevenly it
    was so among records of one label alone: then each target and label has as many members as
    non-members, the others left out at random. None where nothing is left.
    """
    if question.block not in ("held_out", "canaries"):
        return None
    if one.attack.over == "round" and question.target != "any":
        return None  # it looks at no target
    if "declared" in one.attack.needs:
        return None  # who holds which label differs by the split, not by the training
    rng = child(seed, "epsilon", one.name, str(question.target))
    rows, columns = _one_target_each(question, rng)
    if labels is not None:
        group = rows * (int(labels.max(initial=0)) + 1) + labels[columns]
        kept = _as_many(group, question.member[rows, columns], rng)
        rows, columns = rows[kept], columns[kept]
    member = question.member[rows, columns]
    if not member.any() or member.all():
        return None
    scores = one.values[rows, columns]
    return metrics.epsilon_lower_bound(
        scores[member], scores[~member], delta=delta, confidence=confidence
    )


def _one_target_each(question: Question, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
    """For each record that is asked about, one of the targets it is asked about for."""
    about = question.member | question.nonmember
    shares = np.sum(question.member, axis=1)[:, None] * about
    columns = np.flatnonzero(shares.any(axis=0))
    reach = np.cumsum(shares[:, columns], axis=0)
    drawn = rng.integers(0, reach[-1])
    return np.sum(reach <= drawn, axis=0), columns


def _as_many(group: IntArray, member: np.ndarray, rng: np.random.Generator) -> IntArray:
    """Positions of as many members as non-members of each group, drawn at random, ascending."""
    order = rng.permutation(len(group))
    kept = []
    for one in np.unique(group):
        inside, outside = (
            order[(group == one)[order] & (member == side)[order]] for side in (1, 0)
        )
        fewer = min(len(inside), len(outside))
        kept += [inside[:fewer], outside[:fewer]]
    return np.sort(np.concatenate(kept))


def scores_frame(scored: Sequence[Scored], truth: Truth, targets: Sequence[int]) -> pd.DataFrame:
    """``scores.parquet``: one row a sample, attack and target.

    An attack on a round's sum has target ``ANYONE`` (-1). What attacks on single clients say of
    the same question is the highest of their rows, and is not written again.
    """
    import pandas as pd

    parts = []
    for one in scored:
        asked = [ANYONE] if one.attack.over == "round" else targets
        parts.append(
            pd.DataFrame(
                {
                    "sample": np.tile(truth.ids, len(asked)),
                    "attack": one.name,
                    "target": np.repeat(np.asarray(asked, dtype=np.int64), len(truth.ids)),
                    "score": one.values.ravel(),
                    "owner": np.tile(truth.owner, len(asked)),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)
