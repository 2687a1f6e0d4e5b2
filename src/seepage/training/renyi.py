"""ε by Rényi moments, as most federated frameworks count it, with Google's ``dp-accounting``."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from seepage.records import UserError


@lru_cache(maxsize=1024)
def renyi_epsilon(
    *,
    sigma: float,
    steps: int,
    delta: float = 1e-5,
    poisson: float = 1.0,
    drawn: int = 1,
    among: int = 1,
) -> float:
    """ε by Rényi moments, as most federated frameworks count it; an upper bound, not a tight one.

    Args:
        sigma: Deviation of the noise over the sensitivity of the neighbors meant, > 0.
        steps: Number of rounds, ≥ 0.
        delta: δ in (0, 1).
        poisson: Probability in (0, 1] of taking part, by a coin of one's own for every round.
        drawn: Or the size of a cohort that is drawn without replacement,
        among: from this many. ``drawn = among`` is no sampling.

    Raises:
        UserError: An argument is out of range, or both ways of sampling are asked for.
    """
    inside = 0 < sigma < math.inf and steps >= 0 and 0 < delta < 1 and 0 < poisson <= 1
    if not inside or not 1 <= drawn <= among or (poisson < 1 and drawn < among):
        raise UserError(
            "renyi_epsilon needs sigma > 0, steps >= 0, delta in (0, 1) and one way of sampling, "
            f"got {sigma}, {steps}, {delta}, poisson {poisson} and {drawn} of {among}"
        )
    # a second to import, for the few studies that need it
    from dp_accounting import dp_event
    from dp_accounting.privacy_accountant import NeighboringRelation
    from dp_accounting.rdp import RdpAccountant

    event: dp_event.DpEvent = dp_event.GaussianDpEvent(sigma)
    relation = NeighboringRelation.ADD_OR_REMOVE_ONE
    if poisson < 1:
        event = dp_event.PoissonSampledDpEvent(poisson, event)
    if drawn < among:
        event = dp_event.SampledWithoutReplacementDpEvent(among, drawn, event)
        relation = NeighboringRelation.REPLACE_ONE
    accountant = RdpAccountant(neighboring_relation=relation)
    with _without_warnings():
        accountant.compose(event, steps)
        return float(accountant.get_epsilon(delta))


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Orders at which a series does not converge are left out, and each would be told of."""
    logger = logging.getLogger("absl")
    logger.addFilter(_nothing)
    try:
        yield
    finally:
        logger.removeFilter(_nothing)


def _nothing(record: logging.LogRecord) -> bool:
    return False
