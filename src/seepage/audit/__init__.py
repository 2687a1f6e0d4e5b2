"""Every stage put together: from a study to a result."""

from seepage.audit.arrays import attack_signals
from seepage.audit.catalog import list_table
from seepage.audit.doctor import examine
from seepage.audit.estimate import estimate
from seepage.audit.prepare import Prepared, prepare
from seepage.audit.recipes import RECIPES, parse_setting, resolve
from seepage.audit.redraw import redraw_report
from seepage.audit.remeasure import measure_trace
from seepage.audit.result import Result
from seepage.audit.run import run, run_prepared
from seepage.observe import write_signals
from seepage.report import terminal_table
from seepage.training import keep_freed_memory

__all__ = [
    "RECIPES",
    "Prepared",
    "Result",
    "attack_signals",
    "estimate",
    "examine",
    "keep_freed_memory",
    "list_table",
    "measure_trace",
    "parse_setting",
    "prepare",
    "redraw_report",
    "resolve",
    "run",
    "run_prepared",
    "terminal_table",
    "write_signals",
]
