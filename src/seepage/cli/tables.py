"""Commands that say what there is: list, doctor."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer
from rich.console import Console

from seepage.cli.app import Data, command
from seepage.cli.printing import print_facts


@command("list", epilog="Example: seepage list attacks")
def list_(
    what: Annotated[str | None, typer.Argument(help="A table. All their names if none.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Say what there is to choose from.

    WHAT is attacks, datasets, defenses, inversions, models, recipes, regularizers or signals.
    """
    from rich.table import Table

    from seepage import audit as stage
    from seepage.audit.catalog import TABLES

    head, *rows = [("table",), *((name,) for name in TABLES)]
    if what is not None:
        head, *rows = stage.list_table(what)
    if as_json:
        typer.echo(json.dumps([dict(zip(head, row, strict=True)) for row in rows], indent=1))
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for i, title in enumerate(head):
        table.add_column(title, no_wrap=i == 0, overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 160).print(table)


@command(epilog="Example: seepage doctor --data ~/data")
def doctor(data: Data = None) -> None:
    """Say what this machine has: versions, threads, device, data sets found."""
    from seepage import audit as stage

    print_facts(stage.examine(data))
