"""Where data files lie on this machine, and how missing ones are downloaded.

In this order: the folder the user names, the folder in ``SEEPAGE_DATA``, the cache. In the first
two, files may lie in a subfolder with the data set's name or directly. The cache is
``SEEPAGE_CACHE`` or the user's cache folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from seepage.data.source import Form, Source
from seepage.records import UserError

Found = tuple[Form, list[Path]]


def cache_folder() -> Path:
    """``SEEPAGE_CACHE`` where it is set, else the user's cache folder."""
    import pooch

    return Path(os.environ.get("SEEPAGE_CACHE") or pooch.os_cache("seepage"))


def locate(name: str, source: Source, root: Path | None) -> Found | None:
    """The first place that holds the files of one of the source's forms, or None.

    Raises:
        UserError: A place is not a folder, or holds only some files of a form.
    """
    for folder in _folders(name, root):
        found = match(source, folder)
        if found:
            return found
        _refuse_partial(name, source, folder)
    return match(source, cache_folder() / name)


def _folders(name: str, root: Path | None) -> Iterator[Path]:
    given = {"--data": root, "SEEPAGE_DATA": os.environ.get("SEEPAGE_DATA")}
    for label, base in given.items():
        if base:
            folder = Path(base).expanduser()
            if not folder.is_dir():
                raise UserError(
                    f"{label} = {folder}: no such folder. Name one that holds the data."
                )
            yield from (folder / name, folder)


def match(source: Source, folder: Path) -> Found | None:
    """The first form of which every file is in ``folder``, with its files in the form's order."""
    for form in source.forms:
        found = [sorted(folder.glob(pattern)) for pattern in form.files]
        if all(found):
            return form, [path for paths in found for path in paths]
    return None


def _refuse_partial(name: str, source: Source, folder: Path) -> None:
    for form in source.forms:
        missing = [pattern for pattern in form.files if not any(folder.glob(pattern))]
        if 0 < len(missing) < len(form.files):
            raise UserError(
                f"{folder}: {name} needs {', '.join(form.files)} together, but there is no "
                f"{missing[0]}. Put it there, or take the others away."
            )


def download(name: str, source: Source) -> Found:
    """Download a source's files into the cache, each checked and moved into place when whole.

    Raises:
        UserError: It cannot be downloaded automatically, or a download failed. Nothing
            half-written is left behind.
    """
    import pooch

    folder = cache_folder() / name
    if not source.remotes:
        raise UserError(f"{name} is in none of the places looked at. {source.obtained}")
    for remote in source.remotes:
        try:
            pooch.retrieve(remote.url, remote.checksum, fname=remote.file, path=folder)
        except (OSError, ValueError) as error:  # requests and ssl errors are OSErrors
            network = isinstance(error, OSError)
            reason = type(error).__name__ if network else "its checksum is not the published one"
            raise UserError(
                f"{name}: downloading {remote.url} failed ({reason}). Download that file by hand "
                f"and put it into {folder}, or into a folder {name} under the one given as --data."
            ) from None
    found = match(source, folder)
    if found is None:
        raise UserError(f"{folder}: what was downloaded for {name} is gone. Run again.")
    return found


def discard(name: str, source: Source) -> None:
    """Remove what was downloaded for a source: it turned out not to be the data."""
    for remote in source.remotes:
        (cache_folder() / name / remote.file).unlink(missing_ok=True)
