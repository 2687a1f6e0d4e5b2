"""From a name to a :class:`~seepage.records.Dataset`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from seepage.data import hub
from seepage.data.cache import kept
from seepage.data.catalogue import DATASETS
from seepage.data.folder import OPTIONS, framing, read_folder
from seepage.data.places import discard, download, locate
from seepage.data.source import Form, Options, Raw, Source, check, checksum
from seepage.data.user import load_function
from seepage.records import Dataset, UserError, suggestion

if TYPE_CHECKING:
    import torch

NO_OPTIONS: Options = MappingProxyType({})
FOLDER = replace(
    DATASETS["dermnet"], summary="a folder with one folder a class", classes=None, options=OPTIONS
)


def load(
    name: str,
    *,
    root: Path | None = None,
    device: torch.device | str = "cpu",
    options: Mapping[str, Any] = NO_OPTIONS,
) -> Dataset:
    r"""Samples as float32 tensors with stable ids: a sample's id is its row.

    .. math:: x = (x_\text{raw} / s - \mu) / \sigma

    with :math:`s` the raw scale (255 for pictures), and :math:`\mu, \sigma` a constant a channel,
    recorded in the result. Rows come in the source's order, training part first.

    Guarantees:
        * the same files give the same tensors and the same checksum, in any place;
        * nothing is unpickled that could run code, and nothing is downloaded that is already there.

    Args:
        name: A name from ``DATASETS``; ``folder:PATH`` (or a path), a folder with one folder of
            pictures a class; ``package.module:function``, the user's own; ``hub:NAME``, from the
            Hugging Face hub.
        root: Looked in first, before ``SEEPAGE_DATA``, the cache, and a download.
        device: Where the tensors go.
        options: For the reader: a folder's (see :func:`seepage.data.folder.framing`); the hub's
            (see :func:`seepage.data.hub.read_hub`); keywords of the user's function.

    Raises:
        UserError: There is no such name, option or file, or a file is not what it should be.
    """
    if name in DATASETS:
        dataset = _dataset(name, *_read(name, DATASETS[name], root, options))
    elif name.startswith("hub:"):
        _check_options(name, options, hub.OPTIONS)
        source, raw = hub.read_hub(name, options)
        check(source, raw, name)
        dataset = _dataset(name, source, raw)
    elif is_folder(name):
        dataset = _dataset(name, *_folder(name, options))
    elif re.fullmatch(r"[\w.]+:\w+", name):
        dataset = load_function(name, options)
    else:
        raise UserError(_unknown(name))
    return dataset if str(device) == "cpu" else dataset.to(device)


def is_folder(name: str) -> bool:
    """Whether a name is that of a folder of pictures: ``folder:PATH``, or a path."""
    known = name in DATASETS or name.startswith("hub:")
    return not known and bool(re.search(r"^folder:|^[.~]|[/\\]", name))


def is_found(name: str, *, root: Path | None = None) -> bool:
    """Whether a data set can be loaded with no download: embedded, or its files are here.

    A name that is not in ``DATASETS`` is not looked for and counts as found.
    """
    if name not in DATASETS or DATASETS[name].embedded:
        return True
    return locate(name, DATASETS[name], root) is not None


def _unknown(name: str) -> str:
    forms = "folder:PATH, hub:NAME and package.module:function are understood too."
    return f"data.name = {name!r}: no such data set; {suggestion(name, DATASETS)} {forms}"


def _read(name: str, source: Source, root: Path | None, options: Options) -> tuple[Source, Raw]:
    source = _sized(name, source, options)
    if source.embedded:
        raw = source.embedded()
        check(source, raw, name)
        return source, raw
    found = locate(name, source, root)
    form, files = found or download(name, source)
    try:
        return source, _parsed(name, source, form, files)
    except UserError:
        if not found:
            discard(name, source)
        raise


def _parsed(name: str, source: Source, form: Form, files: list[Path], *settings: object) -> Raw:
    read = partial(form.read, source, files)
    try:
        raw = kept(read, files, name, source.shape, *settings) if form.keep else read()
    except OSError as error:
        raise UserError(
            f"{error.filename or files[0]}: expected a file that can be read, got: "
            f"{error.strerror}. Mend its permissions or put it there again."
        ) from None
    check(source, raw, str(files[0]))
    return raw


def _folder(name: str, options: Options) -> tuple[Source, Raw]:
    path = Path(name.removeprefix("folder:")).expanduser()
    if not path.is_dir():
        raise UserError(f"data.name = {name!r}: there is no folder {path}. Check the path.")
    source, reading = framing(_sized(name, FOLDER, options), options)
    read = partial(read_folder, **reading._asdict())
    form = replace(FOLDER.forms[0], read=read)
    return source, _parsed("folder", source, form, [path], *reading)


def _sized(name: str, source: Source, options: Options) -> Source:
    _check_options(name, options, source.options)
    size = options.get("size")
    return replace(source, shape=(source.shape[0], size, size)) if size else source


def _check_options(name: str, options: Options, known: tuple[str, ...]) -> None:
    for key in options:
        if key not in known:
            takes = f"it takes {', '.join(known)}" if known else "it takes no options"
            raise UserError(f"data.options.{key}: {name} has no such option; {takes}.")
    size = options.get("size", 1)
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise UserError(f"data.options.size = {size!r}: expected a number of pixels, at least 1.")


def _dataset(name: str, source: Source, raw: Raw) -> Dataset:
    import torch

    inputs = torch.from_numpy(raw.inputs).to(torch.float32, copy=True)
    broadcast = (-1,) + (1,) * (inputs.ndim - 2)
    mean = torch.tensor(source.mean).reshape(broadcast)
    std = torch.tensor(source.std).reshape(broadcast)
    return Dataset(
        name=name,
        inputs=inputs.div_(source.scale).sub_(mean).div_(std),
        labels=torch.from_numpy(raw.labels),
        classes=source.classes or len(raw.class_names or ()),
        n_train=raw.n_train,
        mean=source.mean,
        std=source.std,
        checksum=checksum(raw),
        class_names=raw.class_names,
        notes=raw.notes,
    )
