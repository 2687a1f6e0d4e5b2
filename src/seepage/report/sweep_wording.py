"""Numbers of a sweep as people read them, and names one after the other."""

from __future__ import annotations

from seepage.report.sweep_points import Mean, Strength, is_ablation, strengths
from seepage.report.wording import count, fixed, needed, rate, shares, with_interval
from seepage.results import SweepResults


def rate_words(value: Mean | None, at: str) -> str:
    """``12.3 % ± 0.4``; one seed ``12.3 % [11.9, 12.8]``; or what it would take to say it."""
    if value is None:
        return f"needs {count(needed(float(at)))} non-members"
    if value.deviation is None:
        return rate(value.value, (value.low, value.high))
    shown = shares(value.value, (value.low, value.high))[0]
    digits = len(shown.partition(".")[2]) or 1
    return f"{shown} % ± {100.0 * value.deviation:.{digits}f}"


def area_words(value: Mean) -> str:
    """``0.903 ± 0.012``; one seed ``0.90 [0.89, 0.91]``."""
    if value.deviation is None:
        return with_interval(value.value, (value.low, value.high))
    return volume_words(value.value, value.deviation)


def volume_words(value: float, deviation: float | None) -> str:
    """``0.361 ± 0.004``; one seed ``0.361``."""
    (shown,) = fixed((value,), 3)
    return shown if deviation is None else f"{shown} ± {deviation:.{len(shown) - 2}f}"


def epsilon_words(value: float | None) -> str:
    """``7.98``, ``6,014,900``, or a dash."""
    if value is None:
        return "–"
    return f"{value:.2f}" if value < 100.0 else f"{value:,.0f}"


def cost_words(each: Strength, start: Strength) -> str:
    """``for 1.2 points of test accuracy``, or that it costs none."""
    points = 100.0 * (each.error.value - start.error.value)
    if abs(points) < 0.05:
        return "at no cost in test accuracy"
    if points < 0:
        return f"and test accuracy gains {-points:.1f} points"
    return f"for {points:.1f} points of test accuracy"


def listed(names: list[str], last: str = "and") -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return f" {last} ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def full_name(results: SweepResults, each: Strength) -> str:
    """A strength with its series, where the sweep has several: ``mixup α=1``.

    The parts of one course need it only where a name stands in two of them.
    """
    twice = any(o.name == each.name and o.series != each.series for o in strengths(results))
    if each.name in (each.series, "undefended") or (is_ablation(results) and not twice):
        return each.name
    return f"{each.series} {each.name}"
