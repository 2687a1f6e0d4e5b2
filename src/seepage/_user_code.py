"""How a failure in the user's own code is told."""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path

LIBRARIES = tuple(sysconfig.get_paths()[key] for key in ("stdlib", "purelib", "platlib"))


def failure(error: Exception) -> str:
    """``NameError: … (mymod.py, line 8)``: the last line of the user's own that it went through."""
    own = [
        f"({Path(frame.filename).name}, line {frame.lineno})"
        for frame in traceback.extract_tb(error.__traceback__)[1:]
        if not frame.filename.startswith(("<", *LIBRARIES))
    ]
    return " ".join([f"{type(error).__name__}: {error}", *own[-1:]])
