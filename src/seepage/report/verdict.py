"""The sentence: what an adversary can do, how sure that is, and whether to believe it."""

from __future__ import annotations

from dataclasses import dataclass

from seepage.records import AdversaryName
from seepage.report.reading import (
    Grade,
    Lead,
    confidence,
    failing,
    grade,
    is_redrawn,
    lead,
    widen,
)
from seepage.report.wording import (
    ADVERSARIES,
    percent,
    point,
    sizes,
    target_name,
    with_interval,
)
from seepage.results import AttackRow, Rate, Results

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
    best = rows[0]
    tried = len(leading.rows)  # for every adversary, or a weaker one could seem to see more
    bounds = widen(best.auc, best.auc_interval, tried, level)
    word = grade(bounds[0])
    who = ADVERSARIES[adversary]
    if word == "none":
        return _few(rows, leading.distinct, adversary, level) or _none(
            rows, adversary, tried, level
        )
    whose = "client members" if best.target == "all" else f"members of {target_name(best.target)}"
    auc = with_interval(best.auc, bounds)
    detail = f"best attack {best.name}, AUC {auc}{_found(best, tried, level)}."
    detail += _choice(tried)
    headline = f"{who} can tell {whose} {BEATS[word]}"
    return Verdict(adversary=adversary, grade=word, best=best, headline=headline, detail=detail)


def all_verdicts(results: Results) -> list[Verdict]:
    """One verdict for every adversary that some attack names, the most able first."""
    leading = lead(results)
    if leading is None:
        return []
    named = {row.adversary for row in leading.rows}
    level = confidence(results)
    return [verdict(leading, who, level) for who in ADVERSARIES if who in named]


def caveat(results: Results) -> str:
    """What must be said before any verdict; empty where nothing must."""
    if is_redrawn(results):
        return NOT_VALID
    leading = lead(results)
    return NOT_BELIEVED if leading and failing(results, leading.block) else ""


def verdicts(results: Results) -> list[str]:
    """One plain sentence an adversary, the most able first.

    The words follow the lower bound of the best attack's AUC, its interval widened for the
    choice among the attacks (Bonferroni), on held-out records where the study has any. A sentence
    starts with a caveat where the numbers are not to be believed.
    """
    return [caveat(results) + each.sentence for each in all_verdicts(results)]


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


def _none(rows: list[AttackRow], adversary: AdversaryName, tried: int, level: float) -> Verdict:
    best = rows[0]
    wide = [widen(row.auc, row.auc_interval, tried, level) for row in rows]
    auc = with_interval(best.auc, wide[0])
    most = with_interval(max(high for _, high in wide), (0.0, 1.0)).split()[0]
    many = f"the best of {len(rows)}, {best.name}, has" if len(rows) > 1 else f"{best.name} has"
    return Verdict(
        adversary=adversary,
        grade="none",
        best=best,
        headline=f"No attack by {_inside(adversary)} beats chance",
        detail=(
            f"{many} AUC {auc}. With {sizes(best)}, an "
            f"AUC above {most} is ruled out for these "
            "attacks; a smaller leak is not."
        ),
    )


def _few(
    rows: list[AttackRow], distinct: int, adversary: AdversaryName, level: float
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
        if _beats(rate, fpr, distinct, len(points), level)
    ]
    if not sure:
        return None
    _, fpr, rate, row = max(sure, key=lambda each: each[0])
    low, high = widen(rate.value, rate.interval, len(points), level)
    return Verdict(
        adversary=adversary,
        grade="few",
        best=row,
        headline=f"No attack by {_inside(adversary)} beats chance on average, "
        "but some members stand out",
        detail=(
            f"at {point(fpr)} false alarms {row.name} finds {percent(rate.value)} % of members "
            f"[{percent(low)}, {percent(high)}] (chance {point(fpr)}), with AUC "
            f"{with_interval(row.auc, widen(row.auc, row.auc_interval, len(rows), level))}."
            " Intervals are widened for picking the strongest of "
            f"{len(points)} operating points and attacks."
        ),
    )


def _beats(rate: Rate, fpr: float, negatives: int, choices: int, level: float) -> bool:
    """Whether the true rate is above the true false-positive rate, both being estimates.

    The false-positive rate of a threshold that ``floor(fpr * n)`` of *n* non-members pass is
    bounded by Clopper and Pearson, at the level corrected for ``choices``.
    """
    from scipy.stats import beta

    passed = int(fpr * negatives + 1e-9)
    tail = (1.0 - level) / (2.0 * choices)
    chance = float(beta.ppf(1.0 - tail, passed + 1, negatives - passed))
    return widen(rate.value, rate.interval, choices, level)[0] > chance


def _inside(adversary: AdversaryName) -> str:
    """The adversary's name in the middle of a sentence."""
    name = ADVERSARIES[adversary]
    return name[0].lower() + name[1:]
