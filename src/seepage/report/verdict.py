"""The sentence: what an adversary can do, how sure that is, and whether to believe it."""

from __future__ import annotations

from dataclasses import dataclass

from seepage.records import AdversaryName
from seepage.report.chosen import chosen_detail, chosen_grade, chosen_headline
from seepage.report.labels_section import (
    strongest_within,
    within_detail,
    within_grade,
    within_headline,
)
from seepage.report.reading import (
    Grade,
    Lead,
    above_chance,
    confidence,
    failing,
    grade,
    is_redrawn,
    lead,
    lead_on_anyone,
    widen,
)
from seepage.report.users import first_findings
from seepage.report.wording import (
    ADVERSARIES,
    inside,
    percent,
    point,
    sizes,
    target_name,
    who,
    with_interval,
)
from seepage.results import AttackRow, Best, Results

SEES: dict[AdversaryName, set[AdversaryName]] = {
    "server": {"server", "aggregate", "participant", "querier"},
    "aggregate": {"aggregate", "participant", "querier"},
    "participant": {"participant", "querier"},
    "querier": {"querier"},
}
BEATS: dict[Grade, str] = {
    "slight": "slightly better than chance",
    "clear": "clearly better than chance",
    "strong": "far better than chance",
    "near-total": "almost without error",
}
ANYONE = "whether anyone trained on a record"
NOT_VALID = "Not a valid result, because the candidates were redrawn: "
NOT_BELIEVED = "Not to be believed while blind checks are off chance: "


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What one adversary can do, in words.

    Attributes:
        adversary: Who.
        grade: How strong the leak is, by the corrected lower bound of the best attack's AUC.
        best: The attack with the highest AUC among all that this adversary could run (for
            ``few``: the one that finds most members at its operating point).
        headline: The finding, without its numbers and without a full stop.
        detail: The numbers.
    """

    adversary: AdversaryName
    grade: Grade
    best: AttackRow
    headline: str
    detail: str

    @property
    def sentence(self) -> str:
        return f"{self.headline}: {self.detail}"

    @property
    def paragraph(self) -> str:
        """The numbers as a sentence of their own; a name that opens it stays as it is."""
        if self.detail.startswith(self.best.name):
            return self.detail
        return self.detail[0].upper() + self.detail[1:]


def verdict(leading: Lead, adversary: AdversaryName, level: float) -> Verdict:
    """What ``adversary`` can do with those of the leading rows that are open to her."""
    rows = [row for row in leading.rows if row.adversary in SEES[adversary]]
    if leading.within:
        return _within_labels(rows, leading, adversary, level)
    best = rows[0]
    tried = len(leading.rows)  # for every adversary, or a weaker one could seem to see more
    bounds = widen(best.auc, best.auc_interval, tried, level)
    word = grade(bounds[0])
    name = who(adversary, leading.unit)
    if word == "none":
        return _few(rows, leading, adversary, level) or _none(rows, leading, adversary, level)
    whose = _whose(leading)
    auc = with_interval(best.auc, bounds)
    detail = f"best attack {best.name}, AUC {auc}{_found(best, tried, level)}."
    detail += _choice(tried)
    headline = f"{name} can tell {whose} {BEATS[word]}"
    return Verdict(adversary=adversary, grade=word, best=best, headline=headline, detail=detail)


def _whose(leading: Lead) -> str:
    if leading.target == "all":
        return f"{leading.unit} members"
    if leading.target == "any":
        return ANYONE
    return f"members of {target_name(leading.target, leading.unit)}"


def _telling(leading: Lead) -> str:
    return f" at telling {ANYONE}" if leading.target == "any" else ""


def _within_labels(
    rows: list[AttackRow], leading: Lead, adversary: AdversaryName, level: float
) -> Verdict:
    """The verdict where labels were dealt out unevenly: on records of the same label."""
    best = strongest_within(rows, leading)
    word = within_grade(best, leading, level)
    beats = BEATS.get(word, "")
    return Verdict(
        adversary=adversary,
        grade=word,
        best=best,
        headline=within_headline(best, leading, adversary, _whose(leading), beats),
        detail=within_detail(best, rows, leading, level),
    )


def all_verdicts(results: Results) -> list[Verdict]:
    """One verdict for every adversary that some attack names, the most able first.

    A server under secure aggregation is asked whether anyone trained on a record, where attacks on
    the rounds' sums were run: she cannot say whose it is.

    Where an attack was chosen on reference models there is one verdict: what that attack reached.
    """
    leading = lead(results)
    if leading is None:
        return []
    level = confidence(results)
    if leading.chosen:
        return [_of_chosen(leading, leading.chosen, level)]
    anyone = lead_on_anyone(results)
    found = []
    for each in ADVERSARIES:
        mine = anyone if anyone and each == "aggregate" else leading
        if any(row.adversary == each for row in mine.rows):
            found.append(verdict(mine, each, level))
    return found


def _of_chosen(leading: Lead, chosen: Best, level: float) -> Verdict:
    """The verdict on the attack that was chosen before it saw the target."""
    return Verdict(
        adversary=leading.best.adversary,
        grade=chosen_grade(leading, chosen, level),
        best=leading.best,
        headline=chosen_headline(leading, chosen, level),
        detail=chosen_detail(leading, chosen),
    )


def caveat(results: Results) -> str:
    """What must be said before any verdict; empty where nothing must."""
    if is_redrawn(results):
        return NOT_VALID
    leading = lead(results)
    return NOT_BELIEVED if leading and failing(results, leading.block) else ""


def verdicts(results: Results) -> list[str]:
    """One plain sentence an adversary, the most able first.

    The words follow the lower bound of the best attack's AUC, its interval widened for the
    choice among the attacks (Bonferroni), on held-out records where the study has any. Where a
    study deals labels out unevenly they follow the AUC among records of the same label, beside
    what labels reach alone. In a black-box audit they follow what the attack chosen on reference
    models found at a low false-positive rate, which needs no widening. A sentence starts with a
    caveat where the numbers are not to be believed. Where an insider asked whose record it is,
    what it found comes first.
    """
    said = [each.sentence for each in first_findings(results)]
    return said + [caveat(results) + each.sentence for each in all_verdicts(results)]


def _found(row: AttackRow, choices: int, level: float) -> str:
    """How many members are found at 1 % false alarms, or at the finest point resolved."""
    resolved = {float(key): rate for key, rate in row.tpr_at_fpr.items() if rate.resolved}
    if not resolved:
        return ""
    fpr = 0.01 if 0.01 in resolved else min(resolved)
    low, high = widen(resolved[fpr].value, resolved[fpr].interval, choices, level)
    return (
        f"; at {point(fpr)} false alarms in this sample it finds "
        f"{percent(resolved[fpr].value)} % of members "
        f"[{percent(low)}, {percent(high)}] (chance {point(fpr)})"
    )


def _choice(choices: int) -> str:
    if choices == 1:
        return ""
    return f" Intervals are widened for having tried {choices} attacks."


def _none(rows: list[AttackRow], leading: Lead, adversary: AdversaryName, level: float) -> Verdict:
    best, tried = rows[0], len(leading.rows)
    wide = [widen(row.auc, row.auc_interval, tried, level) for row in rows]
    auc = with_interval(best.auc, wide[0])
    most = with_interval(max(high for _, high in wide), (0.0, 1.0)).split()[0]
    many = f"the best of {len(rows)}, {best.name}, has" if len(rows) > 1 else f"{best.name} has"
    return Verdict(
        adversary=adversary,
        grade="none",
        best=best,
        headline=f"No attack by {inside(who(adversary, leading.unit))} beats chance"
        + _telling(leading),
        detail=(
            f"{many} AUC {auc}. With {sizes(best, leading.unit)}, an "
            f"AUC above {most} is ruled out for these "
            "attacks; a smaller leak is not."
        ),
    )


def _few(
    rows: list[AttackRow], leading: Lead, adversary: AdversaryName, level: float
) -> Verdict | None:
    """A leak the AUC does not show: members found at a low false-positive rate."""
    points = [
        (float(key), rate, row)
        for row in rows
        for key, rate in row.tpr_at_fpr.items()
        if rate.resolved
    ]
    sure = [
        (rate.value / fpr, fpr, rate, row)
        for fpr, rate, row in points
        if above_chance(rate, fpr, leading.distinct, len(points), level)
    ]
    if not sure:
        return None
    _, fpr, rate, row = max(sure, key=lambda each: each[0])
    low, high = widen(rate.value, rate.interval, len(points), level)
    return Verdict(
        adversary=adversary,
        grade="few",
        best=row,
        headline=f"No attack by {inside(who(adversary, leading.unit))} beats chance on average"
        f"{_telling(leading)}, but some members stand out",
        detail=(
            f"at {point(fpr)} false alarms {row.name} finds {percent(rate.value)} % of members "
            f"[{percent(low)}, {percent(high)}] (chance {point(fpr)}), with AUC "
            f"{with_interval(row.auc, widen(row.auc, row.auc_interval, len(rows), level))}."
            " Intervals are widened for picking the strongest of "
            f"{len(points)} operating points and attacks."
        ),
    )
