"""Which records judge the images of a generator: none that anybody in the federation trains on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from seepage._rng import child
from seepage.records import UserError

if TYPE_CHECKING:
    from seepage.records import Dataset, IntArray, Split

LEARNS_FROM = 5_000
"""Most records that the independent classifier learns from."""

REAL = 1_000
"""Most real images of all classes that drawn ones are held against."""

ENOUGH, FEWEST = 50, 5
"""Records of a class that make a classifier worth asking, and that one can be trained on at all."""


def real_records(split: Split, seed: int) -> IntArray:
    """The real images that drawn ones are held against, in an order of their own.

    At most half of what is held out, so that others are left to learn from.
    """
    order = child(seed, "users", "real").permutation(split.held_out)
    return order[: min(REAL, -(-len(order) // 2))]


def judging_records(
    dataset: Dataset, split: Split, asked: IntArray, classes: int, seed: int
) -> IntArray:
    """Records of no client, for the independent classifier to learn from.

    The first of these that has enough of every class: those that nobody asks about and that are
    not held against drawn images; those not held against them; all.

    Args:
        dataset: All samples.
        split: Who trains on what.
        asked: Ids of the candidates.
        classes: Classes that records have.
        seed: The study's.

    Raises:
        UserError: No choice has ``FEWEST`` records of every class.
    """
    labels = dataset.labels.cpu().numpy()
    others = np.setdiff1d(np.arange(len(dataset)), np.concatenate(split.clients))
    apart = np.setdiff1d(others, real_records(split, seed))
    choices = (np.setdiff1d(apart, asked), apart, others)
    for wanted in (ENOUGH, FEWEST):
        for rows in choices:
            if np.bincount(labels[rows], minlength=classes)[:classes].min() >= wanted:
                few = child(seed, "users", "judge").permutation(rows)
                return np.sort(few[:LEARNS_FROM])
    counts = np.bincount(labels[others], minlength=classes)[:classes]
    rare = int(counts.argmin())
    raise UserError(
        f"insider.gan: images are judged by records that no client holds, at least {FEWEST} of "
        f"every class, and of class {rare} there are {counts[rare]}. Hold out more "
        "(data.held_out), or give clients fewer (data.per_label, data.per_client)."
    )
