"""The command line: arguments, printing, exit codes, and nothing else.

Results go to stdout, progress and messages to stderr. Exit status 0: done; 2: something only the
user can mend (said in a sentence); 1: a fault of ours (``--debug`` shows the traceback). Heavy
imports wait until a command needs them, so that ``--help`` is quick.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from seepage.records import AdversaryName, UserError

if TYPE_CHECKING:
    from seepage.audit import Result

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


@app.command(
    epilog="Example: seepage audit --recipe fedmia --scale quick --set federation.rounds=60"
)
def audit(
    study: Annotated[Path | None, typer.Argument()] = None,
    recipe: Annotated[str | None, typer.Option(help="A published study, by name.")] = None,
    scale: Annotated[
        str, typer.Option(help="Scale of the recipe: quick (default) or paper.", show_default=False)
    ] = "quick",
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="section.key=value, over all else.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of every random draw.")] = None,
    data: Data = None,
    out: Out = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")] = False,
    as_json: Json = False,
) -> None:
    """Train a federation, watch it as an adversary would, and say what leaked.

    STUDY is a TOML file; without one, and without a recipe, the default audit runs.
    """
    from seepage import audit as stage

    overrides = dict(stage.parse_setting(text) for text in settings or [])
    overrides |= {"seed": seed} if seed is not None else {}
    overrides |= {"compute.device": device} if device is not None else {}
    chosen = stage.resolve(study, recipe=recipe, scale=scale, overrides=overrides, data_root=data)
    prepared = stage.prepare(chosen, data_root=data, may_spawn=True)
    for name, reason in prepared.left_out.items():
        _say(f"without {name}: {reason}")
    if dry_run:
        _print_facts({"plan": stage.estimate(prepared)})
        return
    folder = out or Path("runs") / f"{prepared.fingerprint}-{chosen.name}"
    _say(f"{chosen.name} {prepared.fingerprint} · {prepared.plan}")
    stage.keep_freed_memory()
    with _Progress() as tell:
        result = stage.run_prepared(prepared, out=folder, progress=tell)
    _print_result(result, as_json)


@app.command(
    epilog="Example: seepage attack signals.npz --truth truth.csv --attack fedmia_loss --target 0"
)
def attack(
    signals: Annotated[Path, typer.Argument()],
    truth: Annotated[Path, typer.Option(help="CSV or Parquet with columns sample, owner.")],
    names: Annotated[
        list[str] | None, typer.Option("--attack", help="An attack; repeat for more. All if none.")
    ] = None,
    targets: Annotated[
        list[int] | None, typer.Option("--target", help="A client; repeat for more. All if none.")
    ] = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Score attacks on signals that were measured anywhere.

    SIGNALS is an .npz, .nc or .zarr file of arrays over sample, round and client, or a run folder.
    """
    from seepage import audit as stage

    result = stage.attack_signals(
        signals, truth, attacks=names or None, targets=targets or None, out=out
    )
    _print_result(result, as_json)


@app.command(
    epilog="Example: seepage measure runs/1f2e3d4c5b6a-digits --signal loss --out loss.npz"
)
def measure(
    trace: Annotated[Path, typer.Argument()],
    signals: Annotated[
        list[str] | None, typer.Option("--signal", help="A signal; repeat for more. All if none.")
    ] = None,
    adversary: Annotated[
        str,
        typer.Option(
            help="server (default), aggregate, participant or querier.", show_default=False
        ),
    ] = "server",
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            help="File to write, .npz or .nc (default: signals.npz).",
            metavar="FILE",
            show_default=False,
        ),
    ] = Path("signals.npz"),
    data: Data = None,
) -> None:
    """Measure signals on a stored trace, as one adversary sees it.

    TRACE is a run folder of a study with observe.weights set to half or full.
    """
    from typing import cast

    from seepage import audit as stage

    measured = stage.measure_trace(
        trace, signals=signals or None, adversary=cast(AdversaryName, adversary), data_root=data
    )
    stage.write_signals(out, measured)
    sizes = ", ".join(f"{size:,} {dim}s" for dim, size in measured.sizes.items())
    typer.echo(f"wrote {out}: {', '.join(map(str, measured.data_vars))} over {sizes}")


@app.command(epilog="Example: seepage report runs/1f2e3d4c5b6a-digits")
def report(
    run: Annotated[Path, typer.Argument()],
    data: Data = None,
) -> None:
    """Draw the report and figures of a finished run again.

    RUN is a run folder, or a folder that attack wrote.
    """
    from seepage import audit as stage

    for path in stage.redraw_report(run, data_root=data, tell=_say):
        typer.echo(str(path))


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

    _print_facts(stage.examine(data))


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
        _say(f"error: {error}")
        sys.exit(2)
    except SystemExit as stop:
        if stop.code == 130:
            _say("interrupted; the same command goes on from the last committed round")
        raise
    except BrokenPipeError:
        sys.exit(0)
    except Exception as error:
        if debug:
            raise
        _say(
            f"error: {type(error).__name__}: {error}\nThis is a fault of Seepage, not yours. "
            "Run again with --debug to see where it comes from."
        )
        sys.exit(1)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _print_facts(headings: dict[str, dict[str, str]]) -> None:
    from rich.table import Table

    console = Console()
    for heading, facts in headings.items():
        table = Table(
            box=None, show_header=False, title=heading, title_justify="left", pad_edge=False
        )
        for key, value in facts.items():
            table.add_row(key, value)
        console.print(table)
        console.print()


def _print_result(result: Result, as_json: bool) -> None:
    if as_json:
        typer.echo(result.results.model_dump_json(by_alias=True, indent=1))
    else:
        from seepage.audit import terminal_table

        Console(soft_wrap=False).print(terminal_table(result.results))
    if result.folder is not None:
        _say(f"wrote {result.folder}/")
        _say(f"open  {result.folder}/report.html")


class _Progress:
    """A bar a stage, on stderr; quiet where stderr is not a terminal."""

    def __enter__(self) -> Callable[[str, int, int], None]:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

        self._bars = Progress(
            "{task.description:<10}",
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
        )
        self._tasks: dict[str, Any] = {}
        self._bars.start()
        return self._tell

    def _tell(self, stage: str, done: int, total: int) -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=total)
        self._bars.update(self._tasks[stage], completed=done)

    def __exit__(self, *_: object) -> None:
        self._bars.stop()


if __name__ == "__main__":
    main()
