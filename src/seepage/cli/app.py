"""The command line as such: the program, what all commands share, and exit statuses."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import click
import typer
from typer.core import TyperArgument, TyperCommand

from seepage.cli.printing import say
from seepage.records import UserError


class _Plain(TyperCommand):
    """A command whose help is whole and plain text.

    Typer escapes brackets as if they were markup, and below 0.21 click 8.5 drops the help of its
    arguments.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        hints = get_type_hints(self.callback, include_extras=True)
        for one in self.params:
            if isinstance(one, TyperArgument):
                one.help = hints[str(one.name)].__metadata__[0].help

    def get_help(self, ctx: click.Context) -> str:
        return super().get_help(ctx).replace("\\[", "[")


app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    suggest_commands=False,  # click does, and both together say it twice
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Measure what a model leaks about its training data while it is trained.",
    epilog="Start with: seepage audit",
)

command = partial(app.command, cls=_Plain)
"""Makes a function a command of the program."""


def _to_read(folder: Path | None) -> Path | None:
    if folder is not None and not folder.expanduser().is_dir():
        raise UserError(f"--data = {folder}: no such folder. Name one that holds the data.")
    return folder


def _to_write(folder: Path | None) -> Path | None:
    if folder is not None and folder.is_file():
        raise UserError(f"{folder} is a file; --out names a folder. Give another name.")
    return folder


Data = Annotated[
    Path | None,
    typer.Option(
        "--data", help="Folder to look for data sets in.", metavar="DIR", callback=_to_read
    ),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", help="Folder to write to.", metavar="DIR", callback=_to_write),
]
Json = Annotated[bool, typer.Option("--json", help="Print results.json to stdout instead.")]


def _version(asked: bool) -> None:
    if asked:
        from seepage import __version__

        typer.echo(f"seepage {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_version, is_eager=True),
    ] = False,
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
