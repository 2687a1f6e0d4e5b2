"""Pictures from the Hugging Face hub, through its library ``datasets`` (the extra ``hub``)."""

from __future__ import annotations

import importlib
from io import BytesIO
from typing import Any

import numpy as np

from seepage.data.images import decode
from seepage.data.source import CIFAR10_MEAN, CIFAR10_STD, Options, Raw, Source
from seepage.records import UserError

OPTIONS = ("config", "image", "label", "revision", "size")


def read_hub(name: str, options: Options) -> tuple[Source, Raw]:
    """A data set of the hub with an image column and a class column.

    Splits ``train`` and ``test`` are kept as the published split; with ``train`` alone there is
    none. Pictures have one channel where the first one is grey and three otherwise.

    Args:
        name: ``hub:owner/name``.
        options: ``config`` and ``revision`` as the hub names them; ``image`` and ``label``, the
            columns, where there are several; ``size``, to which pictures are resized.

    Raises:
        UserError: The library is not installed, the data set cannot be had, or its columns do not
            tell which is the image and which the class.
    """
    parts = _splits(name, options)
    features = parts[0].features
    image = _column(name, features, "Image", options.get("image"), "image")
    label = _column(name, features, "ClassLabel", options.get("label"), "label")
    images = [part.cast_column(image, _library().Image(decode=False)) for part in parts]
    encoded = [_encoded(row[image], name) for part in images for row in part]
    mode, size = _kind(encoded[0], options.get("size"))
    labels = [number for part in parts for number in part[label]]
    classes = tuple(str(text) for text in features[label].names)
    raw = Raw(
        inputs=decode(encoded, size, name, resize="size" in options, mode=mode),
        labels=np.asarray(labels, np.int64),
        n_train=len(parts[0]) if len(parts) == 2 else None,
        class_names=classes,
    )
    return _source(name, raw, mode), raw


def _library() -> Any:
    try:
        return importlib.import_module("datasets")
    except ModuleNotFoundError:
        raise UserError(
            "Data from the Hugging Face hub needs the library datasets, which is not installed. "
            "Install it with: pip install 'seepage[hub]'"
        ) from None


def _splits(name: str, options: Options) -> list[Any]:
    library, path = _library(), name.removeprefix("hub:")
    try:
        loaded = library.load_dataset(path, options.get("config"), revision=options.get("revision"))
    except (OSError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{name}: the hub did not give it ({type(error).__name__}: {reason}). Check the name, "
            f"data.options.config and the connection."
        ) from None
    if "train" not in loaded:
        raise UserError(f"{name}: expected a split train, got {', '.join(loaded)}.")
    return [loaded[part] for part in ("train", "test") if part in loaded]


def _column(name: str, features: Any, kind: str, wanted: str | None, option: str) -> str:
    fitting = [column for column, feature in features.items() if type(feature).__name__ == kind]
    if wanted in fitting:
        return str(wanted)
    if wanted is None and len(fitting) == 1:
        return fitting[0]
    held = ", ".join(f"{column} ({type(f).__name__})" for column, f in features.items())
    raise UserError(
        f"{name}: expected one {kind} column, or data.options.{option} naming one, got "
        f"{wanted or len(fitting)}; its columns: {held}."
    )


def _encoded(cell: Any, name: str) -> bytes:
    if not isinstance(cell, dict) or not cell.get("bytes"):
        raise UserError(f"{name}: expected every picture with its bytes, got one without.")
    return cell["bytes"]


def _kind(picture: bytes, size: int | None) -> tuple[str, tuple[int, int]]:
    from PIL import Image

    with Image.open(BytesIO(picture)) as image:
        mode = "L" if image.mode in {"1", "L", "I;16"} else "RGB"
        return mode, (size, size) if size else (image.height, image.width)


def _source(name: str, raw: Raw, mode: str) -> Source:
    return Source(
        summary="from the Hugging Face hub",
        shape=raw.inputs.shape[1:],
        classes=len(raw.class_names or ()),
        n=None,
        n_train=raw.n_train,
        scale=255.0,
        mean=CIFAR10_MEAN if mode == "RGB" else (0.5,),
        std=CIFAR10_STD if mode == "RGB" else (0.5,),
        paper=name,
        obtained="From the hub.",
    )
