"""A suite as a table: for a terminal, and for other programs."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seepage.report import claim
from seepage.report.suite_words import alarms, headline, paragraph, reached
from seepage.report.wording import accuracy, percent, point, with_interval

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.table import Table

    from seepage.results import Best, SuiteResults, SuiteRow

WIDE = 110
"""Columns from which a value and its interval fit beside each other."""


def suite_table(results: SuiteResults) -> RenderableType:
    """What the command line prints of a suite: warnings, one row a defense, the finding.

    Each rate stands with its interval and the attack that was chosen on reference models.
    Defenses that could not be run are red lines with the reason. In a narrow terminal an interval
    stands below its value and the attacks are left to the page.
    """
    return _Printed(results)


@dataclass(frozen=True)
class _Printed:
    """Lays itself out when the width is known."""

    results: SuiteResults

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        results = self.results
        for line in alarms(results):
            yield Text(f"ERROR: {line}\n", "bold red")
        yield _table(results, " " if options.max_width >= WIDE else "\n")
        for row in results.rows:
            if row.claim is not None:
                yield Text(f"{row.label}: {claim.sentence(row.claim)}", style="dim")
        for each in results.failures:
            yield Text(f"{each.label} could not be run: {each.reason}", style="red")
        yield Text(f"\n{headline(results)}.", "bold").append(f" {paragraph(results)}", "default")


def _table(results: SuiteResults, gap: str) -> Table:
    from rich.table import Table

    at, private = point(float(results.at)), any(row.claim for row in results.rows)
    epsilon = "claimed ε" if gap == " " else "ε"
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("defense", no_wrap=True)
    names = ["test accuracy", f"TPR@{at}", f"TNR@{at}", "AUC", *([epsilon] if private else [])]
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    for row in results.rows:
        bad = not row.blind_ok or bool(claim.alarm(row.claim))
        table.add_row(*_cells(row, private, gap), style="bold red" if bad else "")
    return table


def _cells(row: SuiteRow, private: bool, gap: str) -> list[str]:
    rates = (row.tpr, row.tnr)
    cells = [
        row.label if gap == " " else re.sub("([_ ])", "\\1\n", row.label),
        accuracy(row.test_accuracy, row.test_deviation),
        *(_stacked(reached(best), best.chosen, gap) + _in_hand(best, gap) for best in rates),
        _stacked(with_interval(row.auc, row.auc_interval), row.auc_attack, gap),
    ]
    return [*cells, _claimed(row)] if private else cells


def _stacked(words: str, attack: str, gap: str) -> str:
    """A value, its interval beside it, and the attacks; in a narrow terminal no attacks."""
    if gap == " ":
        return f"{words}\n{attack_words(attack)}"
    return "unresolved" if words.startswith("needs") else words.replace(" [", "\n[")


def _in_hand(best: Best, gap: str) -> str:
    """The best with the answer in hand, where that is another and there is room."""
    if gap != " " or not best.rate.resolved or best.oracle in best.chosen.split(", "):
        return ""
    return f"\nin hand {percent(best.oracle_rate.value)} % {best.oracle}"


def attack_words(chosen: str) -> str:
    """``rmia_online``, or ``rmia_online +2`` where targets differ in what was chosen."""
    first, *rest = chosen.split(", ")
    return f"{first} +{len(rest)}" if rest else first


def _claimed(row: SuiteRow) -> str:
    if row.claim is None:
        return "–"
    if row.claim.epsilon is None:
        return "none"
    return claim.epsilons(row.claim.epsilon, row.claim.lower_bound)[0]


def suite_frame(results: SuiteResults) -> pd.DataFrame:
    """The suite as a table, one row a defense; the columns of ``suite.csv``.

    Shares are in [0, 1]. ``tpr`` and ``tnr`` stand at the suite's operating point, reached by the
    attack chosen on reference models (``*_attack``); ``*_oracle`` is the best with the answer in
    hand. A defense that could not be run has its reason in ``failure`` and nothing else.
    """
    import pandas as pd

    rows = [_record(row, results.at) for row in results.rows]
    rows += [
        {"label": each.label, "defense": each.defense, "failure": each.reason}
        for each in results.failures
    ]
    return pd.DataFrame(rows).convert_dtypes()


def _record(row: SuiteRow, at: str) -> dict[str, Any]:
    found = row.claim
    return {
        "label": row.label,
        "defense": row.defense,
        "options": json.dumps(row.options, sort_keys=True),
        "models": row.models,
        "train_accuracy": row.train_accuracy,
        "test_accuracy": row.test_accuracy,
        "test_deviation": row.test_deviation,
        "at": float(at),
        **_columns("tpr", row.tpr),
        **_columns("tnr", row.tnr),
        "auc": row.auc,
        "auc_low": row.auc_interval[0],
        "auc_high": row.auc_interval[1],
        "auc_attack": row.auc_attack,
        "claimed_epsilon": found.epsilon if found else None,
        "claimed_delta": found.delta if found else None,
        "claimed_by": found.accountant if found else None,
        "claimed_sampling": found.sampling if found else None,
        "claimed_noise": found.noise if found else None,
        "claimed_steps": found.steps if found else None,
        "epsilon_lower_bound": found.lower_bound if found else None,
        "claim_ok": found.ok if found else None,
        "blind_ok": row.blind_ok,
        "seconds": row.seconds,
        "fingerprint": row.fingerprint,
        "failure": None,
    }


def _columns(name: str, best: Best) -> dict[str, Any]:
    return {
        name: best.rate.value,
        f"{name}_low": best.rate.interval[0],
        f"{name}_high": best.rate.interval[1],
        f"{name}_resolved": best.rate.resolved,
        f"{name}_attack": best.chosen,
        f"{name}_oracle": best.oracle_rate.value,
        f"{name}_oracle_low": best.oracle_rate.interval[0],
        f"{name}_oracle_high": best.oracle_rate.interval[1],
        f"{name}_oracle_attack": best.oracle,
    }
