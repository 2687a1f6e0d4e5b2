"""What an insider knew, and how good the images are that its generator drew.

Judged by what nobody in the federation has: a classifier of its own, on records of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch

from seepage._rng import child
from seepage.audit.inside import real_classes
from seepage.audit.inside_signals import learned, normalised, probabilities
from seepage.audit.judged import judging_records, real_records
from seepage.insiders import kept_images
from seepage.insiders.images import EVERY, SHOWN
from seepage.inversion import train_evaluator
from seepage.metrics import reconstruction
from seepage.records import IntArray, UserError
from seepage.results import Generated, PictureRound, Reconstruction, Users

if TYPE_CHECKING:
    from torch import Tensor

    from seepage.audit.prepare import Prepared
    from seepage.inversion import Evaluator
    from seepage.records import FloatArray, State

NEAREST = 5
"""The neighbor whose distance is a real image's reach, for coverage."""


def users_of(prepared: Prepared, memory: Mapping[str, State], seconds: float) -> Users | None:
    """Who asked whose record a record is; None where the study has no insider among the clients.

    Args:
        prepared: The study made ready.
        memory: What everyone kept from the last round.
        seconds: What the insider's own work took.
    """
    settings = prepared.study.insider
    if not settings.clients:
        return None
    return Users(
        clients=sorted(set(settings.clients)),
        federation=prepared.study.data.clients,
        declared=[[int(c) for c in np.flatnonzero(held)] for held in prepared.declared],
        attendance=settings.attendance,
        generated=None
        if settings.gan is None
        else _generated(prepared, memory.get("insider", {}), seconds),
    )


def _generated(prepared: Prepared, kept: State, seconds: float) -> Generated:
    dataset, study = prepared.dataset, prepared.study
    assert study.insider.gan is not None
    classes, seed = real_classes(study, dataset), study.seed
    rows = judging_records(dataset, prepared.split, prepared.truth.ids, classes, seed)
    judge = train_evaluator(dataset, rows, seed=seed, classes=range(classes))
    images, real = kept_images(kept), real_records(prepared.split, seed)
    if images is None:
        compared = {"classifier_accuracy": None, "frechet": None, "frechet_real": None}
        return Generated(
            active=study.insider.gan.active,
            began=int(kept["began"]) if "began" in kept else None,
            kept=0,
            evaluator_accuracy=judge.accuracy,
            **compared,
            classes=[],
            rounds=[],
            seconds=seconds,
        )
    drawn, meant = normalised(prepared, images), images.labels.cpu().numpy()
    agrees = judge.predict(drawn) == meant
    return Generated(
        active=study.insider.gan.active,
        began=int(kept["began"]),
        kept=len(meant),
        evaluator_accuracy=judge.accuracy,
        classifier_accuracy=_right(prepared, kept, real),
        **_frechet(judge, drawn, dataset.inputs[real], child(seed, "users", "drawn")),
        classes=[
            _of_class(prepared, _flat(drawn), meant, agrees, label, real)
            for label in range(classes)
        ],
        rounds=[
            PictureRound(round=int(r), n=int(here.sum()), agreement=float(agrees[here].mean()))
            for r in np.unique(images.rounds.numpy())
            for here in [np.asarray(images.rounds.numpy() == r)]
        ],
        seconds=seconds,
    )


def _of_class(
    prepared: Prepared,
    drawn: FloatArray,
    meant: IntArray,
    agrees: np.ndarray,
    label: int,
    real: IntArray,
) -> Reconstruction:
    names, dataset = prepared.dataset.class_names, prepared.dataset
    own = np.asarray(prepared.declared[sorted(set(prepared.study.insider.clients))].any(axis=0))
    here, labels = np.asarray(meant == label), dataset.labels.cpu().numpy()
    held = _flat(dataset.inputs[real[labels[real] == label]])
    any_drawn = bool(here.any()) and len(held) > NEAREST
    several = any_drawn and int(here.sum()) > 1
    return Reconstruction(
        label=label,
        name=str(label) if names is None else names[label],
        held=bool(own[label]),
        n=int(here.sum()),
        agreement=float(agrees[here].mean()) if here.any() else None,
        diversity=reconstruction.relative_diversity(drawn[here], held) if several else None,
        coverage=reconstruction.coverage(held, drawn[here], NEAREST) if any_drawn else None,
    )


def _frechet(
    judge: Evaluator, drawn: Tensor, real: Tensor, rng: np.random.Generator
) -> dict[str, float | None]:
    """Distance of drawn from real images, and of one half of the real from the other.

    Each of the three sets has as many: fewer look farther apart.
    """
    count = min(len(drawn), len(real) // 2)
    few = torch.from_numpy(rng.permutation(len(drawn))[:count])
    one, other = (judge.features(part) for part in real[: 2 * count].split(max(count, 1)))
    try:
        return {
            "frechet": reconstruction.frechet_distance(judge.features(drawn[few]), other),
            "frechet_real": reconstruction.frechet_distance(one, other),
        }
    except UserError:  # too few of them
        return {"frechet": None, "frechet_real": None}


def _right(prepared: Prepared, kept: State, rows: IntArray) -> float:
    """Accuracy of the attack's classifier on records that nobody trained on, over all classes."""
    state = learned(prepared, kept)
    assert state is not None  # there are images
    said = probabilities(prepared, state, prepared.dataset.inputs[rows]).argmax(1)
    return float((said == prepared.dataset.labels[rows].cpu().numpy()).mean())


def _flat(inputs: Tensor) -> FloatArray:
    return inputs.flatten(1).cpu().numpy()


def pictures_of(kept: State) -> dict[int, FloatArray]:
    """Images to show, by round: pixels in [0, 1], ``(classes, SHOWN, h, w)``, colors last.

    Of the rounds that some are kept of for good, and of the last; NaN where fewer were kept.
    """
    images = kept_images(kept)
    if images is None:
        return {}
    pixels, labels = np.moveaxis(images.pixels.numpy(), 1, -1), images.labels.numpy()
    pixels = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    found: dict[int, FloatArray] = {}
    numbers = np.unique(images.rounds.numpy())
    for number in [n for n in numbers if n % EVERY == 0 or n == numbers[-1]]:
        shown = np.full((int(labels.max()) + 1, SHOWN, *pixels.shape[1:]), np.nan)
        for label in range(len(shown)):
            those = pixels[(images.rounds.numpy() == number) & (labels == label)][:SHOWN]
            shown[label, : len(those)] = those
        found[int(number)] = shown
    return found
