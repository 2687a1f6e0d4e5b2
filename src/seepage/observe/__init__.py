"""What each adversary holds of a run, and the folder it is kept in."""

from seepage.observe.adversary import (
    ADVERSARIES,
    AGGREGATE,
    PARTICIPANT,
    QUERIER,
    SERVER,
    Adversary,
    View,
    seen_by,
)
from seepage.observe.recorder import Recorder
from seepage.observe.signals_file import read_signals, read_truth, write_signals
from seepage.observe.store import RunStore
from seepage.observe.trace import Trace

__all__ = [
    "ADVERSARIES",
    "AGGREGATE",
    "PARTICIPANT",
    "QUERIER",
    "SERVER",
    "Adversary",
    "Recorder",
    "RunStore",
    "Trace",
    "View",
    "read_signals",
    "read_truth",
    "seen_by",
    "write_signals",
]
