"""Commands that say what there is: list, doctor."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer
from rich.console import Console

from seepage.cli.app import Data, app
from seepage.cli.printing import print_facts


@app.command("list", epilog="Example: seepage list attacks")
def list_(
    what: Annotated[str, typer.Argument()],
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Say what there is to choose from.

    WHAT is attacks, signals, datasets, models, defenses or recipes.
    """
    from rich.table import Table

    from seepage import audit as stage

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


@app.command(epilog="Example: seepage doctor --data ~/data")
def doctor(data: Data = None) -> None:
    """Say what this machine has: versions, threads, device, data sets found."""
    from seepage import audit as stage

    print_facts(stage.examine(data))
