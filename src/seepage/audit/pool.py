"""The records of a black-box audit: who may be in a model, who may not, and who is a canary."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from seepage._rng import child
from seepage.records import Dataset, IntArray, UserError

if TYPE_CHECKING:
    from seepage.sections import ReferenceSection

PUBLIC, VALIDATION = "public", "validation"


@dataclass(frozen=True, kw_only=True)
class Pool:
    """What becomes of every record of a data set.

    Attributes:
        ids: The pool: each model is trained on about half of it; ascending.
        public: Records outside it that anyone holds; ascending.
        validation: Records outside it that choose the best epoch; ascending.
        canaries: Records of the pool that are audited on their own as well; ascending.
    """

    ids: IntArray
    public: IntArray
    validation: IntArray
    canaries: IntArray

    @property
    def asked(self) -> IntArray:
        """The records every model is asked about: the pool and the public ones, ascending."""
        return np.union1d(self.ids, self.public)

    @property
    def digest(self) -> str:
        """Changes with who is public or chooses epochs: both can sway a training."""
        parts = (self.public, self.validation)
        return hashlib.sha256(b"/".join(part.tobytes() for part in parts)).hexdigest()


def draw_pool(records: int, settings: ReferenceSection, seed: int) -> Pool:
    """Deal out ``records`` records; depends on the seed and the settings alone.

    Raises:
        UserError: More are asked for than there are, or too few are left for the pool.
    """
    order = child(seed, "reference", "pool").permutation(records)
    apart = settings.public + settings.validation
    left = records - apart
    wanted = left if settings.records is None else settings.records
    if wanted > left or wanted < 4:
        raise UserError(
            f"reference.records = {settings.records or 'all'}: of {records} records, "
            f"{settings.public} are public and {settings.validation} for validation, which leaves "
            f"{max(left, 0)}; expected 4 to that many. Lower one of the three."
        )
    if settings.canaries > wanted:
        raise UserError(
            f"reference.canaries = {settings.canaries}: there are only {wanted} records in the "
            "pool. Lower it, or enlarge reference.records."
        )
    public, validation = order[: settings.public], order[settings.public : apart]
    ids = order[apart : apart + wanted]
    return Pool(
        ids=np.sort(ids),
        public=np.sort(public),
        validation=np.sort(validation),
        canaries=np.sort(ids[: settings.canaries]),
    )


def check_sides(member: np.ndarray, canaries: np.ndarray, targets: Sequence[int]) -> None:
    """Every question needs a member and a non-member.

    Args:
        member: Whether target *i* holds record *j* of the pool, shape ``(targets, n)``.
        canaries: Whether a record is a canary, shape ``(n,)``.
        targets: The targets' numbers.

    Raises:
        UserError: A target has only one of them among canaries, or among the others.
    """
    asked = [("other records of the pool", ~canaries)]
    if canaries.any():
        asked.append(("canaries", canaries))
    for what, among in asked:
        for target, mine in zip(targets, member, strict=True):
            inside, all_of = int(mine[among].sum()), int(among.sum())
            if not 0 < inside < all_of:
                raise UserError(
                    f"model {target} is trained on {inside} of the {all_of} {what}, so there are "
                    "no members or no non-members to tell apart. Enlarge reference.records, or "
                    "change reference.canaries."
                )


def mislabel(dataset: Dataset, rows: IntArray, seed: int) -> Dataset:
    """The data set with a wrong label, uniform over the others, on ``rows``.

    A model can only answer such a record with its wrong label by having memorised it, so it shows
    the most that the training leaks (Aerni, Zhang and Tramèr, 2024).
    """
    if not len(rows):
        return dataset
    shift = child(seed, "reference", "canaries").integers(1, dataset.classes, size=len(rows))
    labels, where = dataset.labels.clone(), torch.as_tensor(rows)
    labels[where] = (labels[where] + torch.as_tensor(shift).to(labels.device)) % dataset.classes
    return replace(dataset, labels=labels)
