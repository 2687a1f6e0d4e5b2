"""Pictures: encoded bytes or files to arrays, and folders that hold one folder a class."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seepage.data.source import Raw, Source, damaged
from seepage.records import UserError

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"}
CHUNK = 256  # pictures a thread decodes at a time
CHANNELS = {"RGB": 3, "L": 1}


def decode(
    pictures: Sequence[bytes | Path],
    size: tuple[int, int],
    where: str,
    *,
    resize: bool = False,
    mode: str = "RGB",
) -> NDArray[np.uint8]:
    """Decode pictures to an array ``(n, channels, height, width)``, several at once.

    Args:
        pictures: Encoded bytes, or files.
        size: ``(height, width)`` of the result.
        where: Named in errors.
        resize: Stretch pictures of another size (bilinear, aspect not kept) instead of refusing.
        mode: ``RGB`` (3 channels) or ``L`` (1); other pictures are converted.

    Raises:
        UserError: A picture cannot be decoded, or is of another size and ``resize`` is false.
    """
    out = np.empty((len(pictures), CHANNELS[mode], *size), np.uint8)

    def work(start: int) -> None:
        for i, picture in enumerate(pictures[start : start + CHUNK], start):
            name = str(picture) if isinstance(picture, Path) else f"{where}, row {i}"
            pixels = _pixels(picture, size, name, resize, mode)
            out[i] = pixels.reshape(*size, -1).transpose(2, 0, 1)

    with ThreadPoolExecutor() as pool:
        for _ in pool.map(work, range(0, len(pictures), CHUNK)):
            pass
    return out


def _pixels(
    picture: bytes | Path, size: tuple[int, int], name: str, resize: bool, mode: str
) -> NDArray[np.uint8]:
    from PIL import Image

    height, width = size
    try:
        with Image.open(BytesIO(picture) if isinstance(picture, bytes) else picture) as image:
            image = image.convert(mode)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise damaged(name, "a picture", f"what cannot be decoded ({error})") from None
    if image.size != (width, height):
        if not resize:
            raise damaged(name, f"{height}×{width} pixels", f"{image.height}×{image.width}")
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image)


def read_folder(source: Source, paths: list[Path]) -> Raw:
    """A folder of class folders; one with ``train`` and ``test`` keeps that as its split.

    Classes are numbered in alphabetical order of the folder names, and pictures come in
    alphabetical order of their paths within a class.

    Raises:
        UserError: There is no class folder, a class has no picture, train and test hold other
            classes, or a picture cannot be decoded.
    """
    folder = paths[0] if len(paths) == 1 else paths[0].parent
    if (folder / "train").is_dir() and (folder / "test").is_dir():
        parts = [_listing(folder / "train"), _listing(folder / "test")]
        if parts[0].keys() != parts[1].keys():
            only = ", ".join(sorted(parts[0].keys() ^ parts[1].keys()))
            raise UserError(f"{folder}: train and test must hold the same classes; differ: {only}.")
    else:
        parts = [_listing(folder)]
    names = tuple(parts[0])
    files = [file for part in parts for name in names for file in part[name]]
    labels = [k for part in parts for k, name in enumerate(names) for _ in part[name]]
    n_train = sum(len(found) for found in parts[0].values()) if len(parts) == 2 else None
    return Raw(
        inputs=decode(files, (source.shape[1], source.shape[2]), str(folder), resize=True),
        labels=np.asarray(labels, np.int64),
        n_train=n_train,
        class_names=names,
    )


def _listing(folder: Path) -> dict[str, list[Path]]:
    """The pictures of each class folder, all in alphabetical order."""
    classes = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not classes:
        raise UserError(
            f"{folder}: expected one folder for each class with its pictures, got no folder. Sort "
            f"the pictures into folders named by their class."
        )
    found = {p.name: pictures(p) for p in classes}
    empty = [name for name, files in found.items() if not files]
    if empty:
        raise UserError(
            f"{folder}: class {empty[0]} has no picture ({', '.join(sorted(SUFFIXES))})."
        )
    return found


def pictures(folder: Path) -> list[Path]:
    """Every picture file under ``folder``, by its ending, in alphabetical order."""
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
