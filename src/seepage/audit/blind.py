"""The rows that must be at chance: they never saw the model, or never a true member."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from seepage import metrics
from seepage._rng import child
from seepage.attacks.blind import blind_input, blind_label, placebo, teaching_half
from seepage.audit.score import BLOCKS, Question, Scored, Target, questions
from seepage.records import HELD_OUT, Block, Candidates, FloatArray, IntArray, Truth
from seepage.results import Blind, BlindRow

if TYPE_CHECKING:
    from numpy.random import Generator

CONFIDENCE = 0.95
FEWEST = 5  # of members and of non-members, in either half


@dataclass(frozen=True, kw_only=True)
class _Sides:
    """Scores and ids of those called members, and of those called non-members."""

    member: FloatArray
    member_ids: IntArray
    nonmember: FloatArray
    nonmember_ids: IntArray


@dataclass(frozen=True, kw_only=True)
class _Comparison:
    name: Literal["blind_label", "blind_input", "placebo"]
    of: str | None
    target: Target
    block: Block
    sides: _Sides


def blind_rows(
    scored: Sequence[Scored],
    truth: Truth,
    targets: Sequence[int],
    *,
    candidates: Candidates | None,
    seed: int,
) -> Blind:
    """Blind baselines and placebos, with intervals that hold for all of them together.

    * ``blind_label``: can the labels alone tell members from non-members? A prior learned on
      half the records, judged on the other half.
    * ``blind_input``: can the inputs alone? A classifier learned and judged likewise, for all
      targets at once against the held-out records: does what is held out look like what is not?
    * ``placebo``: every attack's own scores, on held-out records half of which are called
      members.

    A row is ``ok`` when its interval, at 95 % simultaneously over all rows (Bonferroni), holds
    0.5. Where one is not, no number of the audit can be taken as leakage by the model; where none
    could be run, nothing vouches for the numbers, and the whole is not ``ok`` either.

    Args:
        scored: Scores of every attack.
        truth: Owners.
        targets: Clients asked about.
        candidates: Inputs and labels; None leaves the first two kinds out.
        seed: Seed of folds and placebos.
    """
    compared = [*_placebos(scored, truth, targets, child(seed, "placebo"))]
    if candidates is not None:
        labels = candidates.labels.cpu().numpy()
        teaches = teaching_half(truth.owner, child(seed, "teaches"))
        compared += _label_priors(labels, truth, targets, teaches)
        compared += _input_classifier(candidates, truth, targets, teaches, child(seed, "inputs"))
    level = 1 - (1 - CONFIDENCE) / max(len(compared), 1)
    rows = [_row(one, level) for one in compared]
    return Blind(ok=bool(rows) and all(row.ok for row in rows), rows=rows)


def _row(one: _Comparison, level: float) -> BlindRow:
    sides = one.sides
    low, high = metrics.auc_interval(
        sides.member,
        sides.nonmember,
        member_ids=sides.member_ids,
        nonmember_ids=sides.nonmember_ids,
        confidence=level,
    )
    return BlindRow(
        name=one.name,
        of=one.of,
        target=one.target,
        block=one.block,
        n_members=len(sides.member),
        n_nonmembers=len(sides.nonmember),
        auc=metrics.auc(sides.member, sides.nonmember),
        auc_interval=(low, high),
        ok=low <= 0.5 <= high,
    )


def _pooled(targets: Sequence[int]) -> Target:
    return "all" if len(targets) > 1 else int(targets[0])


def _placebos(
    scored: Sequence[Scored], truth: Truth, targets: Sequence[int], rng: Generator
) -> Iterator[_Comparison]:
    held_out = truth.owner == HELD_OUT
    if held_out.sum() < 2 * FEWEST:
        return
    called = placebo(truth.ids, truth.owner, rng)
    ids = np.broadcast_to(truth.ids, (len(targets), len(truth.ids)))
    rest = held_out & ~called
    for one in scored:
        yield _Comparison(
            name="placebo",
            of=one.name,
            target=_pooled(targets),
            block="held_out",
            sides=_Sides(
                member=one.values[:, called].ravel(),
                member_ids=ids[:, called].ravel(),
                nonmember=one.values[:, rest].ravel(),
                nonmember_ids=ids[:, rest].ravel(),
            ),
        )


def _label_priors(
    labels: np.ndarray, truth: Truth, targets: Sequence[int], teaches: np.ndarray
) -> Iterator[_Comparison]:
    asked = [question for question in questions(truth, targets) if question.target != "all"]
    for block in BLOCKS:
        parts = [
            sides
            for question in asked
            if question.block == block
            and (sides := _label_prior(question, labels, truth, teaches)) is not None
        ]
        if parts:
            yield _Comparison(
                name="blind_label",
                of=None,
                target=_pooled(targets),
                block=block,
                sides=_Sides(
                    member=np.concatenate([part.member for part in parts]),
                    member_ids=np.concatenate([part.member_ids for part in parts]),
                    nonmember=np.concatenate([part.nonmember for part in parts]),
                    nonmember_ids=np.concatenate([part.nonmember_ids for part in parts]),
                ),
            )


def _label_prior(
    question: Question, labels: np.ndarray, truth: Truth, teaches: np.ndarray
) -> _Sides | None:
    member, nonmember = (np.any(side, axis=0) for side in (question.member, question.nonmember))
    if _too_few(np.asarray(member), np.asarray(nonmember), teaches):
        return None
    rows = np.flatnonzero(np.logical_or(member, nonmember))
    scores = blind_label(labels[rows], member[rows], teaches[rows])
    return _sides(scores, truth.ids[rows], member[rows])


def _input_classifier(
    candidates: Candidates,
    truth: Truth,
    targets: Sequence[int],
    teaches: np.ndarray,
    rng: Generator,
) -> Iterator[_Comparison]:
    member, held_out = np.isin(truth.owner, targets), truth.owner == HELD_OUT
    if _too_few(member, held_out, teaches):
        return
    either = np.flatnonzero(member | held_out)
    inputs = candidates.inputs.cpu().numpy().reshape(len(truth.ids), -1)
    labels = candidates.labels.cpu().numpy()[either]
    scores = blind_input(inputs[either], labels, member[either], teaches[either], rng)
    yield _Comparison(
        name="blind_input",
        of=None,
        target=_pooled(targets),
        block="held_out",
        sides=_sides(scores, truth.ids[either], member[either]),
    )


def _too_few(member: np.ndarray, nonmember: np.ndarray, teaches: np.ndarray) -> bool:
    halves = [side & half for side in (member, nonmember) for half in (teaches, ~teaches)]
    return min(int(half.sum()) for half in halves) < FEWEST


def _sides(scores: FloatArray, ids: IntArray, member: np.ndarray) -> _Sides:
    judged = ~np.isnan(scores)
    return _Sides(
        member=scores[judged & member],
        member_ids=ids[judged & member],
        nonmember=scores[judged & ~member],
        nonmember_ids=ids[judged & ~member],
    )
