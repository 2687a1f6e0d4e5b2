"""MNIST's own file format, IDX: a big-endian header, then unsigned bytes (LeCun et al., 1998)."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seepage.data.source import Raw, Source, damaged

FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def read_mnist(source: Source, paths: list[Path]) -> Raw:
    """The four files, in the order of ``FILES``, as images ``(n, 1, h, w)``, train then test.

    Raises:
        UserError: A file is truncated, is of another kind, or has another number of items.
    """
    train = _pair(paths[0], paths[1])
    test = _pair(paths[2], paths[3])
    images = np.concatenate([train[0], test[0]])[:, None]
    labels = np.concatenate([train[1], test[1]]).astype(np.int64)
    return Raw(inputs=images, labels=labels, n_train=len(train[1]))


def _pair(images: Path, labels: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    pictures, numbers = read_idx(images, dims=3), read_idx(labels, dims=1)
    if len(pictures) != len(numbers):
        raise damaged(labels, f"{len(pictures)} labels (as many as images)", f"{len(numbers)}")
    return pictures, numbers


def read_idx(path: Path, *, dims: int) -> NDArray[np.uint8]:
    """An IDX file of unsigned bytes with ``dims`` dimensions, gzipped where its name ends in .gz.

    The header is the magic number ``0x0000 08 dims`` and one 32-bit length a dimension.

    Raises:
        UserError: The file cannot be read, has another magic number, or another length.
    """
    content = _content(path)
    magic, expected = content[:4], bytes([0, 0, 8, dims])
    if magic != expected:
        raise damaged(path, f"IDX magic number {expected.hex()}", magic.hex() or "an empty file")
    header = 4 + 4 * dims
    if len(content) < header:
        raise damaged(path, f"a header of {header} bytes", f"{len(content)} bytes")
    shape: tuple[Any, ...] = tuple(int(x) for x in np.frombuffer(content, ">u4", dims, 4))
    size = int(np.prod(shape, dtype=np.int64))
    if len(content) != header + size:
        got = f"{len(content) - header}"
        raise damaged(path, f"{size} bytes after the header (shape {shape})", got)
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise damaged(path, "a whole gzip file", f"a damaged one ({error})") from None
