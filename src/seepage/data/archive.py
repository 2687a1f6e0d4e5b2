"""Members of a tar archive, read as a stream: nothing is ever extracted to disk."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from seepage.data.source import damaged

Members = Iterator[tuple[str, IO[bytes]]]


@contextmanager
def members(path: Path, names: tuple[str, ...]) -> Iterator[Members]:
    """The members whose path ends in one of ``names``, in the archive's order: one pass.

    Each is to be read before the next is asked for.

    Raises:
        UserError: The archive is damaged, or a member is not in it (the wrong archive).
    """
    try:
        with tarfile.open(path) as archive:
            yield _found(archive, path, names)
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise damaged(path, "a whole tar archive", f"a damaged one ({error})") from None


def _found(archive: tarfile.TarFile, path: Path, names: tuple[str, ...]) -> Members:
    missing, seen = list(names), []
    for member in archive:
        seen.append(member.name)
        name = next((n for n in missing if f"/{member.name}".endswith(f"/{n}")), None)
        file = archive.extractfile(member) if name and member.isfile() else None
        if name and file:
            missing.remove(name)
            yield name, file
    if missing:
        held = ", ".join(seen[:5]) or "nothing"
        raise damaged(path, f"an archive that holds {missing[0]}", f"one that holds {held}")
