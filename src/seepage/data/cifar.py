"""CIFAR-10 and CIFAR-100: the original Python archives, and Hugging Face's Parquet files.

The two forms hold the same pictures in another order, and a Parquet copy may be JPEG-compressed:
a checksum names which one a run used.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from seepage.data.archive import members
from seepage.data.images import decode
from seepage.data.pickled import read_pickle
from seepage.data.source import Raw, Source, damaged
from seepage.records import UserError

TRAIN_10 = tuple(f"cifar-10-batches-py/data_batch_{i}" for i in range(1, 6))
TEST_10 = ("cifar-10-batches-py/test_batch",)
META_10 = "cifar-10-batches-py/batches.meta"
TRAIN_100, TEST_100 = ("cifar-100-python/train",), ("cifar-100-python/test",)
META_100 = "cifar-100-python/meta"


def read_archive_10(source: Source, paths: list[Path]) -> Raw:
    """CIFAR-10 as Krizhevsky published it: five training batches in order, then the test batch."""
    return _original(paths, TRAIN_10, TEST_10, META_10, "labels", "label_names")


def read_archive_100(source: Source, paths: list[Path]) -> Raw:
    """CIFAR-100 as Krizhevsky published it, with the 100 fine labels."""
    return _original(paths, TRAIN_100, TEST_100, META_100, "fine_labels", "fine_label_names")


def _original(
    paths: list[Path],
    train: tuple[str, ...],
    test: tuple[str, ...],
    meta: str,
    label: str,
    names: str,
) -> Raw:
    """From the archive, or from its extracted files where there are several ``paths``."""
    wanted = (*train, *test, meta)
    if len(paths) == 1:
        with members(paths[0], wanted) as found:
            content = {name: file.read() for name, file in found}
    else:
        content = {name: path.read_bytes() for name, path in zip(wanted, paths, strict=True)}
    batches = {name: read_pickle(BytesIO(content[name]), paths[0]) for name in wanted}
    pieces = [_batch(batches[name], label, f"{paths[0]} ({name})") for name in wanted[:-1]]
    texts = batches[meta].get(names)
    return Raw(
        inputs=np.concatenate([images for images, _ in pieces]),
        labels=np.concatenate([labels for _, labels in pieces]),
        n_train=sum(len(labels) for _, labels in pieces[: len(train)]),
        class_names=tuple(_text(name) for name in texts) if texts else None,
    )


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _batch(batch: dict[str, Any], label: str, where: str) -> tuple[Any, Any]:
    """Rows of 3,072 bytes, one colour after another, each row by row."""
    if "data" not in batch or label not in batch:
        raise damaged(where, f"batches with data and {label}", f"{', '.join(batch) or 'nothing'}")
    data = np.asarray(batch["data"])
    if data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != 3072:
        raise damaged(where, "rows of 3072 bytes", f"{data.dtype} of shape {data.shape}")
    labels = np.asarray(batch[label], dtype=np.int64)
    if len(labels) != len(data):
        raise damaged(where, f"{len(data)} labels in a batch", f"{len(labels)}")
    return data.reshape(-1, 3, 32, 32), labels


def read_parquet_10(source: Source, paths: list[Path]) -> Raw:
    """Hugging Face's CIFAR-10: columns ``img`` and ``label``, ``train-*`` then ``test-*``."""
    return _parquet(paths, "label")


def read_parquet_100(source: Source, paths: list[Path]) -> Raw:
    """Hugging Face's CIFAR-100: columns ``img`` and ``fine_label``."""
    return _parquet(paths, "fine_label")


def _parquet(paths: list[Path], label: str) -> Raw:
    train = [_table(path, label) for path in paths if path.name.startswith("train")]
    test = [_table(path, label) for path in paths if not path.name.startswith("train")]
    return Raw(
        inputs=np.concatenate([images for images, _ in train + test]),
        labels=np.concatenate([labels for _, labels in train + test]),
        n_train=sum(len(labels) for _, labels in train),
    )


def _table(path: Path, label: str) -> tuple[Any, Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        columns = pq.read_schema(path).names
        if "img" not in columns or label not in columns:
            raise damaged(path, f"columns img and {label}", ", ".join(columns))
        table = pq.read_table(path, columns=["img", label])
    except (pa.ArrowException, OSError) as error:
        raise damaged(path, "a whole Parquet file", f"a damaged one ({error})") from None
    if not pa.types.is_struct(table.schema.field("img").type):
        raise UserError(f"{path}: expected img to be {{bytes, path}}, as Hugging Face writes it.")
    files = table["img"].combine_chunks().field("bytes").to_pylist()
    labels = table[label].to_numpy().astype(np.int64)
    return decode(files, (32, 32), str(path)), labels
