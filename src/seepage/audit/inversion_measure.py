"""How good reconstructions are, by a judge that has no part in making them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from seepage._rng import child
from seepage.audit.inversion_sides import FEWEST
from seepage.inversion import Reconstructed, Target, train_evaluator
from seepage.metrics import clopper_pearson, reconstruction
from seepage.records import IntArray
from seepage.results import ClassRow, InversionRow, Recognised

if TYPE_CHECKING:
    from torch import Tensor

    from seepage.audit.inversion import PreparedInversion
    from seepage.inversion import Evaluator, Prior
    from seepage.records import FloatArray

Float64Array = NDArray[np.float64]

NEIGHBORS = 3
"""The neighbor that a ball of precision, recall, density and coverage reaches to."""

OF_A_CLASS = 200
"""Most real images of a class that reconstructions are held against."""

AT_RANDOM = 1_000
"""Images that are drawn with no attack at all."""

SHOWN = 6
"""Reconstructions of a class whose nearest real image is named."""


@dataclass(frozen=True)
class Judge:
    """The evaluator, and the real images that reconstructions are held against.

    Attributes:
        prepared: The study made ready.
        evaluator: Knows private and public classes, private ones first.
        training: Rows of the private data set that clients train on, of the classes that are
            reconstructed, at most 200 of each.
        real: Rows of it that nobody trains on, of the same classes where there are some.
    """

    prepared: PreparedInversion
    evaluator: Evaluator
    training: IntArray
    real: IntArray

    @cached_property
    def features(self) -> Float64Array:
        """Features of the training images."""
        return self.evaluator.features(self.prepared.dataset.inputs[self.training])

    @cached_property
    def labels(self) -> IntArray:
        """Classes of the training images."""
        return self.prepared.dataset.labels[self.training].cpu().numpy()

    @cached_property
    def reference(self) -> Recognised:
        """How often real private images are named rightly."""
        data = self.prepared.dataset
        right = self.named(data.inputs[self.real], data.labels[self.real].cpu().numpy())
        return recognised(right)

    def named(self, inputs: Tensor, labels: IntArray) -> NDArray[np.bool_]:
        """Whether the judge agrees: first, among five, among private ones; shape ``(3, n)``."""
        said = self.evaluator.probabilities(inputs)
        order = np.argsort(-said, axis=1, kind="stable")
        private = said[:, : self.prepared.dataset.classes].argmax(1)
        return np.stack(
            [order[:, 0] == labels, (order[:, :5] == labels[:, None]).any(1), private == labels]
        )

    def at_random(self, prior: Prior) -> Recognised:
        """The same measure of images drawn with no attack, whatever class they are to show."""
        rng = torch.Generator().manual_seed(0)
        like = self.prepared.sides.public
        made = drawn(prior, prior.noise(AT_RANDOM, like, rng))
        labels = np.resize(self.prepared.labels, AT_RANDOM)
        return recognised(self.named(self.normalised(made), labels))

    def normalised(self, pixels: Tensor) -> Tensor:
        """Pixels as inputs of the data set."""
        data = self.prepared.dataset
        return data.normalised(pixels).to(data.inputs.device)


@torch.no_grad()
def drawn(prior: Prior, latents: Tensor) -> Tensor:
    """What a prior makes of latents, in parts."""
    return torch.cat([prior.generator(part) for part in latents.split(250)])


def recognised(right: NDArray[np.bool_]) -> Recognised:
    """Shares out of what :meth:`Judge.named` says."""
    first, five, private = (float(row.mean()) for row in right)
    return Recognised(top1=first, top5=five, restricted_top1=private)


def build_judge(prepared: PreparedInversion, rows: IntArray, real: IntArray) -> Judge:
    """Train the evaluator on ``rows`` of all known records."""
    data, seed = prepared.dataset, prepared.study.seed
    known = prepared.sides.known
    counts = np.bincount(known.labels.cpu().numpy()[rows], minlength=known.classes)
    taught = np.flatnonzero(counts >= FEWEST)  # a public person may have a single picture
    evaluator = train_evaluator(known, rows, seed=seed, classes=taught.tolist())
    held = np.concatenate(prepared.split.clients)
    labels = data.labels[torch.from_numpy(held)].cpu().numpy()
    order = child(seed, "inversion", "against").permutation(len(held))
    few = [order[labels[order] == label][:OF_A_CLASS] for label in prepared.labels]
    asked = np.isin(data.labels.cpu().numpy()[real], prepared.labels)
    here = real[asked] if asked.any() else real
    return Judge(prepared, evaluator, np.sort(held[np.concatenate(few)]), here)


def measure(
    judge: Judge,
    target: Target,
    made: Sequence[Reconstructed],
    *,
    name: str,
    number: int,
    regularizer: str,
    weight: float | None,
    baseline: Recognised,
    seconds: float,
) -> InversionRow:
    """One row: means over ``made``, which are repeats of the same attack.

    Args:
        judge: Who judges.
        target: The model that was inverted.
        made: Reconstructions of each repeat.
        name: Of the method.
        number: The round.
        regularizer: Its name.
        weight: Its weight, where it has one.
        baseline: The measure of images drawn with no attack.
        seconds: What the attack took, all repeats together.
    """
    each = [_measures(judge, target, one) for one in made]
    values = {
        key: there
        for key in each[0]
        if len(there := [v for one in each if (v := one[key]) is not None]) == len(each)
    }
    means: dict[str, float | None] = dict.fromkeys(each[0])
    means |= {key: float(np.mean(found)) for key, found in values.items()}
    spread = {key: float(np.std(found, ddof=1)) for key, found in values.items() if len(each) > 1}
    n = sum(len(one.labels) for one in made)
    agreed = round(float(np.mean(values["restricted_top1"])) * n)
    return InversionRow(
        name=name,
        round=number,
        regularizer=regularizer,
        weight=weight,
        n=n,
        interval=clopper_pearson(agreed, n, judge.prepared.study.metrics.confidence),
        random_baseline=baseline,
        real_reference=judge.reference,
        seconds=seconds,
        deviation=spread,
        classes=_classes(judge, target, made),
        **means,  # pyright: ignore[reportArgumentType]
    )


def _measures(judge: Judge, target: Target, made: Reconstructed) -> dict[str, float | None]:
    pixels = made.images.to(judge.prepared.dataset.inputs.device)
    labels, inputs = made.labels.numpy(), judge.normalised(pixels)
    right = recognised(judge.named(inputs, labels))
    features = judge.evaluator.features(inputs)
    fooled = _fooled(target, pixels, labels)
    return {
        **right.model_dump(),
        "target_top1": float(fooled.mean()),
        "frechet": _frechet(judge, features),
        **_per_class(judge, features, labels),
        "diversity": _diversity(judge, inputs, labels),
    }


@torch.no_grad()
def _fooled(target: Target, pixels: Tensor, labels: IntArray) -> NDArray[np.bool_]:
    """Whether the model under attack sees each image as it is meant."""
    said = torch.cat([target(part).argmax(1) for part in pixels.split(250)])
    return said.cpu().numpy() == labels


def shrinks(judge: Judge, count: int) -> bool:
    """Whether covariances are shrunk: there are fewer than two images for each feature."""
    return min(count, len(judge.training)) < 2 * judge.features.shape[1]


def comparable(judge: Judge, count: int) -> bool:
    """Whether a Fréchet distance says anything: there is an image for every two features.

    Of fewer, even shrunken covariances tell their number rather than what they show.
    """
    return 2 * min(count, len(judge.training)) >= judge.features.shape[1]


def _frechet(judge: Judge, features: Float64Array) -> float | None:
    if not comparable(judge, len(features)):
        return None
    return reconstruction.frechet_distance(
        features, judge.features, shrink=shrinks(judge, len(features))
    )


def _per_class(judge: Judge, features: Float64Array, labels: IntArray) -> dict[str, float | None]:
    """Distances and balls within each class, averaged over classes."""
    found: list[dict[str, float | None]] = []
    for label in np.unique(labels):
        fake, real = features[labels == label], judge.features[judge.labels == label]
        center = ((fake - real.mean(0)) ** 2).sum(1).mean()
        row: dict[str, float | None] = {
            "knn": float(reconstruction.knn_distance(fake, real).squared.mean()),
            "feature_distance": float(center),
        }
        row |= dict.fromkeys(("precision", "recall", "density", "coverage"))
        row |= dict.fromkeys(("nearest_ball_precision", "nearest_ball_recall"))
        if min(len(fake), len(real)) > NEIGHBORS:
            row |= reconstruction.prdc(real, fake, NEIGHBORS)._asdict()
            near = reconstruction.prdc(real, fake, NEIGHBORS, balls="nearest")
            row["nearest_ball_precision"] = near.precision
            row["nearest_ball_recall"] = near.recall
        found.append(row)
    return {key: _mean([row[key] for row in found]) for key in found[0]}


def _diversity(judge: Judge, inputs: Tensor, labels: IntArray) -> float | None:
    """Mean over classes of the pixel distance within a class, in units of real images'."""
    return _mean([_diversity_of(judge, inputs, labels, label) for label in np.unique(labels)])


def _diversity_of(judge: Judge, inputs: Tensor, labels: IntArray, label: int) -> float | None:
    real = _flat(judge.prepared.dataset.inputs[judge.training[judge.labels == label]])
    fake = _flat(inputs[torch.from_numpy(np.flatnonzero(labels == label))])
    if min(len(fake), len(real)) < 2:
        return None
    return reconstruction.relative_diversity(fake, real)


def _classes(judge: Judge, target: Target, made: Sequence[Reconstructed]) -> list[ClassRow]:
    data = judge.prepared.dataset
    pixels = torch.cat([one.images for one in made]).to(data.inputs.device)
    labels = torch.cat([one.labels for one in made]).numpy()
    inputs = judge.normalised(pixels)
    right, features = judge.named(inputs, labels), judge.evaluator.features(inputs)
    fooled = _fooled(target, pixels, labels)
    names = data.class_names or tuple(map(str, range(data.classes)))
    rows = []
    for label in map(int, np.unique(labels)):
        here = labels == label
        rows.append(
            ClassRow(
                label=label,
                name=names[label],
                n=int(here.sum()),
                top1=float(right[0, here].mean()),
                restricted_top1=float(right[2, here].mean()),
                target_top1=float(fooled[here].mean()),
                diversity=_diversity_of(judge, inputs, labels, label),
                nearest=nearest(judge, features[here][:SHOWN], label).tolist(),
            )
        )
    return rows


def nearest(judge: Judge, features: Float64Array, label: int) -> IntArray:
    """Rows of the private data set: the training image of a class nearest to each reconstruction.

    Nearest in the evaluator's features.
    """
    those = judge.labels == label
    found = reconstruction.knn_distance(features, judge.features[those])
    return judge.training[those][found.row]


def _mean(values: Sequence[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return float(np.mean(there)) if there else None


def _flat(inputs: Tensor) -> FloatArray:
    return inputs.flatten(1).cpu().numpy()
