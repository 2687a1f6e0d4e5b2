"""A folder for what the workers of one run share."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = ".work-"


@contextmanager
def workspace(folder: Path) -> Iterator[Path]:
    """A new folder inside ``folder``, which goes when the block ends.

    A run that is killed cannot remove its own, which may hold a whole data set. So those of runs
    on this machine that are no longer there are removed first; their names tell whose they are.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mine = f"{PREFIX}{platform.node()}-"
    for left in folder.glob(f"{mine}*"):
        owner = left.name.removeprefix(mine).split("-")[0]
        if owner.isdecimal() and not _runs(int(owner)):
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=f"{mine}{os.getpid()}-") as made:
        yield Path(made)


def _runs(process: int) -> bool:
    """Whether there is such a process; where asking would end it, it is taken to be there."""
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True
