"""A privacy claim beside what was found: the accountant's ε and the lower bound of the attacks."""

from __future__ import annotations

from typing import Any

from seepage.report.wording import count
from seepage.results import Claim, OneRun

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
    others = [] if claim.epsilon is None else [claim.epsilon]
    return f"ε at least {epsilons(claim.lower_bound, *others)[0]}"


def sentence(claim: Claim) -> str:
    """Claim and finding in a line, for a terminal."""
    if not claim.steps:
        return f"nothing is claimed; found from one run: {found(claim)}"
    return (
        f"claim: {claimed(claim)} ({claim.accountant}, {claim.sampling} sampling, noise "
        f"{claim.noise:g}, {count(claim.steps)} steps); found: {found(claim)}"
    )


def meaning(claim: Claim) -> str:
    """What the two numbers say together."""
    if alarm(claim):
        return (
            "No training with the claimed privacy could have given these scores, save by a chance "
            "that the confidence allows for. Look for noise that is added to less than it should "
            "be, gradients that are not clipped one record at a time, or a batch that is not "
            "drawn as the accountant assumes."
        )
    if claim.epsilon is None:
        return "The training claims nothing that an attack could refute."
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
