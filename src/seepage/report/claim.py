"""A privacy claim beside what was found: the accountant's ε and the lower bound of the attacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seepage.report.wording import ADVERSARIES, count, inside
from seepage.results import Accounting, Claim, OneRun

if TYPE_CHECKING:
    from rich.console import RenderableType

SUSPECTS = {
    "record": "gradients that are not clipped one record at a time, or a batch that is not drawn "
    "as the accountant assumes",
    "client": "changes that are not clipped, or clients that take part more often than counted",
}
"""What to look for where a claim is refuted."""

SHOWN = 5
"""One-run bounds in the page's table; with many targets, the largest."""


def epsilons(*values: float) -> list[str]:
    """Values of ε with two decimals, or more while two different ones would read the same."""
    digits = 2
    while digits < 9 and len({f"{x:.{digits}f}" for x in values}) < len(set(values)):
        digits += 1
    return [f"{x:.{digits}f}" for x in values]


def alarm(claim: Claim | None) -> str:
    """The error that a refuted claim is; empty where there is none."""
    if claim is None or claim.ok or claim.epsilon is None:
        return ""
    found, claimed = epsilons(claim.lower_bound, claim.epsilon)
    return (
        f"Lower bound {found} is above the claimed ε = {claimed}: "
        "the implementation or the claim is wrong."
    )


def claimed(claim: Claim) -> str:
    """What is claimed: ``ε = 4.00 at δ = 1e-05``."""
    if claim.epsilon is None:
        return f"no finite ε at δ = {claim.delta:g}"
    return f"ε = {epsilons(claim.epsilon, claim.lower_bound)[0]} at δ = {claim.delta:g}"


def found(claim: Claim) -> str:
    """The bound that the attacks gave."""
    if claim.attacks == 0:
        return "nothing, for no attack is by an adversary that it binds"
    others = [] if claim.epsilon is None else [claim.epsilon]
    return f"ε at least {epsilons(claim.lower_bound, *others)[0]}"


def basis(claim: Claim) -> str:
    """What the claimed ε was counted from: neighbors, sampling and effective noise."""
    return (
        f"{claim.accountant}; sampling: {claim.sampling}; effective noise {claim.noise:.4g}; "
        f"{count(claim.steps)} steps"
    )


def about(claim: Claim) -> str:
    """Whose presence the claim is about, and whom it binds."""
    whose = "all of a client's data" if claim.unit == "client" else "a record"
    return f"{whose}, against {inside(ADVERSARIES[claim.against])}"


def sentence(claim: Claim) -> str:
    """Claim and finding in a line, for a terminal."""
    if not claim.steps:
        return f"nothing is claimed; found from one run: {found(claim)}"
    for_whom = f" for {about(claim)}" if claim.unit == "client" else ""
    return f"claim: {claimed(claim)}{for_whom} ({basis(claim)}); found: {found(claim)}"


def terminal_claim(claim: Claim) -> RenderableType:
    """The sentence, and a table of the other ways of counting, each with what it assumes."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    said = Text(sentence(claim), style="dim")
    if not others(claim):
        return said
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), style="dim", header_style="dim")
    table.add_column("counted otherwise: ε", justify="right")
    for name in ("by", "one client's", "sampling", "noise", "against", "bounds"):
        table.add_column(name, no_wrap=name in ("by", "noise", "bounds"))
    for one in others(claim):
        relation = one.relation.removeprefix("one client").removeprefix("'s").strip()
        holds = "yes" if one.holds else "no"
        cells = (one.accountant, relation, one.sampling, f"{one.noise:.4g}", one.against, holds)
        table.add_row(short(one.epsilon), *cells)
    return Group(said, table)


def others(claim: Claim) -> list[Accounting]:
    """Other ways of counting, those that hold first; none where there is no noise."""
    rest = claim.accountings[1:] if claim.unit == "client" else claim.accountings
    return sorted((x for x in rest if x.epsilon is not None), key=lambda one: not one.holds)


def short(epsilon: float | None) -> str:
    """An ε among others: two decimals, none from a hundred on."""
    if epsilon is None:
        return "none"
    return f"{epsilon:,.0f}" if epsilon >= 100 else f"{epsilon:.2f}"


def meaning(claim: Claim) -> str:
    """What the two numbers say together."""
    if alarm(claim):
        return (
            "No training with the claimed privacy could have given these scores, save by a chance "
            "that the confidence allows for. Look for noise that is added to less than it should "
            f"be, {SUSPECTS[claim.unit]}."
        )
    if claim.epsilon is None:
        return "The training claims nothing that an attack could refute."
    if claim.attacks == 0:
        return (
            f"Nothing here tests the claim: it is about {about(claim)}, and no attack was by an "
            "adversary that it binds."
        )
    return (
        "The claim stands: the attacks found no more than it allows. The gap is not slack to be "
        "used up: the claim holds against every attack, the bound only against those run here."
    )


def bar(claim: Claim) -> dict[str, Any] | None:
    """Where claim and bound lie on an axis from 0, in per cent; None without a finite claim."""
    if claim.epsilon is None:
        return None
    end = 1.1 * max(claim.epsilon, claim.lower_bound, 1e-9)
    return {
        "claimed": round(100 * claim.epsilon / end, 2),
        "found": round(100 * claim.lower_bound / end, 2),
    }


def runs(claim: Claim) -> list[OneRun]:
    """The one-run bounds, the largest first; no more than a page has room for."""
    return sorted(claim.one_run, key=lambda run: -run.epsilon)[:SHOWN]
