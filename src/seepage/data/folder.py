"""Folders of pictures, one folder a class: whatever they hold, and a note of what is left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seepage.data.images import SUFFIXES, Crop, decode_any, is_hidden, is_picture, walk
from seepage.data.source import Options, Raw, Source
from seepage.records import IntArray, UserError

OPTIONS = ("size", "grey", "crop", "min_pictures", "classes")
GREY = (0.5,)
"""Mean and deviation of pictures with one channel: black is -1 and white 1."""

Listing = Mapping[str, Sequence[Path]]


class Reading(NamedTuple):
    """How a folder is read, see :func:`framing`."""

    crop: Crop = False
    min_pictures: int = 1
    classes: bool = True


def framing(source: Source, options: Options) -> tuple[Source, Reading]:
    """What the options of a folder ask for.

    Args:
        source: What a folder is without them.
        options: ``grey``: one channel instead of three. ``crop``: the part of every picture that
            is kept before it is stretched to ``size``: true, the largest square in the middle; a
            number, the square of so many pixels in the middle; or ``[top, left, height, width]``.
            ``min_pictures``: classes with fewer are left out. ``classes``: false for pictures
            without labels, which are one class wherever they lie below the folder.

    Returns:
        The source with its channels and constants, and how it is read.

    Raises:
        UserError: One is not what it can be.
    """
    grey, fewest = options.get("grey", False), options.get("min_pictures", 1)
    if not isinstance(grey, bool):
        raise UserError(f"data.options.grey = {grey!r}: expected true or false.")
    if not _is_count(fewest):
        raise UserError(f"data.options.min_pictures = {fewest!r}: expected a number, at least 1.")
    classes = options.get("classes", True)
    if not isinstance(classes, bool):
        raise UserError(f"data.options.classes = {classes!r}: expected true or false.")
    if fewest > 1 and not classes:
        raise UserError(
            "data.options.min_pictures is of classes, and data.options.classes = false says that "
            "there are none. Leave one of them out."
        )
    if grey:
        source = replace(source, shape=(1, *source.shape[1:]), mean=GREY, std=GREY)
    return source, Reading(_crop(options.get("crop", False)), fewest, classes)


def _crop(given: object) -> Crop:
    if isinstance(given, bool):
        return given
    if isinstance(given, int) and given >= 1:
        return given
    if isinstance(given, list | tuple) and len(given) == 4:
        top, left, height, width = given
        if _is_count(top, 0) and _is_count(left, 0) and _is_count(height) and _is_count(width):
            return top, left, height, width
    raise UserError(
        f"data.options.crop = {given!r}: expected true for the largest square in the middle, its "
        "number of pixels, or [top, left, height, width]."
    )


def _is_count(given: object, least: int = 1) -> bool:
    return isinstance(given, int) and not isinstance(given, bool) and given >= least


def read_folder(
    source: Source,
    paths: list[Path],
    *,
    crop: Crop = False,
    min_pictures: int = 1,
    classes: bool = True,
) -> Raw:
    """A folder of class folders; one with ``train`` and ``test`` keeps that as its split.

    Classes are numbered in alphabetical order of the folder names, and pictures come in
    alphabetical order of their paths within a class. Pictures are of any size and kind (see
    :func:`seepage.data.images.decode_any`) and are decoded once.

    What is of no use is left out, and a note says so: pictures that cannot be decoded or do not
    hold ``crop``, files with another ending, files outside the class folders, classes left with no
    picture (with a split, in one of its parts) or with fewer than ``min_pictures``. Hidden files
    are passed over in silence. A further note counts the classes with a single picture.

    Args:
        source: Of which the shape counts: one channel or three, and the size.
        paths: The folder, or its ``train`` and ``test``.
        crop: The part of every picture that is kept.
        min_pictures: Classes with fewer, in both parts of a split together, are left out.
        classes: False for pictures without labels, anywhere below the folder: they are one class.

    Raises:
        UserError: There is no class folder, train and test hold other classes, or fewer than two
            classes are left; without classes, no picture is left.
    """
    folder = paths[0] if len(paths) == 1 else paths[0].parent
    parts, notes = _parts(folder, classes=classes)
    names = list(parts[0])
    held = np.array([[len(part[name]) for name in names] for part in parts])
    hopeful = np.flatnonzero(_left(held, min_pictures))  # the others need no decoding
    listed = [(p, k, f) for p, part in enumerate(parts) for k in hopeful for f in part[names[k]]]
    files = [file for _, _, file in listed]
    mode = "L" if source.shape[0] == 1 else "RGB"
    size = (source.shape[1], source.shape[2])
    inputs, broken, small = decode_any(files, size, mode=mode, crop=crop)
    for what, lost in (("decoded", broken), ("cropped", small)):
        notes += _left_out("picture", f"could not be {what} and", lost, files, folder)
        for p, k, _ in (listed[i] for i in lost):
            held[p, k] -= 1
    chosen = _left(held, min_pictures)
    notes += _class_notes(held, names, min_pictures) if classes else []
    if chosen.sum() < 1 + classes:
        if not classes:
            raise UserError(f"{folder}: expected pictures, got none. {' '.join(notes)}")
        got = ", ".join(names[k] for k in np.flatnonzero(chosen)) or "none"
        raise UserError(
            f"{folder}: expected pictures of at least two classes, got {got}. {' '.join(notes)} "
            "Put pictures of more classes there, or lower data.options.min_pictures and crop."
        )
    numbers = np.cumsum(chosen) - 1
    rows = [
        i for i, (_, k, _) in enumerate(listed) if chosen[k] and i not in broken and i not in small
    ]
    return Raw(
        inputs=_moved_up(inputs, rows),
        labels=np.array([numbers[listed[i][1]] for i in rows], np.int64),
        n_train=sum(listed[i][0] == 0 for i in rows) if len(parts) == 2 else None,
        class_names=tuple(names[k] for k in np.flatnonzero(chosen)),
        notes=tuple(notes),
    )


def _left(held: IntArray, min_pictures: int) -> NDArray[np.bool_]:
    """Classes with pictures in every part, and enough of them; ``held`` is ``(parts, classes)``."""
    return (held.min(0) > 0) & (held.sum(0) >= min_pictures)


def _moved_up(inputs: NDArray[np.uint8], rows: list[int]) -> NDArray[np.uint8]:
    """``inputs[rows]`` for ascending rows, in place: there may be no room for two."""
    for to, row in enumerate(rows):
        if to != row:
            inputs[to] = inputs[row]
    return inputs[: len(rows)]


def _parts(folder: Path, *, classes: bool) -> tuple[list[Listing], list[str]]:
    """The pictures of each class, in training and test part or in one, and the first notes."""
    others: list[Path] = []
    places = [folder] if classes else []
    if not classes:
        parts: list[Listing] = [{folder.resolve().name: _pictures(folder, others)}]
    elif (folder / "train").is_dir() and (folder / "test").is_dir():
        parts = [_listing(folder / part, others) for part in ("train", "test")]
        places += [folder / "train", folder / "test"]
        if parts[0].keys() != parts[1].keys():
            only = ", ".join(sorted(parts[0].keys() ^ parts[1].keys()))
            raise UserError(f"{folder}: train and test must hold the same classes; differ: {only}.")
    else:
        parts = [_listing(folder, others)]
    known = ", ".join(sorted(SUFFIXES))
    noted = dict.fromkeys(range(len(others)), f"pictures end in {known}")
    notes = _left_out("file", "with another ending", noted, others, folder)
    loose = [file for place in places for file in _loose(place)]
    noted = dict.fromkeys(range(len(loose)), "a picture is of the class whose folder it lies in")
    return parts, notes + _left_out("file", "outside the class folders", noted, loose, folder)


def _listing(folder: Path, others: list[Path]) -> Listing:
    """The pictures of each class folder, all in alphabetical order; other files join ``others``."""
    classes = sorted(p for p in folder.iterdir() if p.is_dir() and not is_hidden(p.name))
    if not classes:
        raise UserError(
            f"{folder}: expected one folder for each class with its pictures, got no folder. Sort "
            "the pictures into folders named by their class; for pictures without any, set "
            "data.options.classes = false."
        )
    return {place.name: _pictures(place, others) for place in classes}


def _loose(place: Path) -> list[Path]:
    """Files that lie in a folder itself."""
    return sorted(p for p in place.iterdir() if p.is_file() and not is_hidden(p.name))


def _pictures(place: Path, others: list[Path]) -> list[Path]:
    """All pictures below a folder; other files join ``others``."""
    files = sorted(file for _, inside in walk(place) for file in inside)
    others += [file for file in files if not is_picture(file)]
    return [file for file in files if is_picture(file)]


def _left_out(
    noun: str, what: str, lost: Mapping[int, str], files: Sequence[Path], folder: Path
) -> list[str]:
    """A note that names the first of the files left out; no note where there is none."""
    if not lost:
        return []
    first = min(lost)
    example = f"{files[first].relative_to(folder).as_posix()} ({lost[first]})"
    if len(lost) == 1:
        return [f"1 {noun} {what} was left out: {example}."]
    return [f"{len(lost):,} {noun}s {what} were left out, the first is {example}."]


def _class_notes(held: IntArray, names: list[str], min_pictures: int) -> list[str]:
    """Notes of the classes left out, and of those left with a single picture."""
    empty = held.min(0) == 0
    few = ~empty & (held.sum(0) < min_pictures)
    single = held.sum(0)[_left(held, min_pictures)] == 1
    part = "" if len(held) == 1 else " in train or in test"
    notes = []
    for gone, what in (
        (empty, f"no picture{part}"),
        (few, f"fewer than {min_pictures} pictures (data.options.min_pictures)"),
    ):
        if gone.any():
            first, verb = names[int(gone.argmax())], "have" if gone.sum() > 1 else "has"
            which = f"the first is {first}" if gone.sum() > 1 else first
            notes.append(
                f"{gone.sum():,} of {len(names):,} classes {verb} {what} left and "
                f"{'were' if gone.sum() > 1 else 'was'} left out: {which}."
            )
    if single.any():
        verb, they = ("have", "they") if single.sum() > 1 else ("has", "it")
        notes.append(
            f"{single.sum():,} of {len(single):,} classes {verb} a single picture: {they} cannot "
            "be both trained on and held out."
        )
    return notes
