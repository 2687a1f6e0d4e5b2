"""Whose records are whose in an inversion: the federation's, the attackers', the evaluator's."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from seepage import data as data_stage
from seepage._rng import child
from seepage.audit.loading import ModelFactory, load_data
from seepage.data.classes import class_numbers, listed_numbers, names_of
from seepage.data.enough import with_enough
from seepage.data.private import FEWEST_PUBLIC, fit_images, sides
from seepage.records import UserError
from seepage.sections_inversion import PublicSection
from seepage.study import Study

if TYPE_CHECKING:
    from seepage.records import Dataset, IntArray, Split

FEWEST = 5
"""Pictures of a private class, below which nobody can be taught what it looks like."""

TAUGHT = (
    "Too few records are held out of some classes, so that the evaluator has learned from records "
    "that clients train on."
)

BEYOND = 1e-3
"""How far a raw pixel may lie outside [0, 1] by rounding."""

REAL = 1_000
"""Most real private images that stand beside reconstructions."""


@dataclass(frozen=True, kw_only=True)
class Sides:
    """The parts of a study's data.

    Attributes:
        private: The federation's records; classes numbered from 0.
        public: Raw pixels in [0, 1] that the attackers may hold, shape ``(n, c, h, w)``.
        known: All records that an evaluator may learn from, private classes first.
        of_private: Rows of ``known`` that are the rows of ``private``, in their order.
        of_public: Rows of ``known`` that are public; none where those come from elsewhere.
        said: Where the public images come from, in words.
        notes: What was left out or changed on reading.
    """

    private: Dataset
    public: torch.Tensor
    known: Dataset
    of_private: IntArray
    of_public: IntArray
    said: str
    notes: tuple[str, ...]

    @property
    def checksum(self) -> str:
        """Changes with the public images."""
        return hashlib.sha256(self.public.cpu().numpy().tobytes()).hexdigest()


def load_sides(
    study: Study,
    data: Dataset | tuple[Any, Any] | None,
    model: ModelFactory | None,
    root: Path | None,
    device: str,
) -> tuple[Study, Sides]:
    """The study's data in its parts, on the device; and the study with the names of what it uses.

    Raises:
        UserError: The data are no images, or a part is empty.
    """
    study, dataset = load_data(study, data, model, root)
    if dataset.inputs.ndim != 4 or dataset.inputs.shape[1] not in (1, 3):
        raise UserError(
            f"an inversion draws images, and {dataset.name} has inputs of shape "
            f"{tuple(dataset.inputs.shape[1:])}. Choose a data set of images."
        )
    _check_pixels(dataset)
    assert study.inversion is not None
    public = study.inversion.public
    if public.name is None:
        dataset, named = _enough(dataset, public)
        parts = sides(dataset, labels=named, share=public.share, seed=study.seed)
        private, known, pixels = parts.private, parts.known, parts.public
        own, others = parts.rows_private, parts.rows_public
        said = f"{dataset.name}, {_named(parts.public_labels, known)}"
        if public.share is not None:
            said = f"{public.share:.0%} of {dataset.name}"
        notes = parts.private.notes
    else:
        private = known = with_enough(dataset, FEWEST)
        labelled = "min_pictures" in public.options or not data_stage.is_folder(public.name)
        unlabelled = {} if labelled else {"classes": False}
        elsewhere = data_stage.load(
            public.name, root=root, options={**unlabelled, **public.options}
        )
        pixels, shared = _apart(fit_images(elsewhere, private), dataset)
        own, others = np.arange(len(private)), np.arange(0)
        said, notes = public.name, (*private.notes, *elsewhere.notes, *shared)
    return study, Sides(
        private=private.to(device),
        public=private.pixels(pixels).clamp_(0, 1).to(device),
        known=known.to(device),
        of_private=own,
        of_public=others,
        said=said,
        notes=notes,
    )


def _check_pixels(dataset: Dataset) -> None:
    low, high = (float(value) for value in dataset.pixels(dataset.inputs).aminmax())
    if low < -BEYOND or high > 1 + BEYOND:
        raise UserError(
            f"an inversion draws pixels in [0, 1], and {dataset.name} has values from {low:g} to "
            f"{high:g} before normalisation. Scale the images, or pass a seepage.Dataset that says "
            "its mean and std."
        )


def _enough(dataset: Dataset, public: PublicSection) -> tuple[Dataset, list[str] | None]:
    """The data set without private classes that are too small, and the public ones by name."""
    if public.share is not None:
        return with_enough(dataset, FEWEST), None
    if public.identities is not None:
        numbers = listed_numbers(dataset, public.identities, "inversion.public.identities")
    else:
        numbers = class_numbers(dataset, public.labels or (), "inversion.public.labels")
    names = names_of(dataset)
    return with_enough(dataset, FEWEST, spare=numbers), [names[number] for number in numbers]


def _apart(public: torch.Tensor, private: Dataset) -> tuple[torch.Tensor, list[str]]:
    """Public images without those that the federation holds too, and a note if there were some.

    Raises:
        UserError: Hardly any is left.
    """
    held = {image.tobytes() for image in _shades(private.inputs, private)}
    alone = [image.tobytes() not in held for image in _shades(public, private)]
    if all(alone):
        return public, []
    if sum(alone) < FEWEST_PUBLIC:
        raise UserError(
            f"inversion.public.name: {len(alone) - sum(alone):,} of its {len(alone):,} images are "
            "the federation's own. Name other images, or part the data by inversion.public.labels "
            "or share."
        )
    note = f"{len(alone) - sum(alone):,} public images are the federation's too and were left out."
    return public[torch.tensor(alone)], [note]


def _shades(inputs: torch.Tensor, like: Dataset) -> np.ndarray:
    return (255 * like.pixels(inputs).clamp(0, 1)).round().to(torch.uint8).cpu().numpy()


def _named(labels: IntArray, known: Dataset) -> str:
    classes = len(np.unique(labels))
    return f"{classes} public classes" if classes > 1 else "1 public class"


def judging(parts: Sides, split: Split, seed: int) -> tuple[IntArray, IntArray, str | None]:
    """Rows that the evaluator learns from, rows of real images, and what to say about them.

    Nobody trains on either while there are enough of every private class: a third of what is held
    out stands beside reconstructions as real images, and the rest, with all public records,
    teaches the evaluator. Where a class has too few, the clients' own records teach it too; and
    where that is too few as well, the real images.

    Returns:
        Rows of ``parts.known``, rows of ``parts.private``, and a sentence where the two overlap
        or the evaluator has seen what clients train on.
    """
    labels = parts.private.labels.cpu().numpy()
    order = child(seed, "inversion", "real").permutation(split.held_out)
    real = order[: min(REAL, -(-len(order) // 3))]
    apart = np.setdiff1d(split.held_out, real)
    everything = np.arange(len(parts.private))
    choices = [
        (apart, None),
        (np.setdiff1d(everything, real), TAUGHT),
        (everything, f"{TAUGHT[:-1]}, and from the real images it is compared on."),
    ]
    enough = [
        choice
        for choice in choices
        if np.bincount(labels[choice[0]], minlength=parts.private.classes).min() >= FEWEST
    ]
    chosen, note = (enough or choices[-1:])[0]
    return np.union1d(parts.of_private[chosen], parts.of_public), np.sort(real), note
