"""Commands that train: audit, suite, reference."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seepage.cli.app import Data, Json, Out, command
from seepage.cli.printing import (
    Bars,
    print_facts,
    print_inversion,
    print_result,
    print_suite,
    say,
)

if TYPE_CHECKING:
    from seepage.audit import Prepared, PreparedInversion
    from seepage.audit.models import PreparedModels
    from seepage.study import Study

StudyFile = Annotated[Path | None, typer.Argument(help="A TOML file of settings.")]
Recipe = Annotated[str | None, typer.Option(help="A published study, by name.")]
Scale = Annotated[
    str, typer.Option(help="Scale of the recipe: quick (default) or paper.", show_default=False)
]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="section.key=value, over all else.")
]
Seed = Annotated[int | None, typer.Option(help="Seed of every random draw.")]
Device = Annotated[str | None, typer.Option(help="auto, cpu or cuda.")]


@command(epilog="Example: seepage audit --recipe fedmia --scale quick --set federation.rounds=60")
def audit(
    study: StudyFile = None,
    recipe: Recipe = None,
    scale: Scale = "quick",
    settings: Settings = None,
    seed: Seed = None,
    data: Data = None,
    out: Out = None,
    device: Device = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")] = False,
    as_json: Json = False,
) -> None:
    """Train, watch as an adversary would, and say what leaked.

    STUDY is a TOML file; without one, and without a recipe, the default audit runs. A study with
    reference.models trains that many models and audits them as black boxes; one with a section
    inversion reconstructs images from the global models of its federation; any other trains one
    federation and audits its rounds.
    """
    from seepage import audit as stage

    overrides = overrides_of(settings, seed, device)
    chosen = stage.resolve(study, recipe=recipe, scale=scale, overrides=overrides, data_root=data)
    if chosen.inversion is not None:
        _invert(chosen, data, out, dry_run, as_json)
        return
    prepared = stage.prepare(chosen, data_root=data, may_spawn=True)
    for name, reason in prepared.left_out.items():
        say(f"without {name}: {reason}")
    folder = _begun(prepared, chosen, out, dry_run)
    if folder is None:
        return
    with Bars() as tell:
        store = (out or Path("runs")) / "models"
        result = stage.run_prepared(prepared, out=folder, store=store, progress=tell)
    print_result(result, as_json)


def _invert(
    study: Study, data: Path | None, out: Path | None, dry_run: bool, as_json: bool
) -> None:
    from seepage import audit as stage

    prepared = stage.prepare_inversion(study, data_root=data, may_spawn=True)
    for note in prepared.sides.notes:
        say(f"note: {note}")
    folder = _begun(prepared, study, out, dry_run)
    if folder is None:
        return
    with Bars() as tell:
        store = (out or Path("runs")) / "priors"
        result = stage.run_inversion(prepared, out=folder, store=store, progress=tell)
    print_inversion(result, as_json)


def _begun(
    prepared: Prepared | PreparedModels | PreparedInversion,
    study: Study,
    out: Path | None,
    dry_run: bool,
) -> Path | None:
    """Say what will run, and give its folder; None where only the plan was asked for."""
    from seepage import audit as stage

    if dry_run:
        print_facts({"plan": stage.estimate(prepared)})
        return None
    say(f"{study.name} {prepared.fingerprint} · {prepared.plan}")
    stage.keep_freed_memory()
    return out or Path("runs") / f"{prepared.fingerprint}-{study.name}"


@command(epilog="Example: seepage suite hamp --defenses none --defenses hamp")
def suite(
    recipe: Annotated[str, typer.Argument(help="A recipe that lists defenses.")],
    scale: Scale = "quick",
    preset: Annotated[
        str,
        typer.Option(help="fixed (default), or faithful to the released code.", show_default=False),
    ] = "fixed",
    dataset: Annotated[
        str | None, typer.Option(help="One of the recipe's data sets; the first found if none.")
    ] = None,
    defenses: Annotated[
        list[str] | None, typer.Option(help="A defense; repeat for more. All if none.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(help="Worker processes; one a core if none.", min=1)
    ] = None,
    settings: Settings = None,
    seed: Seed = None,
    data: Data = None,
    out: Out = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Compare defenses: every defense of a recipe, every attack on each, in one table.

    RECIPE is a recipe that lists defenses, such as hamp. A comparison that was stopped goes on
    where it was.
    """
    from seepage import audit as stage

    overrides = overrides_of(settings, seed, device)
    overrides |= {"compute.workers": jobs} if jobs is not None else {}
    chosen = stage.resolve_suite(
        recipe,
        scale=scale,
        preset=preset,
        dataset=dataset,
        defenses=defenses or None,
        overrides=overrides,
        data_root=data,
    )
    named = f"{stage.suite_digest(chosen)}-{recipe}-{scale}-{chosen.dataset}-{preset}"
    folder = out or Path("runs") / named
    say(f"{recipe} on {chosen.dataset}: {', '.join(chosen.studies)}")
    stage.keep_freed_memory()
    with Bars() as tell:
        results = stage.run_suite(
            chosen, out=folder, data_root=data, may_spawn=True, progress=stage.by_label(tell)
        )
    print_suite(results, folder, as_json)
    if results.failures:
        raise typer.Exit(2)


@command(epilog="Example: seepage reference study.toml --index 3 --of 8 --out runs/big")
def reference(
    study: StudyFile = None,
    recipe: Recipe = None,
    scale: Scale = "quick",
    index: Annotated[int, typer.Option(help="Which share of the models, from 0.", min=0)] = 0,
    of: Annotated[int, typer.Option(help="How many shares there are.", min=1)] = 1,
    settings: Settings = None,
    seed: Seed = None,
    data: Data = None,
    out: Out = None,
    device: Device = None,
) -> None:
    """Train one share of a study's models, and stop: for arrays of jobs on many machines.

    Models that are finished are not trained again, and when all are there `seepage audit` with
    the same study and --out attacks them without training any.
    """
    from seepage import audit as stage

    overrides = overrides_of(settings, seed, device)
    chosen = stage.resolve(study, recipe=recipe, scale=scale, overrides=overrides, data_root=data)
    prepared = stage.prepare(chosen, data_root=data, may_spawn=True)
    folder = out or Path("runs") / f"{prepared.fingerprint}-{chosen.name}"
    store = (out or Path("runs")) / "models"
    say(f"{chosen.name} {prepared.fingerprint} · {prepared.plan}")
    with Bars() as tell:
        count = stage.train_share(
            prepared, index=index, of=of, out=folder, store=store, progress=tell
        )
    typer.echo(f"{count} models of share {index} of {of} are in {store}/")


def overrides_of(
    settings: list[str] | None, seed: int | None, device: str | None
) -> dict[str, Any]:
    """Settings given one by one, by their key in the study."""
    from seepage import audit as stage

    found = dict(stage.parse_setting(text) for text in settings or [])
    found |= {"seed": seed} if seed is not None else {}
    return found | ({"compute.device": device} if device is not None else {})
