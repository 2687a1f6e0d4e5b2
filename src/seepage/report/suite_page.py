"""The page of a suite: every defense in one table and one figure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seepage.report import claim, suite_words
from seepage.report.html import Drawn, render
from seepage.report.wording import accuracy, count
from seepage.results import SuiteResults, SuiteRow


def suite_page(results: SuiteResults, figures: Drawn, about: Mapping[str, tuple[str, str]]) -> str:
    """The page as HTML; ``about`` gives what a defense does and its paper, by its name."""
    kept = {row.label for row in suite_words.front(results)}
    context = {
        "r": results,
        "title": f"{results.recipe}, {results.scale}",
        "headline": suite_words.headline(results),
        "paragraph": suite_words.paragraph(results),
        "alarms": suite_words.alarms(results),
        "facts": facts(results),
        "at": float(results.at),
        "private": any(row.claim for row in results.rows),
        "rows": [{"row": row, "front": row.label in kept} for row in results.rows],
        "defenses": defenses(results, about),
        "c": claim,
        "s": suite_words,
    }
    return render("suite.html", figures, context)


def facts(results: SuiteResults) -> list[tuple[str, str]]:
    """What was compared, in a line: name and value."""
    start = suite_words.undefended(results)
    pairs = [
        ("data", results.dataset),
        ("recipe", results.recipe),
        ("scale", results.scale),
        ("preset", results.preset),
        ("runs", str(len(results.rows))),
        ("models each", _models(results)),
    ]
    if start is not None:
        shown = accuracy(start.test_accuracy, start.test_deviation)
        pairs.insert(0, ("undefended test accuracy", shown))
    return pairs


def _models(results: SuiteResults) -> str:
    numbers = sorted({row.models for row in results.rows})
    if len(numbers) <= 1:
        return count(numbers[0]) if numbers else "–"
    return f"{count(numbers[0])} to {count(numbers[-1])}"


def defenses(results: SuiteResults, about: Mapping[str, tuple[str, str]]) -> list[dict[str, Any]]:
    """Every defense once, in the order of the rows: its text, its paper and its settings."""
    names = dict.fromkeys(row.defense for row in [*results.rows, *results.failures])
    return [
        {
            "name": name,
            "summary": about.get(name, ("", ""))[0],
            "paper": about.get(name, ("", ""))[1],
            "settings": [(row.label, _options(row)) for row in results.rows if row.defense == name],
        }
        for name in names
        if name != "none"
    ]


def _options(row: SuiteRow) -> str:
    return ", ".join(f"{key} = {value}" for key, value in row.options.items())
