"""Binary tables: Location30, Purchase100 and Texas100, as published and as ``.npz``.

Shokri et al., Membership Inference Attacks Against Machine Learning Models, 2017. Features are
0 or 1 and stay so (mean 0, std 1); classes are counted from 1 in the published files and from 0
here. No table has a published split.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from seepage.data.archive import members
from seepage.data.source import Raw, Source, check_finite, damaged
from seepage.records import UserError

BLOCK = 1 << 24  # bytes of text parsed at a time


def read_labelled(source: Source, paths: list[Path], *, member: str) -> Raw:
    """A CSV without header whose first column is the class, from an archive or as a file."""
    table = _tables(paths, {member: 1 + source.shape[0]})[member]
    return _raw(source, table[:, 1:], table[:, 0], str(paths[0]))


def read_pair(source: Source, paths: list[Path], *, names: tuple[str, str]) -> Raw:
    """A CSV of features and a CSV of classes, row by row, from an archive or as two files."""
    features, classes = names
    tables = _tables(paths, {features: source.shape[0], classes: 1})
    return _raw(source, tables[features], tables[classes][:, 0], str(paths[0]))


def _tables(paths: list[Path], widths: dict[str, int]) -> dict[str, NDArray[np.uint8]]:
    """The tables whose names and widths are given: from one archive, or a file each."""
    first = paths[0]
    if first.suffix == ".tgz":
        with members(first, tuple(widths)) as found:
            return {name: _csv(file, widths[name], f"{first} ({name})") for name, file in found}
    tables = {}
    for name, path in zip(widths, paths, strict=True):
        with path.open("rb") as file:
            tables[name] = _csv(file, widths[name], str(path))
    return tables


def _csv(file: IO[bytes], width: int, where: str) -> NDArray[np.uint8]:
    """A CSV of small whole numbers, parsed block by block: the text is never held whole."""
    import pyarrow as pa
    from pyarrow import csv

    names = [str(i) for i in range(width)]
    try:
        reader = csv.open_csv(
            file,
            csv.ReadOptions(block_size=BLOCK, column_names=names),
            convert_options=csv.ConvertOptions(column_types=dict.fromkeys(names, pa.float32())),
        )
        blocks = [_block(batch, where) for batch in reader]
    except pa.ArrowInvalid as error:
        reason = " ".join(str(error).split())[:200]
        raise damaged(where, f"{width} numbers in every row", f"other text ({reason})") from None
    return np.concatenate(blocks) if blocks else np.empty((0, width), np.uint8)


def _block(batch: Any, where: str) -> NDArray[np.uint8]:
    values = np.stack([column.to_numpy(zero_copy_only=False) for column in batch.columns])
    whole = (values == np.floor(values)) & (values >= 0) & (values <= 255)
    if not whole.all():  # NaN is not whole
        column = int(whole.all(axis=1).argmin())
        got = f"{values[~whole][0]} in column {column + 1}"
        raise damaged(where, "whole numbers from 0 to 255", got)
    return values.astype(np.uint8).T


def read_npz(source: Source, paths: list[Path]) -> Raw:
    """An ``.npz``: ``features`` ``(n, d)`` and ``labels``, numbers ``(n,)`` or one-hot rows.

    Raises:
        UserError: An array is missing, holds Python objects, or features are not 0 or 1.
    """
    path = paths[0]
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            missing = {"features", "labels"} - set(file.files)
            if missing:
                held = ", ".join(file.files) or "nothing"
                raise damaged(path, "arrays features and labels", held)
            features, labels = file["features"], file["labels"]
    except UserError:
        raise
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise damaged(path, "an .npz file of plain arrays", f"what is not ({error})") from None
    check_finite(features, str(path))
    return _raw(source, features, _numbers(labels, path), str(path))


def _numbers(labels: NDArray[Any], path: Path) -> NDArray[Any]:
    if labels.ndim == 1 or labels.shape[1:] == (1,):
        return labels.reshape(-1)
    if labels.ndim != 2 or not np.all(np.sort(labels, axis=1)[:, -2:] == [0, 1]):
        raise damaged(path, "labels as numbers or one-hot rows", f"shape {labels.shape}")
    return labels.argmax(axis=1)


def _raw(source: Source, features: NDArray[Any], classes: NDArray[Any], where: str) -> Raw:
    """Check that features are binary and that classes run over all of 1..K or 0..K-1."""
    if not np.all((features == 0) | (features == 1)):
        raise damaged(where, "features that are 0 or 1", f"values up to {features.max()}")
    if not len(classes):
        raise damaged(where, "at least one row", "none")
    low, high, count = int(classes.min()), int(classes.max()), source.classes or 0
    if (low, high) not in {(0, count - 1), (1, count)}:
        expected = f"classes from 1 to {count} (or 0 to {count - 1})"
        raise damaged(where, expected, f"classes from {low} to {high}")
    labels = classes.astype(np.int64) - low
    return Raw(inputs=np.ascontiguousarray(features, np.uint8), labels=labels)
