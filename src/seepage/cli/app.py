"""The command line as such: the program, what all commands share, and exit statuses."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from seepage.cli.printing import say
from seepage.records import UserError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Measure what a model leaks about its training data while it is trained.",
    epilog="Start with: seepage audit",
)

Data = Annotated[
    Path | None, typer.Option("--data", help="Folder to look for data sets in.", metavar="DIR")
]
Out = Annotated[Path | None, typer.Option("--out", help="Folder to write to.", metavar="DIR")]
Json = Annotated[bool, typer.Option("--json", help="Print results.json to stdout instead.")]


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Options that stand before the command; ``main`` reads ``--debug`` itself."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave with its exit status."""
    words = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in words
    sys.path.insert(0, "")  # so that package.module:name finds the user's own files here
    try:
        app([word for word in words if word != "--debug"])
    except UserError as error:
        if debug:
            raise
        say(f"error: {error}")
        sys.exit(2)
    except SystemExit as stop:
        if stop.code == 130:
            say("interrupted; the same command goes on from the last committed round")
        raise
    except BrokenPipeError:
        sys.exit(0)
    except Exception as error:
        if debug:
            raise
        say(
            f"error: {type(error).__name__}: {error}\nThis is a fault of Seepage, not yours. "
            "Run again with --debug to see where it comes from."
        )
        sys.exit(1)
