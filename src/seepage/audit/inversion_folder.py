"""What an inversion leaves in its run folder, and what an interrupted one finds there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load_file, save_file

from seepage._files import write_atomically
from seepage.audit.inversion_measure import SHOWN, Judge, nearest
from seepage.inversion import Reconstructed
from seepage.records import UserError
from seepage.report import InversionPictures, write_inversion
from seepage.results import InversionResults

if TYPE_CHECKING:
    from torch import Tensor

    from seepage.records import Dataset, FloatArray, IntArray

PICTURES = "pictures.safetensors"

MANY = 100
"""Classes beyond which one image of each is kept to be shown."""

ACROSS = 8
"""Images in a row of a sheet."""

SHADES = 255
"""Shades that a picture is shown and kept in."""

Made = Mapping[tuple[str, int, str], list[Reconstructed]]


@dataclass(frozen=True, kw_only=True)
class Inverted:
    """The result of an inversion, in memory.

    Attributes:
        results: Everything in ``results.json``.
        made: Reconstructions by method, round and regularizer, one entry a repeat; empty for a
            result that was read back.
        folder: The run folder; None where nothing was written.
    """

    results: InversionResults
    made: Made
    folder: Path | None

    def __str__(self) -> str:
        from seepage.report import inversion_verdicts

        return "\n".join(inversion_verdicts(self.results))


class Kept:
    """Finished attacks on disk, each in a file that appears whole."""

    def __init__(self, out: Path | None) -> None:
        self.folder = None if out is None else out / "inversions"

    def get(self, key: str) -> tuple[Reconstructed, float] | None:
        """What was made and how long it took, or None where it is not there (or not whole)."""
        if self.folder is None:
            return None
        path = self.folder / f"{key}.safetensors"
        try:
            found = load_file(path) if path.exists() else None
        except (SafetensorError, OSError):
            path.unlink(missing_ok=True)  # cut off by a full disk: do it again
            return None
        if found is None:
            return None
        steps = {n.removeprefix("trace/"): v for n, v in found.items() if n.startswith("trace/")}
        made = Reconstructed(
            images=found["images"],
            labels=found["labels"],
            latents=found["latents"],
            trace={name: value.numpy() for name, value in steps.items()},
        )
        return made, float(found["seconds"])

    def look(self, name: str, images: Tensor) -> None:
        """Leave a sheet of what a prior draws while it is trained; the last one stays."""
        if self.folder is None:
            return
        from PIL import Image

        tiles = torch.cat([torch.cat(list(row), -1) for row in images.cpu().split(ACROSS)], -2)
        shades = (255 * tiles).round().to(torch.uint8).movedim(0, -1).squeeze(-1).numpy()
        path = self.folder.parent / "samples" / f"{name}.png"
        write_atomically(path, lambda part: Image.fromarray(shades).save(part, "PNG"))

    def put(self, key: str, made: Reconstructed, seconds: float) -> None:
        """Keep what was made."""
        if self.folder is None:
            return
        tensors = {
            "images": made.images.contiguous(),
            "labels": made.labels.contiguous(),
            "latents": made.latents.contiguous(),
            "seconds": torch.tensor(seconds, dtype=torch.float64),
        }
        tensors |= {
            f"trace/{name}": torch.as_tensor(np.ascontiguousarray(v))
            for name, v in made.trace.items()
        }
        write_atomically(self.folder / f"{key}.safetensors", lambda path: save_file(tensors, path))


def pictures_of(
    judge: Judge,
    made: Made,
    priors: Mapping[str, Tensor],
    gradients: Mapping[tuple[str, int, int], tuple[FloatArray, FloatArray]],
) -> InversionPictures:
    """Some reconstructions of each class beside the real images nearest to them."""
    data, labels = judge.prepared.dataset, judge.prepared.labels
    each = SHOWN if len(labels) <= MANY else 1
    shown, near = {}, {}
    for key, repeats in made.items():
        one = repeats[0]
        rows = [torch.nonzero(one.labels == int(c)).flatten()[:each] for c in labels]
        images = torch.stack([one.images[own] for own in rows])
        shown[key] = seen(images.numpy())
        found = []
        for label, own in zip(labels, images, strict=True):
            inputs = judge.normalised(own.to(data.inputs.device))
            found.append(nearest(judge, judge.evaluator.features(inputs), int(label)))
        near[key] = seen(real_pixels(data, np.stack(found)))
    real = [judge.training[judge.labels == label][:each] for label in labels]
    least = min(len(own) for own in real)
    return InversionPictures(
        made=shown,
        nearest=near,
        real=seen(real_pixels(data, np.stack([own[:least] for own in real]))),
        priors={name: seen(priors[name].numpy()) for name in sorted(priors)},
        gradients=gradients,
    )


def real_pixels(data: Dataset, rows: IntArray) -> FloatArray:
    """Raw pixels of a data set's images, shape ``(*rows.shape, c, h, w)``."""
    inputs = data.inputs[torch.from_numpy(rows.ravel())]
    return data.pixels(inputs).clamp(0, 1).cpu().unflatten(0, rows.shape).numpy()


def seen(pixels: FloatArray) -> FloatArray:
    """``(..., c, h, w)`` as ``(..., h, w)``, or with colors last; in as many shades as are kept."""
    last = np.round(np.moveaxis(pixels, -3, -1) * np.float32(SHADES)) / np.float32(SHADES)
    return last[..., 0] if last.shape[-1] == 1 else last


def save_pictures(out: Path, pictures: InversionPictures) -> None:
    """Write what the page shows, so that it can be drawn again without the data."""
    arrays = {f"made/{n}/{r}/{g}": v for (n, r, g), v in pictures.made.items()}
    arrays |= {f"nearest/{n}/{r}/{g}": v for (n, r, g), v in pictures.nearest.items()}
    arrays |= {f"priors/{name}": v for name, v in pictures.priors.items()} | {"real": pictures.real}
    for (name, number, client), both in pictures.gradients.items():
        for which, value in zip(("real", "made"), both, strict=True):
            arrays[f"gradients/{name}/{number}/{client}/{which}"] = value
    small = {key: np.round(value * SHADES).astype(np.uint8) for key, value in arrays.items()}
    write_atomically(out / PICTURES, lambda path: save_arrays(small, path))


def load_pictures(out: Path) -> InversionPictures:
    """What :func:`save_pictures` wrote; empty where it is gone."""
    try:
        found = {k: v / np.float32(SHADES) for k, v in load_arrays(out / PICTURES).items()}
    except (SafetensorError, OSError):
        found = {"real": np.zeros((0, 0, 1, 1), np.float32)}

    def of(what: str) -> dict[tuple[str, int, str], FloatArray]:
        keys = [key.split("/") for key in found if key.startswith(f"{what}/")]
        return {(n, int(r), g): found[f"{what}/{n}/{r}/{g}"] for _, n, r, g in keys}

    pairs = {tuple(key.split("/")[1:4]) for key in found if key.startswith("gradients/")}
    return InversionPictures(
        made=of("made"),
        nearest=of("nearest"),
        real=found["real"],
        priors={k.split("/", 1)[1]: found[k] for k in sorted(found) if k.startswith("priors/")},
        gradients={
            (n, int(r), int(c)): (
                found[f"gradients/{n}/{r}/{c}/real"],
                found[f"gradients/{n}/{r}/{c}/made"],
            )
            for n, r, c in sorted(pairs)
        },
    )


def finished_inversion(out: Path | None, fingerprint: str) -> Inverted | None:
    """The result of the same run where it stands already, or None."""
    if out is None or not (out / "results.json").exists():
        return None
    try:
        results = InversionResults.model_validate_json((out / "results.json").read_bytes())
    except ValueError:
        return None  # of another kind: whoever claims the folder says so
    if results.fingerprint != fingerprint:
        return None
    return Inverted(results=results, made={}, folder=out)


def redraw_inversion(out: Path) -> list[Path]:
    """Write the page and the figures of a finished inversion again.

    Raises:
        UserError: Its results cannot be read.
    """
    try:
        results = InversionResults.model_validate_json((out / "results.json").read_bytes())
    except ValueError as error:
        raise UserError(
            f"{out / 'results.json'}: not results this version of Seepage can read ({error}). "
            "Install a newer Seepage, or remove the folder and run the audit again."
        ) from None
    return write_inversion(out, results, load_pictures(out))
