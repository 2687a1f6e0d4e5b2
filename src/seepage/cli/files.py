"""Commands on what an earlier run left: attack, measure, report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seepage.cli.app import Data, Json, Out, command
from seepage.cli.printing import print_result, say
from seepage.records import AdversaryName, UserError


@command(
    epilog="Example: seepage attack signals.npz --truth truth.csv --attack fedmia_loss --target 0"
)
def attack(
    signals: Annotated[Path, typer.Argument(help="A file of signals, or a run folder.")],
    truth: Annotated[
        Path | None,
        typer.Option(help="CSV or Parquet with columns sample, owner. A run folder has its own."),
    ] = None,
    names: Annotated[
        list[str] | None, typer.Option("--attack", help="An attack; repeat for more. All if none.")
    ] = None,
    targets: Annotated[
        list[int] | None, typer.Option("--target", help="A client; repeat for more. All if none.")
    ] = None,
    target_models: Annotated[
        list[str] | None,
        typer.Option(
            "--target-model",
            help="A model, audited with the others as reference; repeat for more, or all.",
        ),
    ] = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Score attacks on signals that were measured anywhere.

    SIGNALS is an .npz, .nc or .zarr file of arrays over sample, round and client, or a run folder.
    A file of arrays over model and sample holds its own truth, in the array member.
    """
    from seepage import audit as stage
    from seepage.audit.arrays import truth_beside

    if target_models and (truth is not None or targets):
        raise UserError(
            "--target-model asks about models, whose members are in the signals file; "
            "--truth and --target are about the clients of a federation. Give one or the other."
        )
    if truth is None and not target_models:
        truth = truth_beside(signals)
    if truth is None:
        if targets:
            raise UserError(
                "--target is about the clients of a federation, and these are models' signals. "
                "Give --target-model."
            )
        result = stage.attack_models(
            signals, attacks=names or None, targets=target_models or ["all"], out=out
        )
    else:
        result = stage.attack_signals(
            signals, truth, attacks=names or None, targets=targets or None, out=out
        )
    for name, reason in result.left_out.items():
        say(f"without {name}: {reason}")
    if result.note:
        say(f"note: {result.note}")
    print_result(result, as_json)


@command(epilog="Example: seepage measure runs/1f2e3d4c5b6a-digits --signal loss --out loss.npz")
def measure(
    trace: Annotated[Path, typer.Argument(help="A run folder with stored weights.")],
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


@command(epilog="Example: seepage report runs/1f2e3d4c5b6a-digits")
def report(
    run: Annotated[Path, typer.Argument(help="The folder of a finished run.")],
    data: Data = None,
) -> None:
    """Draw the report and figures of a finished run again.

    RUN is a run folder, such as one under a sweep's points, or what attack, suite or sweep wrote.
    """
    from seepage import audit as stage

    for path in stage.redraw_report(run, data_root=data, tell=say):
        typer.echo(str(path))
