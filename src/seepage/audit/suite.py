"""One data set, many defenses, every attack on each: the comparison in one table."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seepage import __version__
from seepage.audit.best import AT
from seepage.audit.choice import choose
from seepage.audit.claimed_folder import claim_folder, digest_of
from seepage.audit.folder import write_results
from seepage.audit.loading import load_data
from seepage.audit.models import PreparedModels
from seepage.audit.prepare import prepare
from seepage.audit.recipes import read_recipe, suite_dataset, suite_study, with_settings
from seepage.audit.run import run_prepared
from seepage.defenses import DEFENSES
from seepage.records import UserError
from seepage.report import write_suite
from seepage.results import Failure, Results, SuiteResults, SuiteRow
from seepage.study import Study, build_study

if TYPE_CHECKING:
    from seepage.audit.result import Result
    from seepage.training import Executor

PRESETS = ("fixed", "faithful")

Progress = Callable[[str, str, int, int], None]
"""``(defense, stage, done, total)``, called as the work goes on."""


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A suite as resolved: a study for every defense.

    Attributes:
        recipe: Its recipe.
        scale: ``quick`` or ``paper``.
        preset: ``fixed`` is correct, ``faithful`` does as the released code does.
        dataset: The data set that all are compared on.
        studies: The study of every row, by its label.
    """

    recipe: str
    scale: str
    preset: str
    dataset: str
    studies: dict[str, Study]


def resolve_suite(
    recipe: str,
    *,
    scale: str = "quick",
    preset: str = "fixed",
    dataset: str | None = None,
    defenses: Sequence[str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    data_root: Path | None = None,
) -> Suite:
    """The studies of a suite, checked before any work.

    Args:
        recipe: A recipe with a table of defenses.
        scale: Its scale.
        preset: Its preset.
        dataset: One of the recipe's data sets; None takes the first whose files are here.
        defenses: Labels of rows, or names of defenses; None runs all.
        overrides: ``section.key`` → value, over every study.
        data_root: Folder to look for data sets in.

    Raises:
        UserError: A name or a setting is wrong.
    """
    read = read_recipe(recipe)
    choose(scale, read["scale"], what=f"scale of {recipe}")
    choose(preset, PRESETS, what="preset")
    if "suite" not in read:
        raise UserError(f"recipe {recipe!r} compares no defenses; use `seepage audit --recipe`.")
    name = suite_dataset(read, dataset, data_root)
    table = read["suite"][name]["defense"]
    studies = {}
    for label in _wanted(table, defenses):
        raw = with_settings(suite_study(read, name, scale, label, preset), overrides or {})
        studies[label] = build_study(raw | {"name": label}, source=f"{recipe}: {label}")
    return Suite(recipe=recipe, scale=scale, preset=preset, dataset=name, studies=studies)


def _wanted(table: Mapping[str, Any], asked: Sequence[str] | None) -> list[str]:
    if asked is None:
        return list(table)
    names = {table[label].get("name", label) for label in table}
    for name in asked:
        choose(name, [*table, *names], what="defense in this recipe")
    return [label for label in table if label in asked or table[label].get("name", label) in asked]


def run_suite(
    suite: Suite,
    *,
    out: Path,
    data_root: Path | None = None,
    executor: Executor | None = None,
    may_spawn: bool = False,
    progress: Progress | None = None,
) -> SuiteResults:
    """Audit every row, one after the other, each on all workers; then write the comparison.

    A row that is finished is not run again; one that cannot be run becomes a failure and the
    others go on.

    Raises:
        UserError: The data is not here, or the folder holds another comparison.

    Args:
        suite: The studies.
        out: Folder for a run folder a row, the models they share, and the comparison.
        data_root: Folder to look for data sets in.
        executor: Anything with ``submit``.
        may_spawn: Whether worker processes may be started.
        progress: Told how far the work is.
    """
    began = time.perf_counter()
    tell = progress or (lambda label, stage, done, total: None)
    first = next(iter(suite.studies.values()))
    load_data(first, None, None, data_root)  # missing data is one error, not one a row
    claim_folder(out, "suite", suite_digest(suite), list(suite.studies))
    rows, failures = [], []
    for label, study in suite.studies.items():
        try:
            prepared = prepare(study, data_root=data_root, may_spawn=may_spawn)
            result = run_prepared(
                prepared,
                out=out / label,
                store=out / "models",
                executor=executor,
                progress=_under(label, tell),
            )
            rows.append(suite_row(label, prepared, result))
        except UserError as error:
            failures.append(Failure(label=label, defense=study.defense.name, reason=str(error)))
    results = SuiteResults(
        seepage=__version__,
        recipe=suite.recipe,
        scale=suite.scale,
        preset=suite.preset,
        dataset=suite.dataset,
        at=AT,
        rows=rows,
        failures=failures,
        seconds=time.perf_counter() - began,
    )
    draw_suite(out, results)
    write_results(out, results)
    return results


def draw_suite(out: Path, results: SuiteResults) -> list[Path]:
    """Write the page, figures and table of a comparison."""
    about = {name: (entry.summary, entry.paper) for name, entry in DEFENSES.items()}
    return write_suite(out, results, about=about)


def suite_digest(suite: Suite) -> str:
    """Six digits that name the comparison by all its settings."""
    return digest_of(suite.studies.values())


def by_label(tell: Callable[[str, int, int], None]) -> Progress:
    """Progress of a suite through something that knows stages alone: training, named by defense."""

    def told(label: str, stage: str, done: int, total: int) -> None:
        if stage == "training":
            tell(label, done, total)

    return told


def _under(label: str, tell: Progress) -> Callable[[str, int, int], None]:
    return lambda stage, done, total: tell(label, stage, done, total)


def suite_row(label: str, prepared: object, result: Result) -> SuiteRow:
    """One row of the comparison from a finished audit: all targets pooled."""
    assert isinstance(prepared, PreparedModels)
    results = result.results
    block = "canaries" if prepared.study.reference.canaries else "held_out"
    target = "all" if len(prepared.targets) > 1 else prepared.targets[0]
    best = {one.metric: one for one in results.best if (one.target, one.block) == (target, block)}
    utility = results.utility
    assert utility is not None
    return SuiteRow(
        label=label,
        defense=prepared.study.defense.name,
        options=prepared.study.defense.options,
        fingerprint=results.fingerprint,
        models=prepared.bench.models,
        train_accuracy=utility.train_accuracy,
        test_accuracy=utility.test_accuracy,
        test_deviation=utility.test_deviation,
        tpr=best["tpr_at_fpr"],
        tnr=best["tnr_at_fnr"],
        auc_attack=best["auc"].chosen,
        auc=best["auc"].rate.value,
        auc_interval=best["auc"].rate.interval,
        claim=results.claim,
        blind_ok=results.blind.ok,
        seconds=_seconds(results),
    )


def _seconds(results: Results) -> float:
    spent = results.seconds
    return spent.data + spent.training + spent.signals + spent.attacks + spent.report
