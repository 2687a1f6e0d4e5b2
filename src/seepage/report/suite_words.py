"""What a suite says in words: which defense leaks least, what it costs, what cannot be believed."""

from __future__ import annotations

from seepage.report import claim
from seepage.report.wording import count, needed, percent, point, rate, shares
from seepage.results import Best, SuiteResults, SuiteRow

NEAR = 0.01
"""A defense within a hundredth of the undefended test accuracy has kept it."""


def undefended(results: SuiteResults) -> SuiteRow | None:
    """The row with no defense, if the suite has one."""
    return next((row for row in results.rows if row.defense == "none"), None)


def measured(results: SuiteResults) -> list[SuiteRow]:
    """The rows whose true positive rate the records resolve."""
    return [row for row in results.rows if row.tpr.rate.resolved]


def front(results: SuiteResults) -> list[SuiteRow]:
    """The rows that no other beats, by descending test accuracy.

    A row is beaten by one that is at least as accurate and leaks no more, and is better in one of
    the two. Both are estimates, and so is the front.
    """

    def beaten(row: SuiteRow) -> bool:
        own = (-row.test_accuracy, row.tpr.rate.value)
        costs = [(-other.test_accuracy, other.tpr.rate.value) for other in measured(results)]
        return any(a <= own[0] and b <= own[1] and (a, b) != own for a, b in costs)

    kept = [row for row in measured(results) if not beaten(row)]
    return sorted(kept, key=lambda row: -row.test_accuracy)


def stopping_curve(results: SuiteResults) -> list[SuiteRow]:
    """Early stopping by ascending epochs, the undefended run, which never stops, at its end."""
    rows = [row for row in measured(results) if row.defense == "early_stopping"]
    rows = sorted(rows, key=lambda row: float(row.options.get("epochs") or 0))
    end = undefended(results)
    return [*rows, end] if rows and end in measured(results) and end is not None else rows


def reached(best: Best) -> str:
    """``12.3 % [11.9, 12.8]``, or what it would take to say it."""
    if not best.rate.resolved:
        return f"needs {count(needed(float(best.at)))} {_others(best)}"
    return rate(best.rate.value, best.rate.interval)


def _others(best: Best) -> str:
    return "non-members" if best.metric == "tpr_at_fpr" else "members"


def headline(results: SuiteResults) -> str:
    """The finding without a full stop: what leaks if nobody defends."""
    start, at = undefended(results), point(float(results.at))
    if start is None or not start.tpr.rate.resolved:
        return f"{_number(len(results.rows))} on {results.dataset}"
    if start.tpr.rate.interval[0] <= float(results.at):
        return (
            f"At {at} false alarms even the undefended model gives away no more members than "
            "chance, as far as these records can tell"
        )
    share = shares(start.tpr.rate.value, start.tpr.rate.interval)[0]
    return (
        f"Undefended, anyone who may query the model can name {share} % of its members at {at} "
        "false alarms"
    )


def paragraph(results: SuiteResults) -> str:
    """Which defense leaks least, and which of those that keep the accuracy."""
    start = undefended(results)
    rows = sorted(
        (row for row in measured(results) if row is not start), key=lambda row: row.tpr.rate.value
    )
    if not rows:
        return ""
    least = rows[0]
    parts = [f"Of {_number(len(rows))}, {least.label} leaks least: {reached(least.tpr)}"]
    parts[0] += f"{_cost(least, start)}.{_alike(least, rows)}"
    if start is not None:
        parts.append(_kept(rows, start, least))
    return " ".join(part for part in parts if part)


def _number(defenses: int) -> str:
    return f"{defenses} defense{'s' if defenses != 1 else ''}"


def _cost(row: SuiteRow, start: SuiteRow | None) -> str:
    if start is None:
        return f", with test accuracy {percent(row.test_accuracy)} %"
    points = 100.0 * (start.test_accuracy - row.test_accuracy)
    if abs(points) < 0.05:
        return ", at no cost in test accuracy"
    return (
        f", for {points:.1f} points of test accuracy"
        if points > 0
        else (f", and gains {-points:.1f} points of test accuracy")
    )


def _alike(least: SuiteRow, rows: list[SuiteRow]) -> str:
    """The rows that may leak as little: their intervals reach into the least one's."""
    end = least.tpr.rate.interval[1]
    names = [row.label for row in rows if row is not least and row.tpr.rate.interval[0] <= end]
    if not names:
        return ""
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return f" By their intervals it cannot be told from {shown}."


def _kept(rows: list[SuiteRow], start: SuiteRow, least: SuiteRow) -> str:
    kept = [row for row in rows if row.test_accuracy >= start.test_accuracy - NEAR]
    if not kept:
        return "None stays within one point of the undefended test accuracy."
    if kept[0] is least:
        return ""
    return (
        f"Of those within one point of the undefended test accuracy, {kept[0].label} leaks least: "
        f"{reached(kept[0].tpr)}."
    )


def alarms(results: SuiteResults) -> list[str]:
    """Errors that stand above everything: claims refuted, and blind checks off chance."""
    refuted = [(row.label, claim.alarm(row.claim)) for row in results.rows]
    lines = [f"{label}: {inside[0].lower() + inside[1:]}" for label, inside in refuted if inside]
    off = [row.label for row in results.rows if not row.blind_ok]
    if off:
        lines.append(
            f"Blind checks are off chance for {', '.join(off)}: the numbers of "
            f"{'this row' if len(off) == 1 else 'these rows'} are not to be believed."
        )
    return lines
