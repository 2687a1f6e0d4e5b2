"""What a sweep says to each of a reader's questions, in a sentence or two."""

from __future__ import annotations

from dataclasses import dataclass

from seepage.report.sweep_points import (
    Strength,
    complete,
    defended,
    is_ablation,
    strengths,
    unbeaten,
    undefended,
    undefended_volume,
)
from seepage.report.sweep_wording import (
    area_words,
    cost_words,
    full_name,
    listed,
    rate_words,
    volume_words,
)
from seepage.report.sweep_words import alike, helps, lucky, volumes
from seepage.report.wording import accuracy, percent, point
from seepage.results import SweepResults

HALF = 0.5
NEAR = 0.8
"""Labels that carry eight tenths of an attack's advantage over chance explain most of it."""


@dataclass(frozen=True)
class Finding:
    """What the runs say about one question."""

    about: str
    words: str


def findings(results: SweepResults) -> list[Finding]:
    """One sentence or two a question, in the order of a reader's questions."""
    said = [
        ("undefended", _undefended(results)),
        ("extremes", extremes(results)),
        ("trade-off", _traded(results)),
        ("half the leak", halved(results)),
        ("of no help", unhelpful(results)),
        ("never on the front", off_front(results)),
        ("labels", labels_alone(results)),
        ("how sure", seeds(results)),
        ("blind checks", lucky(results)),
    ]
    return [Finding(about, words) for about, words in said if words]


def paragraph(results: SweepResults) -> str:
    """All findings, one after the other."""
    return " ".join(finding.words for finding in findings(results))


def _undefended(results: SweepResults) -> str:
    start = undefended(results)
    if start is None:
        return ""
    kept = start.accuracy
    cost = f"test accuracy {accuracy(kept.value, kept.deviation)}"
    found = start.tpr()
    if found is None:
        area = start.auc()
        best = area_words(area) if area else "–"
        return (
            f"The runs have too few records to say what is found at {point(float(results.at))} "
            f"false alarms; undefended, the best AUC is {best}, at {cost}."
        )
    return (
        f"Undefended, the strongest attack ({start.attacks('tpr')}) finds "
        f"{rate_words(found, results.at)} of the members at {point(float(results.at))} false "
        f"alarms, at {cost}."
    )


def _traded(results: SweepResults) -> str:
    """The largest hypervolume, the undefended point's and the next."""
    fronts = volumes(results)
    if is_ablation(results) or not fronts:
        return ""
    base, same = undefended_volume(results), alike(results)
    best = same[0]
    words = f"The largest hypervolume against the strongest attack is {best.series}’s: "
    words += volume_words(best.hypervolume, best.deviation)
    if base is not None:
        words += f", where the undefended point alone has {area_words(base)}"
    if len(same) > 1:
        names = listed([front.series for front in same[1:]])
        return f"{words}. Within the deviation between seeds it cannot be told from {names}."
    if len(fronts) > 1:
        words += f"; next is {fronts[1].series} with "
        words += volume_words(fronts[1].hypervolume, fronts[1].deviation)
    return f"{words}."


def extremes(results: SweepResults) -> str:
    """Where in an ablation most members are found, and where fewest."""
    known = [(rate.value, each) for each in strengths(results) if (rate := each.tpr())]
    if not is_ablation(results) or len(known) < 2:
        return ""
    (_, least), (_, most) = (f(known, key=lambda found: found[0]) for f in (min, max))
    return (
        f"Most members are found at {full_name(results, most)}: "
        f"{rate_words(most.tpr(), results.at)} by {most.attacks('tpr')}; fewest at "
        f"{full_name(results, least)}: {rate_words(least.tpr(), results.at)} by "
        f"{least.attacks('tpr')}."
    )


def halved(results: SweepResults) -> str:
    """What it costs at least to halve the undefended rate, by a defense surely below it."""
    start = undefended(results)
    found = start.tpr() if start else None
    if start is None or found is None or found.value <= float(results.at):
        return ""
    enough = [each for each in complete(_others(results)) if halves(each, start)]
    if not enough:
        return "No strength of any defense halves what the strongest attack finds."
    cheap = min(enough, key=lambda each: each.error.value)
    return (
        f"Half the leak is gone at the least cost with {full_name(results, cheap)}: "
        f"{rate_words(cheap.tpr(), results.at)} in place of {percent(found.value)} %, "
        f"{cost_words(cheap, start)}."
    )


def halves(each: Strength, start: Strength) -> bool:
    """Whether its rate is at most half the undefended one, and below it by both reaches."""
    less, found = each.tpr(), start.tpr()
    return bool(less and found and less.value <= HALF * found.value and less.below(found))


def _others(results: SweepResults) -> list[Strength]:
    return [each for name in defended(results) for each in strengths(results, name)]


def unhelpful(results: SweepResults) -> str:
    """The series of which no strength leaks less than none by more than the reaches."""
    start = undefended(results)
    found = start.tpr() if start else None
    if found is None:
        return ""
    names = [
        name for name in defended(results) if strengths(results, name) and not helps(results, name)
    ]
    if not names:
        return ""
    return (
        f"No strength of {listed(names, 'or')} can be told to leak less than the undefended "
        "training: their intervals or deviations overlap."
    )


def off_front(results: SweepResults) -> str:
    """The series of which no strength is on the front of all."""
    kept = {each.series for each in unbeaten(complete(strengths(results)))}
    series = defended(results)
    names = [name for name in series if name not in kept]
    if is_ablation(results) or not kept or len(series) < 2 or not names:
        return ""
    return (
        f"No strength of {listed(names, 'or')} is on the front of all: other points have no more "
        "test error and leak no more."
    )


def labels_alone(results: SweepResults) -> str:
    """Where knowing the labels, and no model, goes nearly as far as the best attack."""
    near = [each for each in strengths(results) if by_labels(each)]
    known = [
        (label, area, each) for each in near if (label := each.label_auc) and (area := each.auc())
    ]
    if not known:
        return ""
    label, area, worst = max(known, key=lambda found: found[0].value)
    within = worst.within_auc()
    rest = "" if within is None else f"; within one label that attack has {within.value:.2f}"
    where = f" (at {full_name(results, worst)})" if len(known) > 1 else ""
    places = listed([full_name(results, each) for each in near])
    return (
        f"Labels alone explain most of the leak at {places}: "
        f"without a model they reach AUC {label.value:.2f}, the best attack "
        f"{area.value:.2f}{rest}{where}."
    )


def by_labels(each: Strength) -> bool:
    """Whether labels carry most of the best attack's advantage over chance.

    Only where the attack is above chance by more than its reach.
    """
    area, label = each.auc(), each.label_auc
    if area is None or label is None or area.low <= 0.5:
        return False
    return label.value - 0.5 >= NEAR * (area.value - 0.5)


def seeds(results: SweepResults) -> str:
    """What stands behind the numbers, and what was picked with the answer in hand."""
    oracle = (
        "The strongest attack was picked at every point with the answer in hand; an adversary "
        "would have had to guess it."
    )
    numbers = sorted({len(each.runs) for each in strengths(results)})
    if not numbers:
        return ""
    if numbers[-1] == 1:
        return f"One seed: differences within the intervals are luck. {oracle}"
    over = "–".join(dict.fromkeys([str(numbers[0]), str(numbers[-1])]))
    return f"Means over {over} seeds, with the deviation between them after ±. {oracle}"
