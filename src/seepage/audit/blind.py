"""The rows that must be at chance: they never saw the model, or never a true member."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
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
class Sides:
    """Scores and ids of those called members, and of those called non-members."""

    member: FloatArray
    member_ids: IntArray
    nonmember: FloatArray
    nonmember_ids: IntArray


@dataclass(frozen=True, kw_only=True)
class _Comparison:
    """``labels`` of both sides, where only records of the same label are compared."""

    name: Literal["blind_label", "blind_input", "placebo"]
    of: str | None
    target: Target
    block: Block
    sides: Sides
    labels: tuple[IntArray, IntArray] | None = None


def blind_rows(
    scored: Sequence[Scored],
    truth: Truth,
    targets: Sequence[int],
    *,
    candidates: Candidates | None,
    seed: int,
    skewed: bool = False,
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

    Where the study deals labels out unevenly on purpose (``skewed``), labels do tell members, and
    ``blind_label`` says how well: its rows are ``expected`` to be off chance and do not spoil the
    whole. ``blind_input`` then compares records of the same label alone, and stays a check.

    Args:
        scored: Scores of every attack.
        truth: Owners.
        targets: Clients asked about.
        candidates: Inputs and labels; None leaves the first two kinds out.
        seed: Seed of folds and placebos.
        skewed: Whether labels were dealt out unevenly on purpose.
    """
    compared = [*_placebos(scored, truth, targets, child(seed, "placebo"))]
    if candidates is not None:
        labels = candidates.labels.cpu().numpy()
        compared += [
            _Comparison(
                name="blind_label", of=None, target=_pooled(targets), block=block, sides=sides
            )
            for block, sides in label_priors(labels, truth, targets, seed=seed).items()
        ]
        compared += _input_classifier(candidates, truth, targets, seed, skewed=skewed)
    level = 1 - (1 - CONFIDENCE) / max(len(compared), 1)
    rows = [_row(one, level, skewed=skewed) for one in compared]
    checks = [row for row in rows if not row.expected]
    return Blind(ok=bool(checks) and all(row.ok for row in checks), rows=rows)


def _row(one: _Comparison, level: float, *, skewed: bool) -> BlindRow:
    sides = one.sides
    alike = {"member_ids": sides.member_ids, "nonmember_ids": sides.nonmember_ids}
    scores = sides.member, sides.nonmember
    if one.labels is None:
        area = metrics.auc(*scores)
        low, high = metrics.auc_interval(*scores, **alike, confidence=level)
    else:
        area = metrics.within_auc(*scores, *one.labels)
        low, high = metrics.within_auc_interval(*scores, *one.labels, **alike, confidence=level)
    return BlindRow(
        name=one.name,
        of=one.of,
        target=one.target,
        block=one.block,
        n_members=len(sides.member),
        n_nonmembers=len(sides.nonmember),
        auc=area,
        auc_interval=(low, high),
        ok=low <= 0.5 <= high,
        expected=skewed and one.name == "blind_label",
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
    rest = held_out & ~called
    for one in scored:
        ids = np.broadcast_to(truth.ids, one.values.shape)
        yield _Comparison(
            name="placebo",
            of=one.name,
            target="any" if one.attack.over == "round" else _pooled(targets),
            block="held_out",
            sides=Sides(
                member=one.values[:, called].ravel(),
                member_ids=ids[:, called].ravel(),
                nonmember=one.values[:, rest].ravel(),
                nonmember_ids=ids[:, rest].ravel(),
            ),
        )


def label_priors(
    labels: IntArray, truth: Truth, targets: Sequence[int], *, seed: int
) -> dict[Block, Sides]:
    """What labels alone say of the half of the records that is judged, all targets pooled.

    For each target and block :func:`~seepage.attacks.blind.blind_label`, learned on the other half.
    As for attacks, scores are pooled as their places among the target's own non-members.

    Args:
        labels: Class of every record of ``truth``.
        truth: Owners.
        targets: Clients asked about; one with too few records has no part.
        seed: Seed of the halves, the same as for :func:`blind_rows`.

    Returns:
        By block; without a block where no target has enough records.
    """
    teaches = teaching_half(truth.owner, child(seed, "teaches"))
    asked = [question for question in questions(truth, targets) if question.target != "all"]
    found: dict[Block, Sides] = {}
    for block in BLOCKS:
        parts = [
            sides
            for question in asked
            if question.block == block
            and (sides := _label_prior(question, labels, truth, teaches)) is not None
        ]
        if parts:
            found[block] = Sides(
                member=np.concatenate([part.member for part in parts]),
                member_ids=np.concatenate([part.member_ids for part in parts]),
                nonmember=np.concatenate([part.nonmember for part in parts]),
                nonmember_ids=np.concatenate([part.nonmember_ids for part in parts]),
            )
    return found


def label_prior(question: Question, labels: IntArray, truth: Truth, *, seed: int) -> Sides | None:
    """:func:`label_priors` of one question; None where it has too few records."""
    return _label_prior(question, labels, truth, teaching_half(truth.owner, child(seed, "teaches")))


def _label_prior(
    question: Question, labels: np.ndarray, truth: Truth, teaches: np.ndarray
) -> Sides | None:
    member, nonmember = (np.any(side, axis=0) for side in (question.member, question.nonmember))
    if _too_few(np.asarray(member), np.asarray(nonmember), teaches):
        return None
    rows = np.flatnonzero(np.logical_or(member, nonmember))
    scores = blind_label(labels[rows], member[rows], teaches[rows])
    raw = _sides(scores, truth.ids[rows], member[rows])
    return replace(
        raw,
        member=metrics.placements(raw.member, raw.nonmember),
        nonmember=metrics.placements(raw.nonmember, raw.nonmember),
    )


def _input_classifier(
    candidates: Candidates, truth: Truth, targets: Sequence[int], seed: int, *, skewed: bool
) -> Iterator[_Comparison]:
    teaches = teaching_half(truth.owner, child(seed, "teaches"))
    member, held_out = np.isin(truth.owner, targets), truth.owner == HELD_OUT
    if _too_few(member, held_out, teaches):
        return
    either = np.flatnonzero(member | held_out)
    inputs = candidates.inputs.cpu().numpy().reshape(len(truth.ids), -1)[either]
    labels, member = candidates.labels.cpu().numpy()[either], member[either]
    rng = child(seed, "inputs")
    scores = blind_input(inputs, labels, member, teaches[either], rng)
    judged = ~np.isnan(scores)
    within = labels[judged & member], labels[judged & ~member]
    if skewed and not np.isin(*within).any():
        return
    yield _Comparison(
        name="blind_input",
        of=None,
        target=_pooled(targets),
        block="held_out",
        sides=_sides(scores, truth.ids[either], member),
        labels=within if skewed else None,
    )


def _too_few(member: np.ndarray, nonmember: np.ndarray, teaches: np.ndarray) -> bool:
    halves = [side & half for side in (member, nonmember) for half in (teaches, ~teaches)]
    return min(int(half.sum()) for half in halves) < FEWEST


def _sides(scores: FloatArray, ids: IntArray, member: np.ndarray) -> Sides:
    judged = ~np.isnan(scores)
    return Sides(
        member=scores[judged & member],
        member_ids=ids[judged & member],
        nonmember=scores[judged & ~member],
        nonmember_ids=ids[judged & ~member],
    )
