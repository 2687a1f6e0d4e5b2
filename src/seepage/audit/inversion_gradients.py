"""What a server reconstructs out of what one client sent, beside what it trained on."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from seepage import federation
from seepage._rng import torch_child
from seepage.audit.inversion_folder import real_pixels, seen
from seepage.inversion import (
    ClientRound,
    Search,
    analytic_first_layer,
    gradient_inversion,
    labels_of,
)
from seepage.metrics import pictures
from seepage.records import UserError
from seepage.results import GradientRow

if TYPE_CHECKING:
    from torch import Tensor

    from seepage.audit.inversion import PreparedInversion
    from seepage.audit.inversion_measure import Judge
    from seepage.audit.inversion_train import Trajectory, Upload
    from seepage.audit.train import Progress
    from seepage.records import FloatArray, IntArray

SHOWN = 8
"""Pairs of a real image and its reconstruction that are shown."""


@dataclass(frozen=True)
class Gradients:
    """Rows of the results, notes on what failed, and pairs to show by method, round, client."""

    rows: list[GradientRow] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    pictures: dict[tuple[str, int, int], tuple[FloatArray, FloatArray]] = field(
        default_factory=dict
    )


def gradient_rows(
    prepared: PreparedInversion, trained: Trajectory, judge: Judge, tell: Progress
) -> Gradients:
    """Invert every upload that the study asks about; nothing where it asks about none."""
    found = Gradients()
    asked = prepared.asked.gradients
    if asked is None:
        return found
    search = Search(**asked.model_dump(exclude={"client", "rounds"}))
    tell("uploads", 0, len(trained.uploads))
    for done, number in enumerate(sorted(trained.uploads), 1):
        for name, invert in METHODS.items():
            began = time.perf_counter()
            try:
                made = invert(prepared, trained.uploads[number], asked.client, search)
            except UserError as error:  # the other attacks are done and count
                found.notes.append(f"{name}, round {number}: {error}")
                continue
            if made is None:
                continue
            row, pair = _judged(prepared, judge, name, number, asked.client, made)
            spent = time.perf_counter() - began
            found.rows.append(row.model_copy(update={"seconds": spent}))
            found.pictures[name, number, asked.client] = pair
        tell("uploads", done, len(trained.uploads))
    return found


@dataclass(frozen=True)
class _Made:
    """Pixels in [0, 1] ``(n, c, h, w)``, classes, and how well the search matched the upload."""

    images: Tensor
    labels: Tensor
    matched: float | None


def _round(prepared: PreparedInversion, seen: Upload, client: int) -> ClientRound:
    names = [name for name, _ in prepared.model.named_parameters()]  # statistics show no gradient
    local = federation.settings_of(**prepared.study.federation.model_dump()).local
    if prepared.defense.share < 1:
        local = replace(local, share=local.share * prepared.defense.share)
    return ClientRound(
        start={name: seen.start[name] for name in names},
        upload={name: seen.upload[name] for name in names},
        learning_rate=seen.learning_rate,
        records=len(prepared.split.clients[client]),
        training=local,
    )


def _searched(
    prepared: PreparedInversion, seen: Upload, client: int, search: Search
) -> _Made | None:
    rng = torch_child(prepared.study.seed, "inversion", "upload", seen.number)
    found = gradient_inversion(prepared.target(), _round(prepared, seen, client), search, rng)
    return _Made(found.images, found.labels, found.matched)


def _read(prepared: PreparedInversion, seen: Upload, client: int, search: Search) -> _Made | None:
    """Read off the first layer; None where it does not read pixels, or nothing could be read."""
    target, what = prepared.target(), _round(prepared, seen, client)
    try:
        found = analytic_first_layer(target, what)
    except UserError:
        return None
    images = found.images[: what.met].clamp(0, 1)
    if not len(images):
        return None
    rng = torch_child(prepared.study.seed, "inversion", "upload", seen.number)
    return _Made(images, labels_of(target, what, rng).labels, None)


METHODS = {"gradient_inversion": _searched, "analytic_first_layer": _read}
"""What is tried on an upload, by name."""


def _judged(
    prepared: PreparedInversion, judge: Judge, name: str, number: int, client: int, made: _Made
) -> tuple[GradientRow, tuple[FloatArray, FloatArray]]:
    data, rows = prepared.dataset, prepared.split.clients[client]
    real = real_pixels(data, rows)
    images = made.images.numpy()
    pairs = pictures.match(images, real)
    fake, true = images[pairs.fake], real[pairs.real]
    rng = np.random.default_rng(0)
    noise = rng.random(images.shape)
    guess = pictures.match(noise, real)
    features = [
        judge.evaluator.features(judge.normalised(torch.from_numpy(side).to(data.inputs)))
        for side in (fake, true)
    ]
    row = GradientRow(
        name=name,
        round=number,
        client=client,
        images=len(rows),
        n=len(images),
        psnr=_mean(pictures.psnr(fake, true)),
        ssim=_mean(pictures.ssim(fake, true)),
        feature_distance=float(((features[0] - features[1]) ** 2).sum(1).mean()),
        noise_psnr=_mean(pictures.psnr(noise[guess.fake], real[guess.real])),
        labels_right=_right(made.labels.numpy(), data.labels[torch.from_numpy(rows)].cpu().numpy()),
        matched=made.matched,
        seconds=0.0,
    )
    return row, (seen(true[:SHOWN]), seen(fake[:SHOWN]))


def _right(said: IntArray, true: IntArray) -> float:
    """Share of the records' labels that were recovered, each counted once."""
    length = int(max(said.max(initial=0), true.max())) + 1
    counts: Mapping[str, np.ndarray] = {
        "said": np.bincount(said, minlength=length),
        "true": np.bincount(true, minlength=length),
    }
    return float(np.minimum(counts["said"], counts["true"]).sum() / len(true))


def _mean(values: np.ndarray) -> float:
    """Mean over pairs; an exact copy counts as 100 dB."""
    return float(np.minimum(values, 100.0).mean())
