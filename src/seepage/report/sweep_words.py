"""What a sweep comes to: its headline, and the errors that stand above everything."""

from __future__ import annotations

from seepage.report.sweep_points import (
    Strength,
    defended,
    front_of,
    is_ablation,
    strengths,
    undefended,
    undefended_volume,
)
from seepage.report.sweep_users import user_headline
from seepage.report.sweep_wording import full_name, listed
from seepage.report.wording import percent, point
from seepage.results import SweepFront, SweepResults

NAMED = 3
"""So many series have room in a headline."""


def volumes(results: SweepResults) -> list[SweepFront]:
    """The fronts against the strongest attack, by descending hypervolume."""
    found = [front_of(results, series) for series in defended(results)]
    return sorted((front for front in found if front), key=lambda front: -front.hypervolume)


def alike(results: SweepResults) -> list[SweepFront]:
    """The largest hypervolume and those whose deviation reaches into its own."""
    fronts = volumes(results)
    low = fronts[0].hypervolume - (fronts[0].deviation or 0.0)
    return [f for f in fronts if f is fronts[0] or f.hypervolume + (f.deviation or 0.0) >= low]


def headline(results: SweepResults) -> str:
    """The finding without a full stop; of runs that asked whose record it is, that one."""
    if is_ablation(results):
        return user_headline(results) or course(results)
    fronts = volumes(results)
    if not fronts:
        return f"{_runs(results)} on {results.dataset}"
    best, base = alike(results), undefended_volume(results)
    if base is not None and best[0].hypervolume <= base.high + (best[0].deviation or 0.0):
        return "Against the strongest attack no defense has a better trade-off than none at all"
    if not any(helps(results, front.series) for front in best):
        return "Against the strongest attack no defense can be told to leak less than none at all"
    sure = "" if best[0].deviation is not None else ", as far as one seed can tell"
    if len(fronts) == 1:
        return f"Against the strongest attack, {best[0].series} improves the trade-off{sure}"
    if len(best) == 1:
        return (
            f"Of {len(fronts)} defenses, {best[0].series} has the best trade-off against the "
            f"strongest attack{sure}"
        )
    names = listed([front.series for front in best])
    who = names if len(best) <= NAMED else f"{len(best)} of {len(fronts)} defenses"
    return f"Against the strongest attack, {who} have the best trade-offs, and cannot be told apart"


def helps(results: SweepResults, series: str) -> bool:
    """Whether some strength of a series leaks less than no defense by more than the reaches.

    The undefended point is on every series' front, so a hypervolume alone would call any luck help.
    """
    start = undefended(results)
    found = start.tpr() if start else None
    rates = [each.tpr() for each in strengths(results, series)]
    return found is None or any(each is None or each.below(found) for each in rates)


def _runs(results: SweepResults) -> str:
    return f"{len(results.points)} run{'s' if len(results.points) != 1 else ''}"


def course(results: SweepResults) -> str:
    """How the leak goes from the first to the last value of an ablation."""
    line = strengths(results)
    first, last = line[0], line[-1]
    at = point(float(results.at))
    start, end = first.tpr(), last.tpr()
    if len(line) == 1 or start is None or end is None:
        return f"{_runs(results)} on {results.dataset}"
    names = [full_name(results, each) for each in (first, last)]
    words = f"From {' to '.join(names)} the members found"
    shares = f"from {percent(start.value)} % to {percent(end.value)} %, at {at} false alarms"
    if end.below(start):
        return f"{words} fall {shares}"
    if start.below(end):
        return f"{words} rise {shares}"
    return f"{words} cannot be told to change, at {at} false alarms"


def alarms(results: SweepResults) -> list[str]:
    """Errors that stand above everything: more blind checks off chance than luck allows."""
    off = _off(results)
    if not off or lucky(results):
        return []
    names = ", ".join(full_name(results, each) for each in off)
    return [
        f"Blind checks are off chance for {names}: the numbers of "
        f"{'this point' if len(off) == 1 else 'these points'} are not to be believed."
    ]


def lucky(results: SweepResults) -> str:
    """What to say of blind checks off chance in so few runs that luck explains them, else nothing.

    A run whose checks are all sound has one off chance with probability 5 %. So many of a sweep's
    runs may that a binomial law exceeds with probability 5 %, as long as no point that was run
    with several seeds is off chance in all of them.
    """
    from scipy.stats import binom

    off, runs = _off(results), len(results.points)
    count = sum(not run.blind_ok for run in results.points)
    always = any(len(e.runs) > 1 and not any(r.blind_ok for r in e.runs) for e in off)
    if not count or always or count > binom.ppf(0.95, runs, 0.05):
        return ""
    verb = "has a blind check" if count == 1 else "have blind checks"
    return (
        f"{count} of {runs} runs {verb} off chance, no more than luck gives where every check "
        "holds at 95 % in a run."
    )


def _off(results: SweepResults) -> list[Strength]:
    return [each for each in strengths(results) if not all(run.blind_ok for run in each.runs)]
