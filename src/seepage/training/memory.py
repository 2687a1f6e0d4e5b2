"""Keeping freed memory, so that the next batch need not ask the kernel for it again."""

from __future__ import annotations

import ctypes
import os

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
LARGEST = 1 << 25  # the largest mapping threshold that glibc accepts


def keep_freed_memory() -> None:
    """Let this process keep what it frees; does nothing where the C library is not glibc.

    By default glibc maps every block of more than a few hundred kilobytes anew and gives it back
    when it is freed. A training step frees and asks for the same activations again and again, and
    each time every page of them is faulted in: a quarter of the time of a small convolutional
    network on a CPU. The price is that the process holds on to its largest working set.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGEST)
        mallopt(M_TRIM_THRESHOLD, 1 << 30)
