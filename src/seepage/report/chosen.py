"""The verdict of a black-box audit: what the attack chosen on reference models found."""

from __future__ import annotations

from seepage.report.reading import POINT, Grade, Lead, above_chance, grade, rate_at
from seepage.report.wording import count, needed, point, rate, shares, who, with_interval
from seepage.results import Best


def chosen_grade(leading: Lead, chosen: Best, level: float) -> Grade:
    """The word by the AUC of the chosen attack; ``few`` where its AUC hides what it finds."""
    word = grade(leading.best.auc_interval[0])
    hidden = word == "none" and _found(leading, chosen, level)
    return "few" if hidden else word


def chosen_headline(leading: Lead, chosen: Best, level: float) -> str:
    """Who can name how many members, or that it is no more than chance would name."""
    name, at = who(leading.best.adversary, leading.unit), point(float(chosen.at))
    if leading.target == "all":
        whose = "a model’s members"
    else:
        whose = f"the members of model {leading.target}"
    if not _found(leading, chosen, level):
        return f"{name} finds no more of {whose} than chance, at {at} false alarms"
    share = shares(chosen.rate.value, chosen.rate.interval)[0]
    return f"{name} can name {share} % of {whose} at {at} false alarms"


def chosen_detail(leading: Lead, chosen: Best) -> str:
    """The numbers: the chosen attack, the best with the answer in hand, the other direction."""
    best, at = leading.best, float(chosen.at)
    times = chosen.rate.value / at
    auc = with_interval(best.auc, best.auc_interval)
    parts = [
        f"{chosen.chosen}, chosen on reference models, finds "
        f"{rate(chosen.rate.value, chosen.rate.interval)} of members at {point(at)} false alarms, "
        f"{times:.3g} times chance, with AUC {auc}."
    ]
    if chosen.oracle == chosen.chosen:
        parts.append("No other attack did better, even with the answer in hand.")
    else:
        oracle = rate(chosen.oracle_rate.value, chosen.oracle_rate.interval)
        parts.append(f"The best with the answer in hand: {chosen.oracle}, {oracle}.")
    if (other := leading.chosen_tnr) is not None:
        parts.append(
            f"The other way round, {other.chosen} clears "
            f"{rate(other.rate.value, other.rate.interval)} of non-members while it misses "
            f"{point(float(other.at))} of members."
        )
    parts += [note] if (note := unresolved(leading)) else []
    return " ".join(parts)


def unresolved(leading: Lead) -> str:
    """Why the audit speaks at another point than 0.1 %, or of no rate; empty where it need not."""
    if leading.unit == "client" or (leading.chosen and float(leading.chosen.at) <= POINT):
        return ""
    finest = rate_at(leading.best, str(POINT))
    if finest is None or finest.resolved:
        return ""
    return (
        f"Rates at {point(POINT)} are not resolved: that takes {count(needed(POINT))} distinct "
        f"non-members, and here are fewer."
    )


def _found(leading: Lead, chosen: Best, level: float) -> bool:
    return above_chance(chosen.rate, float(chosen.at), leading.distinct, 1, level)
