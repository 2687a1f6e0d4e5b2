"""Which records each reference model is trained on: planned before any training."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from seepage._rng import child
from seepage.records import UserError

BoolArray = NDArray[np.bool_]


def paired(models: int, records: int, *, seed: int) -> BoolArray:
    """Every record flips a fair coin for every pair of models, which are each other's complement.

    Guarantees:
        * balanced: each record is in exactly half of the models, and still is when a pair is left
          out;
        * independent: within one model, records are in or out by coins of their own, so one model
          is a sound one-run experiment, and its membership says nothing about another pair's;
        * extensible: more models leave the assignment of the first ones as it was.

    Args:
        models: Number of models *S*, even.
        records: Number of records *n*.
        seed: The study's seed.

    Returns:
        Whether model *s* is trained on record *j*, shape ``(S, n)``.

    Raises:
        UserError: ``models`` is odd or less than 2, or there are fewer than 2 records.
    """
    if models < 2 or models % 2 or records < 2:
        raise UserError(
            "reference models come in pairs, each on the records the other leaves: expected an "
            f"even number of models and at least 2 records, got {models} and {records}."
        )
    rows = []
    for pair in range(models // 2):
        heads = child(seed, "reference", "pair", pair).random(records) < 0.5
        rows += [heads, ~heads]
    return np.stack(rows)


def shuffled(draws: NDArray[np.floating]) -> BoolArray:
    r"""Each record in exactly half of the models, by the ranks of one draw a model and record.

    .. math:: \text{in}[s, j] \iff \operatorname{argsort}(U_{\cdot j})_s < S / 2

    The assignment of LiRA's and HAMP's released code. Where a model is left out to be the target,
    a record's count in the others gives its membership away (docs/sharp_edges.md), so audits here
    use :func:`paired`.

    Args:
        draws: Independent uniform numbers, shape ``(S, n)``.

    Source: Carlini et al., "Membership Inference Attacks From First Principles" (2022), code.
    """
    return np.argsort(draws, axis=0) < len(draws) // 2


def complement(member: BoolArray, target: int) -> int | None:
    """The model trained on exactly the records that ``target`` was not, or None.

    What the target was trained on can be read off its assignment, so it cannot be a reference.
    """
    found = np.flatnonzero((member == ~member[target]).all(axis=1))
    return int(found[0]) if len(found) else None
