"""How the clients' step size changes from round to round.

A schedule is a function ``(round, rounds) -> factor`` on the first round's learning rate; rounds
count from 1. :data:`SCHEDULES` gives the ones here their names.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

from seepage.records import UserError

Schedule = Callable[[int, int], float]


def constant(number: int, rounds: int) -> float:
    """1 in every round."""
    return 1.0


def exponential(number: int, rounds: int, *, decay: float = 0.99) -> float:
    r"""``decay`` once a round.

    .. math:: \gamma^{t - 1}

    With 0.99 it is the schedule that the FedMIA paper states (Zhu et al., CVPR 2025, Table 3).
    """
    return decay ** (number - 1)


def cosine(number: int, rounds: int) -> float:
    r"""Half a cosine that lags one round, as the FedMIA authors' released code computes it.

    .. math:: 1 \text{ for } t = 1, \qquad
        \tfrac12\bigl(1 + \cos(\pi (t - 2) / T)\bigr) \text{ for } t \ge 2

    Rounds 1 and 2 both run at the full rate, and the last is not at 0: it is at
    :math:`\tfrac12(1 + \cos(\pi (T-2)/T))`. The paper states :func:`exponential` instead.
    """
    return 1.0 if number == 1 else (1 + math.cos(math.pi * (number - 2) / rounds)) / 2


def milestones(number: int, rounds: int, *, at: Sequence[int] = (), decay: float = 0.1) -> float:
    """``decay`` once for every milestone that has passed: round m still runs at the old rate."""
    return decay ** sum(milestone < number for milestone in at)


SCHEDULES: dict[str, Callable[[float, Sequence[int]], Schedule]] = {
    "constant": lambda decay, at: constant,
    "cosine": lambda decay, at: cosine,
    "exponential": lambda decay, at: partial(exponential, decay=decay),
    "milestones": lambda decay, at: partial(milestones, at=tuple(at), decay=decay),
}
"""Schedules by name, each made from a decay and milestones whether it uses them or not."""


def build_schedule(name: str, *, decay: float = 0.99, milestones: Sequence[int] = ()) -> Schedule:
    """The schedule called ``name``.

    Raises:
        UserError: There is none of that name, or ``decay`` is not in (0, 1].
    """
    if name not in SCHEDULES:
        raise UserError(f"schedule must be one of {', '.join(SCHEDULES)}; got {name!r}")
    if not 0 < decay <= 1:
        raise UserError(f"decay must be in (0, 1], got {decay}")
    return SCHEDULES[name](decay, milestones)
