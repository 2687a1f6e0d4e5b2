"""The command line: arguments, printing, exit codes, and nothing else.

Results go to stdout, progress and messages to stderr. Exit status 0: done; 2: something only the
user can mend (said in a sentence); 1: a fault of ours (``--debug`` shows the traceback). Heavy
imports wait until a command needs them, so that ``--help`` is quick.
"""

from seepage.cli import audits, files, sweeps, tables
from seepage.cli.app import app, main

__all__ = ["app", "audits", "files", "main", "sweeps", "tables"]
