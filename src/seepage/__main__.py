"""``python -m seepage`` is the command line."""

from seepage.cli import main

main()
