"""Files that are whole or not there."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from seepage.records import UserError

PARTIAL = ".partial"


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, sync it, and rename it into place.

    Guarantees:
        * ``path`` holds its old content, or all of the new, whatever happens.

    Raises:
        UserError: The place cannot be written to.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(partial)
        with partial.open("rb+") as file:  # Windows syncs only what may be written to
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror or error}). Choose another --out, or make "
            "room or give permission there."
        ) from None
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
