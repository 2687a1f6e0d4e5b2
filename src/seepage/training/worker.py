"""What a worker process does first."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from multiprocessing.process import BaseProcess

from seepage.training.memory import keep_freed_memory


def start_worker() -> None:
    """It keeps its memory, ends with who started it, and leaves an interrupt to that process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    keep_freed_memory()
    end_with_parent()


def end_with_parent() -> None:
    """End this process as soon as the one that started it has ended, however that came about.

    A pool shuts its workers down when it is closed. Where the process that holds it is killed,
    they would finish what they are at and then wait for work for ever. What is kept on disk is
    written whole or not at all, so nothing is lost by ending in the middle.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)
