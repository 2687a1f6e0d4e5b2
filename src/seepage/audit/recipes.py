"""Recipes: published studies as data, each at a quick scale and at the paper's.

A recipe is TOML: a ``summary``, a ``[study]`` that both scales share, and one table
``[scale.NAME]`` a scale. A scale may list ``[[scale.NAME.when]]`` tables with a data set's name
under ``found``; the first whose data is on this machine is laid over the scale, so that a quick
recipe takes real images where there are some and the embedded digits where there are none.
With ``like`` a recipe takes study and scales of another, and lays its own over them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from seepage.audit.choice import choose
from seepage.data import is_found
from seepage.records import UserError
from seepage.study import Study, build_study, read_toml

_FOLDER = files("seepage") / "recipes"
RECIPES: tuple[str, ...] = tuple(
    sorted(
        entry.name.removesuffix(".toml")
        for entry in _FOLDER.iterdir()
        if entry.name.endswith(".toml")
    )
)

DEFAULT = "digits"


def read_recipe(name: str) -> dict[str, Any]:
    """The plain data of a recipe.

    Raises:
        UserError: There is none of that name; the nearest is suggested.
    """
    choose(name, RECIPES, what="recipe")
    recipe = tomllib.loads((_FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    if "like" not in recipe:
        return recipe
    shared = read_recipe(recipe["like"])
    return laid_over({key: shared[key] for key in ("study", "scale")}, recipe)


def resolve(
    path: str | Path | None = None,
    *,
    recipe: str | None = None,
    scale: str = "quick",
    overrides: Mapping[str, Any] | None = None,
    data_root: Path | None = None,
) -> Study:
    """One checked study from a recipe, a study file laid over it, and single settings over both.

    Args:
        path: A study file.
        recipe: Name of a recipe; with neither recipe nor file, the default one, ``digits``.
        scale: The recipe's scale, ``quick`` or ``paper``.
        overrides: ``section.key`` → value, the last word.
        data_root: Folder to look for data sets in.

    Raises:
        UserError: A file, a name or a setting is wrong.
    """
    raw: dict[str, Any] = {}
    if recipe is None and path is None:
        recipe = DEFAULT
    if recipe is not None:
        raw = scaled(recipe, scale, data_root)
        raw.setdefault("name", recipe if scale == "quick" else f"{recipe}-{scale}")
    if path is not None:
        raw = laid_over(raw, read_toml(path))
        raw.setdefault("name", Path(path).stem)
    return build_study(with_settings(raw, overrides or {}), source=str(path or recipe))


def parse_setting(text: str) -> tuple[str, Any]:
    """``section.key=value`` → the key and its value, read as TOML, or as a bare word.

    Raises:
        UserError: There is no ``=``.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UserError(f"--set {text}: expected section.key=value, such as federation.rounds=20")
    return key.strip(), parse_value(value)


def parse_value(text: str) -> Any:
    """A value read as TOML, or as a bare word."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text.strip()


def scaled(name: str, scale: str, root: Path | None, dataset: str | None = None) -> dict[str, Any]:
    """The plain data of a recipe at a scale, on ``dataset`` or on the first of its that is here.

    Raises:
        UserError: A name is wrong.
    """
    recipe = read_recipe(name)
    choose(scale, recipe["scale"], what=f"scale of {name}")
    chosen = dict(recipe["scale"][scale])
    alternatives = chosen.pop("when", [])
    if "suite" in recipe:
        return first_row(recipe, scale, root, dataset)
    raw = laid_over(recipe.get("study", {}), chosen)
    if dataset is not None:
        known = [raw["data"]["name"], *(each["found"] for each in alternatives)]
        choose(dataset, known, what=f"data set of {name}")
    for each in alternatives:
        if each["found"] == dataset or (dataset is None and is_found(each["found"], root=root)):
            return laid_over(raw, {k: v for k, v in each.items() if k != "found"})
    return raw


def first_row(
    recipe: Mapping[str, Any], scale: str, root: Path | None, dataset: str | None = None
) -> dict[str, Any]:
    """The study of a suite's own defense, on ``dataset`` or on the first of its that is here."""
    name = suite_dataset(recipe, dataset, root)
    return suite_study(recipe, name, scale, recipe["defense"])


def suite_dataset(recipe: Mapping[str, Any], wanted: str | None, root: Path | None) -> str:
    """The data set asked for, or the first of a recipe's whose files are here."""
    known = recipe["suite"]
    if wanted is not None:
        return choose(wanted, known, what="data set of this recipe")
    return next((name for name in known if is_found(name, root=root)), next(iter(known)))


def suite_study(
    recipe: Mapping[str, Any], dataset: str, scale: str, label: str, preset: str = "fixed"
) -> dict[str, Any]:
    """The plain data of one row's study: recipe, data set, scale, defense and preset in turn."""
    about = recipe["suite"][dataset]
    row = about["defense"][label]
    raw = laid_over(recipe.get("study", {}), recipe["scale"][scale])
    raw = laid_over(raw, {"data": {"name": dataset}})
    for layer in ("study", scale):
        raw = laid_over(raw, about.get(layer, {}))
    raw["defense"] = {"name": row.get("name", label), "options": row.get("options", {})}
    for layer in ("study", scale):
        raw = laid_over(raw, row.get(layer, {}))
    if preset == "faithful":
        raw = laid_over(laid_over(raw, recipe.get("faithful", {})), row.get("faithful", {}))
    return raw


def with_settings(raw: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """``raw`` with single settings, by ``section.key``, as the last word."""
    for key, value in settings.items():
        raw = laid_over(raw, nested(key.split("."), value))
    return dict(raw)


def nested(path: list[str], value: Any) -> dict[str, Any]:
    """``{"a": {"b": value}}`` from ``["a", "b"]``."""
    return {path[0]: value if len(path) == 1 else nested(path[1:], value)}


def laid_over(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with every value of ``top`` in place of its own, table by table.

    Options belong to the name that stands beside them: where ``top`` has another name, the options
    of ``base`` do not stay.
    """
    if "name" in top and top["name"] != base.get("name", top["name"]):
        base = {key: value for key, value in base.items() if key != "options"}
    merged = dict(base)
    for key, value in top.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = laid_over(merged[key], value) if both else value
    return merged
