"""From results to what people read: a page, figures, a table in the terminal, a sentence."""

from seepage.report.pictures import most_exposed
from seepage.report.terminal import terminal_table
from seepage.report.verdict import verdicts
from seepage.report.write import write_report

__all__ = ["most_exposed", "terminal_table", "verdicts", "write_report"]
