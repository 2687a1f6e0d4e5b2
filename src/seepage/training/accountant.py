r"""What clipped and noised gradients promise, in ε and δ.

A step is a Gaussian mechanism: the sum of the clipped gradients changes by at most *C* when one
record comes or goes, and the noise has deviation σC. Its privacy loss distribution is composed
over all steps numerically (Koskela et al., 2020) with Google's ``dp-accounting``, which rounds
losses upwards: ε is an upper bound, and far below that of Rényi moments (Mironov et al., 2019)
when σ is small.

Neighbours differ by one record that is added or removed. How many records there are is taken to be
public. Epochs chosen by accuracy on validation records are outside of the guarantee of those.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from scipy.optimize import brentq

from seepage.records import UserError

if TYPE_CHECKING:
    from seepage.protocols import ClippedGradient, Defense
    from seepage.training.local import LocalTraining

GRID = 20
"""Points of the grid of privacy losses to one deviation of a step's loss. Losses are rounded up to
the grid: with 20 points ε is too large by about a part in five thousand (measured)."""

LARGEST_SIGMA = 2.0**30

STEP = 2.5e-4
"""Accuracy of log σ in the search for a budget's noise."""


@dataclass(frozen=True, kw_only=True)
class Guarantee:
    """(ε, δ) of one model's training and what it follows from.

    Attributes:
        epsilon: ε ≥ 0, an upper bound; None where there is no noise and no bound.
        delta: δ in (0, 1).
        accountant: How ε was computed, and what neighbours are.
        sampling: How often a record takes part, in words.
        sigma: Deviation of the noise in units of the clipping norm.
        steps: Steps that are composed, over all rounds.
    """

    epsilon: float | None
    delta: float
    accountant: str
    sampling: str
    sigma: float
    steps: int


@lru_cache(maxsize=1024)
def epsilon(*, sampling_rate: float, sigma: float, steps: int, delta: float = 1e-5) -> float:
    """Smallest ε found such that the steps together are (ε, δ)-differentially private.

    Args:
        sampling_rate: Probability *q* in (0, 1] that a record takes part in a step, by a coin of
            its own for every record and step.
        sigma: Deviation of the noise in units of the clipping norm, ≥ 0.
        steps: Number of steps, ≥ 0.
        delta: δ in (0, 1).

    Returns:
        ε ≥ 0; infinite where σ = 0.

    Raises:
        UserError: An argument is out of range.
    """
    inside = 0 < sampling_rate <= 1 and 0 <= sigma < math.inf and steps >= 0 and 0 < delta < 1
    if not inside:
        raise UserError(
            "epsilon needs a sampling rate in (0, 1], a finite sigma >= 0, steps >= 0 and a delta "
            f"in (0, 1), got {sampling_rate}, {sigma}, {steps} and {delta}"
        )
    if not steps or not sigma:
        return math.inf if steps else 0.0
    # a second to import, for the few studies that need it
    from dp_accounting.pld.privacy_loss_distribution import from_gaussian_mechanism

    interval = _deviation(sampling_rate, sigma) / GRID
    one = from_gaussian_mechanism(
        sigma, value_discretization_interval=interval, sampling_prob=sampling_rate
    )
    return float(one.self_compose(steps).get_epsilon_for_delta(delta))


def _deviation(sampling_rate: float, sigma: float) -> float:
    """Size of the privacy loss of one step: ``q √(e^{1/σ²} - 1)`` where that is small, at most
    that of a step on all records, ``1/σ``.
    """
    return min(1 / sigma, sampling_rate * math.sqrt(math.expm1(min(1 / sigma**2, 100.0))))


@lru_cache(maxsize=1024)
def noise_for(epsilon: float, delta: float, *, sampling_rate: float, steps: int) -> float:
    """The smallest σ whose ε is at most ``epsilon``, to one part in a thousand, never below it.

    Raises:
        UserError: An argument is out of range, or no σ is large enough.
    """
    if not 0 < epsilon < math.inf:
        raise UserError(f"a target epsilon must be positive and finite, got {epsilon}")

    def excess(log_sigma: float) -> float:
        found = _epsilon(sampling_rate, math.exp(log_sigma), steps, delta)
        return math.log(max(found, 1e-9) / epsilon)

    high = 1.0
    while excess(math.log(high)) > 0:
        high *= 2
        if high > LARGEST_SIGMA:
            raise UserError(
                f"no noise reaches epsilon {epsilon} at delta {delta} in {steps} steps; ask for a "
                "larger epsilon or take fewer steps"
            )
    low = high / 2
    while excess(math.log(low)) <= 0:
        low, high = low / 2, low
    root = brentq(excess, math.log(low), math.log(high), xtol=STEP)
    assert isinstance(root, float)
    while excess(root) > 0:
        root += STEP
    return math.exp(root)


def _epsilon(sampling_rate: float, sigma: float, steps: int, delta: float) -> float:
    return epsilon(sampling_rate=sampling_rate, sigma=sigma, steps=steps, delta=delta)


def composed(gradient: ClippedGradient, settings: LocalTraining, samples: int) -> tuple[float, int]:
    """Sampling rate and number of the mechanisms that training on ``samples`` composes.

    With Poisson batches every one of the ``epochs · ceil(n / batch_size)`` steps, at
    ``q = batch_size / n``. In a shuffled order a record is in exactly one batch of an epoch, so an
    epoch is one mechanism without sampling, whatever the order; so is one step on all records.
    """
    if settings.full_gradient:
        return 1.0, gradient.rounds
    if gradient.poisson:
        return sampling_rate(settings, samples), settings.steps(samples) * gradient.rounds
    return 1.0, settings.epochs * gradient.rounds


def sampling_rate(settings: LocalTraining, samples: int) -> float:
    """``q = batch_size / n``, at most 1."""
    return min(1.0, settings.batch_size / samples)


def sigma_of(gradient: ClippedGradient, settings: LocalTraining, samples: int) -> float:
    """The noise: as given, or what the budget of ``gradient`` asks for with this many samples."""
    if gradient.sigma is not None:
        return gradient.sigma
    assert gradient.epsilon is not None, "a private gradient has a sigma or an epsilon"
    rate, steps = composed(gradient, settings, samples)
    return noise_for(gradient.epsilon, gradient.delta, sampling_rate=rate, steps=steps)


def over_rounds(defense: Defense, rounds: int) -> Defense:
    """``defense`` with its budget, if it has one, shared among ``rounds`` calls of training."""
    if defense.gradient is None:
        return defense
    return replace(defense, gradient=replace(defense.gradient, rounds=rounds))


def claim(gradient: ClippedGradient, settings: LocalTraining, samples: int) -> Guarantee:
    """What training a model on ``samples`` records promises each of them.

    In a federation ``gradient.rounds`` must be the number of rounds: a client takes part in at
    most all of them, and what it sent composes over them.

    Raises:
        UserError: σ or δ is out of range.
    """
    rate, steps = composed(gradient, settings, samples)
    sigma = sigma_of(gradient, settings, samples)
    bound = epsilon(sampling_rate=rate, sigma=sigma, steps=steps, delta=gradient.delta)
    drawn = gradient.poisson and not settings.full_gradient
    return Guarantee(
        epsilon=bound if math.isfinite(bound) else None,
        delta=gradient.delta,
        accountant="PLD, one record added or removed",
        sampling=f"Poisson, q = {rate:.4g}" if drawn else "once an epoch",
        sigma=sigma,
        steps=steps,
    )
