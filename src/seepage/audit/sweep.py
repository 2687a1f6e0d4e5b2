"""Many audits, one trade-off: the points of a sweep, from a recipe or from grids, checked first."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from seepage import federation
from seepage.audit.choice import check_names, refuse_central
from seepage.audit.claimed_folder import digest_of
from seepage.audit.recipes import (
    laid_over,
    parse_value,
    read_recipe,
    scaled,
    with_settings,
)
from seepage.defenses import build
from seepage.records import UserError
from seepage.study import Study, build_study, read_toml

Grid = Mapping[str, Sequence[Any]]
"""``section.key`` → the values it takes."""

OWN = ("name", "options")
"""Keys of the defense section; any other after ``defense.`` is an option."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """One run of a sweep: one study.

    Attributes:
        series: The curve it is on.
        strength: The place of its settings in the series' grid, from 0.
        settings: What the grid set, by key.
        study: The study as resolved, with its seed.
    """

    series: str
    strength: int
    settings: dict[str, Any]
    study: Study

    @property
    def label(self) -> str:
        """What folders and messages call it: letters, digits and ``. _ + = -`` alone."""
        words = [f"{key.rpartition('.')[2]}={_plain(v)}" for key, v in self.settings.items()]
        parts = [self.series, *words, f"seed={self.study.seed}"]
        short = "-".join(parts) if len("-".join(parts)) <= 80 else self._short
        return re.sub(r"[^\w.+=-]+", "_", short)

    @property
    def _short(self) -> str:
        return f"{self.series}-{self.strength}-seed={self.study.seed}"


def _plain(value: object) -> str:
    """A value in a folder's name; ``[1, 1, 2]`` is ``1_1_2``."""
    return re.sub(r"[^\w.+=-]+", "_", str(value)).strip("_")


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A sweep as resolved: every point a study that has been checked.

    Attributes:
        name: The recipe's name, or the study's.
        recipe: Its recipe, if any.
        scale: ``quick`` or ``paper``.
        dataset: The data set of the first point.
        grid: The values of every key, by series.
        seeds: The seeds that every point is run with.
        points: By series, settings and seed, in this order.
    """

    name: str
    recipe: str | None
    scale: str
    dataset: str
    grid: dict[str, dict[str, list[Any]]]
    seeds: list[int]
    points: tuple[Point, ...]


def resolve_sweep(
    path: str | Path | None = None,
    *,
    recipe: str | None = None,
    scale: str = "quick",
    dataset: str | None = None,
    grid: Grid | None = None,
    seeds: int = 1,
    overrides: Mapping[str, Any] | None = None,
    data_root: Path | None = None,
) -> Sweep:
    """The points of a sweep, every one of them checked before any work.

    Args:
        path: A study file, laid over the recipe where there are both.
        recipe: A recipe: one with series of its own, or any other with ``grid``.
        scale: Its scale.
        dataset: One of the recipe's data sets; None takes the first whose files are here.
        grid: Values by ``section.key``, instead of the recipe's series; several keys are a
            product. ``defense.KEY`` means ``defense.options.KEY``.
        seeds: How many seeds every point is run with: the study's own, and the next ones.
        overrides: ``section.key`` → value, over every point but for what its grid sets.
        data_root: Folder to look for data sets in.

    Raises:
        UserError: A name, a setting or a defense's option is wrong at any of the points.
    """
    if recipe is None and path is None:
        raise UserError("a sweep needs --recipe NAME, or a study file and --grid KEY=V1,V2.")
    if dataset is not None and recipe is None:
        raise UserError("--dataset names a data set of a recipe; use --set data.name=NAME.")
    name = recipe or Path(str(path)).stem
    base = {"name": name} if scale == "quick" else {"name": f"{name}-{scale}"}
    base |= scaled(recipe, scale, data_root, dataset) if recipe is not None else {}
    base = laid_over(base, read_toml(path)) if path is not None else base
    found = _series(recipe, scale, name, base, grid, overrides or {})
    points = [
        point for series, entry in found.items() for point in _points(series, base, entry, seeds)
    ]
    for point in points:
        _check(point)
    seen = dict.fromkeys(point.study.seed for point in points)
    return Sweep(
        name=name,
        recipe=recipe,
        scale=scale,
        dataset=points[0].study.data.name,
        grid={series: entry["grid"] for series, entry in found.items()},
        seeds=list(seen),
        points=tuple(points),
    )


def sweep_digest(sweep: Sweep) -> str:
    """Six digits that name the sweep by all settings of all its points."""
    return digest_of(point.study for point in sweep.points)


def parse_grid(text: str) -> tuple[str, list[Any]]:
    """``section.key=V1,V2`` → the key and its values, each read as TOML, or as a bare word.

    A comma inside brackets, braces or quotes is part of a value:
    ``observe.rounds=[2],[2,4]`` are two lists.

    Raises:
        UserError: There is no ``=``, or a value is empty.
    """
    key, equals, values = text.partition("=")
    parts = [part.strip() for part in _split(values)]
    if not equals or not key.strip() or not all(parts):
        raise UserError(
            f"--grid {text}: expected section.key=V1,V2, such as defense.options.sigma=0.01,0.1"
        )
    return key.strip(), [parse_value(part) for part in parts]


def _split(text: str) -> Iterator[str]:
    """The parts between the commas that stand in no bracket and no quotes."""
    depth, quote, part = 0, "", ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter in "[{":
            depth += 1
        elif letter in "]}":
            depth -= 1
        elif letter == "," and not depth:
            yield part
            part = ""
            continue
        part += letter
    yield part


def flat_grid(grid: Mapping[str, Any], *, prefix: str = "") -> dict[str, list[Any]]:
    """Values by whole key: tables of a recipe opened, ``defense.KEY`` an option's.

    Raises:
        UserError: A key has no list of values, or a value twice.
    """
    found: dict[str, list[Any]] = {}
    for name, values in grid.items():
        key = f"{prefix}{name}"
        if isinstance(values, Mapping):
            found |= flat_grid(values, prefix=f"{key}.")
            continue
        if not isinstance(values, Sequence) or isinstance(values, str) or not len(values):
            raise UserError(f"grid of {key}: expected a list of values, got {values!r}.")
        if len({repr(value) for value in values}) < len(values):
            raise UserError(f"grid of {key}: each value once, got {list(values)}.")
        found[_option(key)] = list(values)
    return found


def _option(key: str) -> str:
    section, _, rest = key.partition(".")
    inside = section == "defense" and rest.partition(".")[0] not in OWN
    return f"defense.options.{rest}" if inside else key


def _series(
    recipe: str | None,
    scale: str,
    name: str,
    base: Mapping[str, Any],
    grid: Grid | None,
    overrides: Mapping[str, Any],
) -> dict[str, dict[str, Any]]:
    """What every series lays over the base: ``study`` its sections, ``grid`` its values."""
    settings = with_settings({}, overrides)
    if grid is not None:
        values = flat_grid(grid)
        defense = laid_over(base, settings).get("defense", {}).get("name", "none")
        swept = all(key.startswith("defense.options.") for key in values)
        series = defense if swept and defense != "none" else name
        return {series: {"study": settings, "grid": values}}
    read = read_recipe(recipe) if recipe is not None else {}
    if "sweep" not in read:
        raise UserError(f"{name} has no series to sweep: give --grid KEY=V1,V2.")
    return {
        label: _entry(label, row, scale, tuple(read["scale"]), settings)
        for label, row in read["sweep"].items()
    }


def _entry(
    label: str,
    row: Mapping[str, Any],
    scale: str,
    scales: Sequence[str],
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    own = {key: value for key, value in row.items() if key not in scales}
    own = laid_over(own, row.get(scale, {}))
    study = own.get("study", {})
    if "defense" in own:
        defense = {"name": own["defense"], "options": own.get("options", {})}
        study = laid_over(study, {"defense": defense})
    return {"study": laid_over(study, settings), "grid": flat_grid(own.get("grid", {}))}


def _points(
    series: str, base: Mapping[str, Any], entry: Mapping[str, Any], seeds: int
) -> Iterator[Point]:
    raw, grid = laid_over(base, entry["study"]), entry["grid"]
    for strength, values in enumerate(product(*grid.values())):
        settings = dict(zip(grid, values, strict=True))
        first = build_study(with_settings(raw, settings), source=f"series {series}")
        for more in range(seeds):
            study = first.model_copy(update={"seed": first.seed + more})
            yield Point(series=series, strength=strength, settings=settings, study=study)


def _check(point: Point) -> None:
    """Everything that can be wrong with a study by itself, without its data."""
    study = point.study
    check_names(study, None)
    central = study.data.clients == 1 and study.federation.rounds == 1
    refuse_central(study, central=central and study.reference.models is not None)
    build(study.defense.name, study.defense.options)
    federation.settings_of(**study.federation.model_dump())
