"""The trade-off as the FedMIA paper draws it: test error against members found, with fronts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seepage.report.figure import WIDTH, Figure
from seepage.report.sweep_points import (
    STRONGEST,
    attack_names,
    complete,
    defended,
    is_ablation,
    unbeaten,
)
from seepage.report.sweep_style import ROOM
from seepage.report.sweep_view import View
from seepage.report.sweep_wording import full_name, listed
from seepage.report.wording import point

if TYPE_CHECKING:
    from seepage.results import SweepResults

HEIGHT = 460
PANELS = 8
ACROSS = 4


def front_figure(results: SweepResults) -> Figure | None:
    """Every strength against the strongest attack; None where no rate is resolved."""
    view = View.of(results, [STRONGEST])
    if is_ablation(results) or view is None:
        return None
    at = point(view.at)
    names = listed([full_name(results, each) for each in unbeaten(complete(view.points))])
    return Figure(
        name="front",
        title="What privacy costs",
        alt=(
            f"Test error and share of members that the strongest attack finds at {at} false alarms "
            f"for {len(view.points)} points in {len(defended(results))} series. On the front of "
            f"all: {names}. The table gives all numbers."
        ),
        caption=(
            "The further down and to the left, the better. Steps: the front of each series, the "
            "undefended point among its own; pale points are beaten by another of their series, or "
            "lack a seed. Grey band: the front of all. Bars: the deviation between seeds or the "
            "mean interval of the runs, whichever is wider. At every run the attack that did best "
            f"in it, a choice with the answer in hand. Below the chance line at {at} the upright "
            "axis is even, above it logarithmic."
        ),
        chart=view.main(WIDTH, HEIGHT),
    )


def attacks_figure(results: SweepResults) -> Figure | None:
    """The same for single attacks, side by side; None where there are fewer than two."""
    import altair as alt

    attacks = attack_names(results)[:PANELS]
    view = View.of(results, attacks)
    if is_ablation(results) or view is None or len(attacks) < 2:
        return None
    wide = round(ROOM / ACROSS) - 54
    last = (len(attacks) - 1) // ACROSS
    panels = [
        view.panel(name, wide, 200, left=i % ACROSS == 0, bottom=i // ACROSS == last)
        for i, name in enumerate(attacks)
    ]
    left = len(attack_names(results)) - len(attacks)
    weaker = f" {left} weaker attack{'s are' if left > 1 else ' is'} left to the tables."
    return Figure(
        name="front_by_attack",
        title="The same, attack by attack",
        alt=(
            f"Test error and share of members found at {point(view.at)} false alarms, one panel "
            f"for each of {len(attacks)} attacks: {', '.join(attacks)}."
        ),
        caption=(
            "One attack a panel, by descending mean rate over all runs; axes, marks and steps as "
            f"above.{weaker if left else ''}"
        ),
        chart=alt.concat(*panels, columns=ACROSS, spacing=22),
    )
