"""What a private training claims, and whether the noise it speaks of was really added."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from seepage.records import AdversaryName
from seepage.results.rows import Strict


class OneRun(Strict):
    """A bound on ε from the canaries of one training run (Steinke et al., 2023)."""

    target: int
    attack: str
    canaries: int
    guesses: int
    correct: int
    epsilon: float


class Accounting(Strict):
    """ε of clipped and noised updates, counted one way.

    ``noise`` is the effective noise multiplier: deviation over sensitivity, for the relation of
    neighbors that is counted. ``holds`` says whether this ε bounds the run as it was made; those
    that do not are what other accountants would print for it.
    """

    accountant: str
    sampling: str
    relation: str
    against: AdversaryName
    noise: float
    steps: int
    epsilon: float | None
    delta: float
    holds: bool


class Claim(Strict):
    """What a private training claims, and what was found.

    ``unit`` is whose presence ε speaks of: one ``record``'s, or all of a ``client``'s. A promise
    about clients holds for their single records, too. ``against`` is the most able adversary it
    binds, and ``attacks`` how many attacks by such adversaries were held against it (null for many
    models); ``accountings`` are the noise of updates counted in other ways, too.

    ``epsilon`` is the accountant's upper bound, ``lower_bound`` the largest bound that the attacks
    or the one-run audit gave with the study's confidence; ``ok`` says that it is no larger.
    """

    epsilon: float | None
    delta: float
    accountant: str
    sampling: str
    noise: float
    steps: int
    lower_bound: float
    one_run: list[OneRun]
    ok: bool
    unit: Literal["record", "client"] = "record"
    against: AdversaryName = "server"
    attacks: int | None = None
    accountings: list[Accounting] = Field(default_factory=list)


class NoiseRow(Strict):
    """Clipping and noise of one round: as configured, and as recomputed from what was sent.

    ``of`` is a client, or the ``server``. ``norm`` is the 2-norm of the change before the defense;
    ``factor`` what clipping multiplies it by; ``deviation`` that of the noise, in parameter units.
    ``factor_expected`` and ``expected`` are the intervals that what is found stays in where only
    chance is at work. ``weight`` is a client's in the mean; ``weight_found`` is null where the
    changes do not tell it.
    """

    round: int
    of: int | Literal["server"]
    norm: float
    factor: float
    factor_found: float
    factor_expected: tuple[float, float]
    deviation: float
    deviation_found: float
    expected: tuple[float, float]
    weight: float | None = None
    weight_found: float | None = None
    ok: bool


class NoiseCheck(Strict):
    """Whether the noise really added is the noise configured, in the observed rounds.

    A run that does what is configured is accused with probability ``error`` at most, over all
    rows together.
    """

    ok: bool
    error: float
    rows: list[NoiseRow]
    problems: list[str]
