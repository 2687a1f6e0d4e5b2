"""What a data set is before it is tensors: where it comes from, its raw arrays, and their checks.

Free of torch and of any file format. A reader turns files into :class:`Raw`; :func:`check` holds
it against what its :class:`Source` publishes, so that no reader has to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seepage.records import IntArray, UserError

CIFAR10_MEAN = (0.4914, 0.4822, 0.4465)
CIFAR10_STD = (0.2023, 0.1994, 0.2010)
"""CIFAR-10's constants. FedMIA uses them for CIFAR-100 and DermNet too: kept for fidelity."""

Options = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Raw:
    """Arrays as parsed, before normalisation.

    Attributes:
        inputs: Images ``(n, channels, h, w)`` or records ``(n, features)``, uint8 or float32.
        labels: Class numbers counted from 0, shape ``(n,)``.
        n_train: Rows below this are the published training part; None without a published split.
        class_names: One name a class, where the files have names.
        notes: What was skipped or changed on reading, one sentence each.
    """

    inputs: NDArray[Any]
    labels: IntArray
    n_train: int | None = None
    class_names: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()


Reader = Callable[["Source", list[Path]], Raw]
"""``(source, the files its form names) -> raw arrays``."""


@dataclass(frozen=True, kw_only=True)
class Form:
    """One shape in which a data set lies on disk.

    Attributes:
        files: File (or folder) patterns, all of which must be there.
        read: Parses them.
        keep: Whether parsing is slow enough for the parsed arrays to be kept in the cache.
    """

    files: tuple[str, ...]
    read: Reader
    keep: bool = False


@dataclass(frozen=True, kw_only=True)
class Remote:
    """A file that can be downloaded, with its published checksum (``md5:…``) where there is one."""

    url: str
    checksum: str | None = None

    @property
    def file(self) -> str:
        return self.url.rsplit("/", 1)[-1]


@dataclass(frozen=True, kw_only=True)
class Source:
    """A named data set: what it is and how it is obtained.

    ``inputs = (raw / scale - mean) / std``, one mean and std a channel.

    Attributes:
        summary: One line for tables.
        shape: Shape of one input.
        classes: Number of classes; None where the class folders say it.
        n: Number of samples; None where copies differ.
        n_train: Length of the published training part; None without one.
        scale: What raw values are divided by first.
        mean: Subtracted after that, one value a channel (one in all for records).
        std: Divided by after that, like ``mean``.
        paper: Where it comes from, with its year.
        obtained: How one gets it, a sentence.
        forms: The shapes it may have on disk, tried in order; empty where it is embedded.
        remotes: What to download; empty where that is not possible.
        options: Names of the options its reader takes.
        embedded: Gives the raw arrays with no file at all.
    """

    summary: str
    shape: tuple[int, ...]
    classes: int | None
    n: int | None
    n_train: int | None
    scale: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    paper: str
    obtained: str
    forms: tuple[Form, ...] = ()
    remotes: tuple[Remote, ...] = ()
    options: tuple[str, ...] = ()
    embedded: Callable[[], Raw] | None = None


def damaged(path: Path | str, expected: str, got: str) -> UserError:
    """The error for a file that is not what it should be."""
    return UserError(
        f"{path}: expected {expected}, got {got}. Replace the file by the published one (one that "
        f"was downloaded here can be deleted: the next run downloads it again)."
    )


def check(source: Source, raw: Raw, where: str) -> None:
    """Hold parsed arrays against what the source publishes.

    Raises:
        UserError: A count, a shape, a label or a value is not as published.
    """
    n, labels = len(raw.inputs), raw.labels
    if raw.labels.shape != (n,):
        raise damaged(where, f"one label for each of {n} samples", f"shape {labels.shape}")
    if source.n is not None and n != source.n:
        raise damaged(where, f"{source.n} samples", f"{n}")
    if raw.n_train != source.n_train and source.n is not None:
        raise damaged(where, f"{source.n_train} training samples", f"{raw.n_train}")
    if n == 0:
        raise damaged(where, "at least one sample", "none")
    if raw.inputs.shape[1:] != source.shape:
        raise damaged(where, f"inputs of shape {source.shape}", f"{raw.inputs.shape[1:]}")
    classes = source.classes or len(raw.class_names or ())
    if raw.class_names and len(raw.class_names) != classes:
        raise damaged(where, f"{classes} classes", f"{len(raw.class_names)}")
    check_labels(labels, classes, where)
    check_finite(raw.inputs, where)


def check_labels(labels: IntArray, classes: int, where: str) -> None:
    """Every label in ``[0, classes)``, or a :class:`UserError`."""
    low, high = int(labels.min()), int(labels.max())
    came = f"got labels from {low} to {high}"
    if low < 0:
        raise UserError(f"{where}: labels begin at 0, {came}. Number the classes from 0.")
    if high >= classes:
        raise UserError(
            f"{where}: expected labels from 0 to {classes - 1}, {came}. Mend the labels, or the "
            "number of classes."
        )


def check_finite(inputs: NDArray[Any], where: str) -> None:
    """No NaN and no infinity among the inputs, or a :class:`UserError` naming the first row."""
    if np.issubdtype(inputs.dtype, np.integer):
        return
    wrong = ~np.isfinite(inputs.reshape(len(inputs), -1)).all(axis=1)
    if wrong.any():
        raise UserError(
            f"{where}: expected finite inputs, got NaN or infinity in {int(wrong.sum())} rows, "
            f"first in row {int(wrong.argmax())}. Drop or fill these values."
        )


def checksum(raw: Raw) -> str:
    """SHA-256 of the arrays with their shapes and types, and of where the training part ends.

    Guarantees:
        * the same arrays give the same sum whatever file form they were read from;
        * a change of any value, shape, type, order or of ``n_train`` changes it.
    """
    digest = hashlib.sha256(f"n_train={raw.n_train}".encode())
    for array in (raw.inputs, raw.labels):
        digest.update(f";{array.dtype.str}{array.shape};".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
