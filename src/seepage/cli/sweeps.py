"""The command that runs many audits as one trade-off: sweep."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seepage.cli.app import Data, Json, Out, command
from seepage.cli.audits import Device, Recipe, Scale, Seed, Settings, StudyFile, overrides_of
from seepage.cli.printing import Bars, print_sweep, say
from seepage.records import UserError


@command(
    epilog="Example: seepage sweep --recipe fedmia --set defense.name=sparsification "
    "--grid defense.drop=0.5,0.9,0.99 --seeds 3"
)
def sweep(
    study: StudyFile = None,
    recipe: Recipe = None,
    scale: Scale = "quick",
    dataset: Annotated[
        str | None, typer.Option(help="One of the recipe's data sets; the first found if none.")
    ] = None,
    grids: Annotated[
        list[str] | None,
        typer.Option(
            "--grid",
            help="section.key=V1,V2; repeat for a product. The recipe's own series if none.",
        ),
    ] = None,
    seeds: Annotated[
        int,
        typer.Option(
            help="Runs of every point, each with a seed (default: 1).", min=1, show_default=False
        ),
    ] = 1,
    jobs: Annotated[
        int | None,
        typer.Option(help="Runs side by side; one a core if none, 1 on a GPU.", min=1),
    ] = None,
    settings: Settings = None,
    seed: Seed = None,
    data: Data = None,
    out: Out = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Run many audits, and draw what each costs in accuracy against what still leaks.

    STUDY is a TOML file, swept over --grid; a recipe such as fedmia_defenses has series of its
    own. A sweep that was stopped goes on where it was. `seepage report` draws the report of a
    single run, whose folder is under points.
    """
    from seepage import audit as stage

    found = [stage.parse_grid(text) for text in grids or []]
    if twice := [key for place, (key, _) in enumerate(found) if key in dict(found[:place])]:
        raise UserError(f"--grid {twice[0]}: given twice. Put all its values into one.")
    chosen = stage.resolve_sweep(
        study,
        recipe=recipe,
        scale=scale,
        dataset=dataset,
        grid=dict(found) or None,
        seeds=seeds,
        overrides=overrides_of(settings, seed, device),
        data_root=data,
    )
    workers = stage.jobs_of(chosen, jobs)
    folder = out or Path("runs") / f"{stage.sweep_digest(chosen)}-{chosen.name}-{scale}"
    say(f"{chosen.name} on {chosen.dataset}: {len(chosen.points)} runs, {workers} side by side")
    stage.keep_freed_memory()
    with Bars() as tell:
        results = stage.run_sweep(chosen, out=folder, data_root=data, jobs=workers, progress=tell)
    print_sweep(results, folder, as_json)
    if results.failures:
        raise typer.Exit(2)
