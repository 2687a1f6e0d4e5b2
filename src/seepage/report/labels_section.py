"""What labels alone tell, beside every attack: in the verdict, on the page, in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seepage.report.reading import (
    BLOCK_ORDER,
    Grade,
    Lead,
    beside_labels,
    grade,
    is_skewed,
    select,
    widen,
)
from seepage.report.wording import fixed, inside, percent, point, who, with_interval

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from seepage.records import AdversaryName, Block
    from seepage.results import AttackRow, Interval, LabelRow, Results

SAME = "among records of the same label"


def strongest_within(rows: list[AttackRow], leading: Lead) -> AttackRow:
    """The attack with the highest AUC among records of the same label; the first where none has."""

    def strength(row: AttackRow) -> float:
        found = leading.within.get(row.name)
        return -1.0 if found is None or found.within_auc is None else found.within_auc

    return max(rows, key=strength)


def within_grade(best: AttackRow, leading: Lead, level: float) -> Grade:
    """The word by the lower bound within labels, widened for the choice among the attacks."""
    bounds = _widened(leading, best, level)
    return grade(bounds[0]) if bounds else "none"


def within_headline(
    best: AttackRow, leading: Lead, adversary: AdversaryName, whose: str, beats: str
) -> str:
    """The finding among records of the same label; ``beats`` is empty where no attack does."""
    name = who(adversary, leading.unit)
    if beats:
        return f"{name} can tell {whose} {beats} {SAME}"
    if _within(leading, best) is None:
        return f"Whether {inside(name)} sees more than labels cannot be told"
    return f"No attack by {inside(name)} beats chance {SAME}"


def within_detail(best: AttackRow, rows: list[AttackRow], leading: Lead, level: float) -> str:
    """The numbers: within labels, over all records, and what labels reach alone.

    Args:
        best: The attack that speaks.
        rows: Those open to the adversary.
        leading: Where the rows are from.
        level: Confidence of the rows' own intervals.
    """
    found, bounds = _within(leading, best), _widened(leading, best, level)
    all_records = f"{fixed((best.auc,), 2)[0]} among all records{_alone(leading, best)}"
    if found is None or found.within_auc is None or bounds is None:
        return (
            f"no member has a non-member of the same label to be compared with. {best.name} has "
            f"AUC {all_records}."
        )
    auc, notes = with_interval(found.within_auc, bounds), _notes(found, len(leading.rows))
    if bounds[0] > 0.5:
        return (
            f"best attack {best.name}, AUC {auc} there, and {all_records}{_rates(best, found)}."
            f"{notes}"
        )
    many = f"the best of {len(rows)}, {best.name}, has" if len(rows) > 1 else f"{best.name} has"
    wide = [each for row in rows if (each := _widened(leading, row, level))]
    most = fixed((max(high for _, high in wide),), 2)[0]
    return (
        f"{many} AUC {auc} there, and {all_records}. Within labels an AUC above {most} is ruled "
        f"out for these attacks; a smaller leak is not.{notes}"
    )


def _notes(found: LabelRow, tried: int) -> str:
    """Members that are not compared, and for how many attacks intervals were widened."""
    apart = f" {percent(1.0 - found.covered)} % of members have no non-member of their label."
    choice = f" Intervals are widened for having tried {tried} attacks."
    return (apart if found.covered < 1.0 else "") + (choice if tried > 1 else "")


def _within(leading: Lead, row: AttackRow) -> LabelRow | None:
    found = leading.within.get(row.name)
    return None if found is None or found.within_auc is None else found


def _widened(leading: Lead, row: AttackRow, level: float) -> Interval | None:
    found = _within(leading, row)
    if found is None or found.within_auc is None or found.within_interval is None:
        return None
    return widen(found.within_auc, found.within_interval, len(leading.rows), level)


def _alone(leading: Lead, row: AttackRow) -> str:
    found = leading.within.get(row.name)
    if found is None or found.label_auc is None:
        return ""
    return f", where labels alone, without the model, reach {fixed((found.label_auc,), 2)[0]}"


def _rates(best: AttackRow, found: LabelRow) -> str:
    """Members found, and as many as are found where non-members have the members' labels."""
    resolved = best.tpr_at_fpr[found.at].resolved if found.at in best.tpr_at_fpr else False
    if not resolved or found.matched_tpr is None:
        return ""
    return (
        f"; at {point(float(found.at))} false alarms in this sample it finds "
        f"{percent(found.tpr)} % of members, or {percent(found.matched_tpr)} % with non-members "
        f"weighted to have the members’ labels (chance {point(float(found.at))})"
    )


def section(results: Results, leading: Lead) -> dict[str, Any] | None:
    """What the page says of labels: one part for each block, the leading one first; or None."""
    parts = []
    blocks: list[Block] = [leading.block, *(b for b in BLOCK_ORDER if b != leading.block)]
    for block in blocks:
        beside = beside_labels(results, block, leading.target)
        rows = [row for row in select(results, block, leading.target) if row.name in beside]
        if rows:
            first = beside[rows[0].name]
            parts.append(
                {
                    "block": block,
                    "at": float(first.at),
                    "alone": first,
                    "lines": [{"row": beside[row.name], "attack": row} for row in rows],
                }
            )
    skewed = is_skewed(results)
    lede = _lede(skewed, parts[0]["alone"], leading) if parts else ""
    return {"skewed": skewed, "parts": parts, "lede": lede} if parts else None


def _lede(skewed: bool, first: LabelRow, leading: Lead) -> str:
    """What the table shows, and why."""
    why = (
        "This study deals labels out unevenly, so a record’s label alone says whose it may be. "
        "What that reaches without a model stands in the last line"
        if skewed
        else "Labels are dealt out evenly, so they should explain nothing: the AUC within the same "
        "label should be about that of all records. What labels reach alone stands in the last line"
    )
    target = "target and label" if leading.target == "all" else "label"
    some = f"; {percent(1.0 - first.covered)} % of members have none" if first.covered < 1.0 else ""
    rests = " The verdict rests on it." if skewed else ""
    return (
        f"{why}: each client’s shares of labels, learned on half of the records and judged on the "
        f"other. Within the same label, a member is compared with non-members of its own {target} "
        f"alone{some}.{rests} What is lost on the way there is explained by labels, as a part of "
        "the AUC above 0.5. With labels matched, non-members count so that each client’s have the "
        "labels of its members."
    )


def explained(found: LabelRow, row: AttackRow) -> str:
    """The part that labels explain, in per cent; a dash where the attack may be at chance."""
    if found.explained is None or row.auc_interval[0] <= 0.5:
        return "–"
    return f"{100.0 * found.explained:.0f} %"


def terminal_labels(results: Results, leading: Lead) -> Table | Text | None:
    """The table where labels were dealt out unevenly; elsewhere a line; None without labels."""
    from rich.text import Text

    parts = section(results, leading)
    if parts is None:
        return None
    part = parts["parts"][0]
    if parts["skewed"]:
        return _table(part)
    alone, best = part["alone"], part["lines"][0]["row"]
    if alone.label_auc is None or best.within_auc is None:
        return None
    return Text(
        f"labels alone: AUC {with_interval(alone.label_auc, alone.label_interval)}; "
        f"{best.name} {SAME}: {with_interval(best.within_auc, best.within_interval)}",
        style="dim",
    )


def _table(part: dict[str, Any]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    at = point(part["at"])
    table.add_column("beside labels", no_wrap=True)
    for name in ("AUC", "same label", "explained", f"matched TPR@{at}"):
        table.add_column(name, justify="right", no_wrap=True)
    for line in part["lines"]:
        row: LabelRow = line["row"]
        within = "–"
        if row.within_auc is not None and row.within_interval is not None:
            within = with_interval(row.within_auc, row.within_interval, 3)
        matched = "–" if row.matched_tpr is None else f"{percent(row.matched_tpr)} %"
        told = explained(row, line["attack"])
        auc = fixed((row.auc,), 3)[0]
        table.add_row(row.name, auc, within, told, matched)
    alone: LabelRow = part["alone"]
    if alone.label_auc is not None:
        auc = fixed((alone.label_auc,), 3)[0]
        table.add_row("labels alone", auc, "0.500", "100 %", at, style="dim")
    return table
