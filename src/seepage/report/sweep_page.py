"""The page of a sweep: every point in one table, every trade-off in figures."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import Any

from seepage.report import sweep_wording
from seepage.report.html import Drawn, render
from seepage.report.sweep_findings import findings
from seepage.report.sweep_names import is_plain, joined, key_name, value_name
from seepage.report.sweep_points import (
    STRONGEST,
    UNDEFENDED,
    Strength,
    attack_names,
    complete,
    defended,
    is_ablation,
    strengths,
    unbeaten,
    undefended,
)
from seepage.report.sweep_users_table import FIGURES, users_section
from seepage.report.sweep_volumes import row_name, smallest, volume, volume_columns, volume_rows
from seepage.report.sweep_wording import full_name
from seepage.report.sweep_words import alarms, headline
from seepage.report.wording import BLOCK_NAMES, accuracy, count
from seepage.results import SweepResults

FIRST = ("undefended", "extremes", "half the leak", "labels")
"""Findings that stand under the headline; the others have a place of their own."""


def sweep_page(results: SweepResults, figures: Drawn, about: Mapping[str, tuple[str, str]]) -> str:
    """The page as HTML; ``about`` gives what a series is and its paper, by its name."""
    points = strengths(results)
    found = findings(results)
    context = {
        "r": results,
        "title": results.name,
        "headline": headline(results),
        "first": [each.words for each in found if each.about in FIRST],
        "findings": [each for each in found if each.about not in FIRST],
        "alarms": alarms(results),
        "facts": facts(results),
        "users": users_section(results, figures),
        "figures": [each for name, each in figures.items() if name not in FIGURES],
        "at": float(results.at),
        "block": block(results),
        "groups": groups(results),
        "attacks": attack_names(results),
        "labels": any(each.label_auc for each in points),
        "private": any(each.claimed() is not None for each in points),
        "volumes": volumes(results),
        "series": series(results, about),
        "s": sweep_wording,
    }
    return render("sweep.html", figures, context)


def facts(results: SweepResults) -> list[tuple[str, str]]:
    """What was run, in a line: name and value."""
    start = undefended(results)
    pairs = [
        ("data", results.dataset),
        *([("recipe", results.recipe)] if results.recipe else []),
        ("scale", results.scale),
        ("runs", count(len(results.points))),
        ("points", count(len(strengths(results)))),
        ("seeds", count(len(results.seeds))),
        ("target", "all, pooled" if results.target == "all" else str(results.target)),
    ]
    if start is not None:
        shown = accuracy(start.accuracy.value, start.accuracy.deviation)
        pairs.insert(0, ("undefended test accuracy", shown))
    return pairs


def block(results: SweepResults) -> str:
    """What the members are compared with, of clients or of models."""
    return next(words for (_, name), words in BLOCK_NAMES.items() if name == results.block)


def groups(results: SweepResults) -> list[dict[str, Any]]:
    """The points by series; ``head`` where the series' name is to stand above its points."""
    best = [] if is_ablation(results) else unbeaten(complete(strengths(results)))
    return [
        {
            "head": name if _has_head(results, name, lines) else "",
            "lines": [{"point": each, "front": each in best} for each in lines],
        }
        for name, group in groupby(strengths(results), key=lambda each: each.series)
        if (lines := list(group))
    ]


def _has_head(results: SweepResults, name: str, lines: list[Strength]) -> bool:
    if is_ablation(results):  # only names that stand in two parts need their part
        return any(full_name(results, each) != each.name for each in lines)
    return [each.name for each in lines] not in ([name], ["undefended"])


def volumes(results: SweepResults) -> dict[str, Any] | None:
    """The table of hypervolumes, with the shade of every cell; None where there is no front."""
    rows, columns = volume_rows(results), volume_columns(results)
    cells = {(a, c): volume(results, a, c) for a in rows for c in columns}
    known = [cell[0] for cell in cells.values() if cell]
    if not known:
        return None
    low, span = min(known), (max(known) - min(known)) or 1.0
    least = {column: smallest(results, column) for column in columns}

    def entry(attack: str, column: str) -> dict[str, Any]:
        cell = cells[attack, column]
        return {
            "cell": cell,
            "shade": round((cell[0] - low) / span, 3) if cell else 0.0,
            "least": attack == least[column],
        }

    return {
        "columns": columns,
        "rows": [
            {"name": row_name(a), "oracle": a == STRONGEST, "cells": [entry(a, c) for c in columns]}
            for a in rows
        ],
    }


def series(results: SweepResults, about: Mapping[str, tuple[str, str]]) -> list[dict[str, Any]]:
    """Every series once: its text, its paper and the values that were swept."""
    names = dict.fromkeys([*defended(results), *results.grid])
    return [
        {
            "name": name,
            "summary": about.get(name, ("", ""))[0],
            "paper": about.get(name, ("", ""))[1],
            "grid": [
                (key, joined([_shown(value) for value in values]))
                for key, values in results.grid.get(name, {}).items()
            ],
        }
        for name in names
        if name != UNDEFENDED
    ]


def _shown(value: object) -> str:
    """A value of the grid; of a list of parts, their names and options."""
    if isinstance(value, Mapping):
        rest = [f"{key_name(str(k))}={_shown(v)}" for k, v in value.items() if k != "name"]
        return " ".join([*([str(value["name"])] if "name" in value else []), *rest])
    if isinstance(value, list | tuple) and not is_plain(value):
        return "+".join(_shown(each) for each in value)
    return value_name(value)
