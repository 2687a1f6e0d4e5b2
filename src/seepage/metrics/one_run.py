"""A lower bound on ε from one training run with many canaries."""

from __future__ import annotations

import numpy as np
from scipy.special import betainc, betaincinv, expit, logit

from seepage.metrics.intervals import BISECTIONS, check_confidence
from seepage.records import UserError


def one_run_epsilon(
    correct: int,
    guesses: int,
    canaries: int,
    *,
    delta: float = 0.0,
    confidence: float = 0.95,
) -> float:
    r"""A lower bound on ε: no :math:`(\varepsilon, \delta)`-DP training with a smaller ε explains
    so many right guesses about who was in one run, but for an error of ``1 - confidence``.

    Each of *m* canaries is in the training set or not by a fair coin of its own. The adversary
    guesses about *r* of them, chosen with all scores in hand, and *v* guesses are right. Then

    .. math:: p(\varepsilon) = \Pr[B \ge v]
        + 2 m \delta \max_{1 \le i \le v} \frac{1}{i} \Pr[v > B \ge v - i], \qquad
        B \sim \mathrm{Bin}\!\left(r, \frac{e^\varepsilon}{1 + e^\varepsilon}\right)

    bounds how likely *v* right guesses or more are, and the result is the largest ε with
    :math:`p(\varepsilon) < 1 -` ``confidence``, or 0 where there is none. For δ = 0 it is the
    log-odds of the one-sided Clopper-Pearson lower bound of :math:`v / r`.

    Guarantees:
        * valid: above the true ε with probability at most ``1 - confidence``.
        * monotone: more right guesses never lower it; a larger ``delta``, ``confidence`` or number
          of canaries never raises it.

    Note:
        Unlike :func:`epsilon_lower_bound` it does not take records as independent trials: the coins
        alone are. How many guesses to make must be fixed before the coins are seen, and so must
        the attack: the best of several bounds has several chances to be wrong.

    Args:
        correct: Right guesses *v*.
        guesses: Guesses made *r*; the canaries that are left over are abstained from.
        canaries: Canaries *m*.
        delta: The δ of the privacy claim, in [0, 1).
        confidence: Probability that the bound lies below ε.

    Returns:
        ε in nats, at least 0; at most about :math:`\ln(r / \ln(1/\alpha))` with
        :math:`\alpha = 1 -` ``confidence``.

    Raises:
        UserError: Not ``0 <= correct <= guesses <= canaries``; a bad ``delta`` or ``confidence``.

    References:
        | Privacy Auditing with One (1) Training Run (Steinke, Nasr and Jagielski, 2023)
        | https://arxiv.org/abs/2305.08846
    """
    check_confidence(confidence)
    if not 0 <= delta < 1:
        raise UserError(f"delta must be in [0, 1), got {delta}. Use 0 for pure privacy.")
    if not 0 <= correct <= guesses <= canaries:
        raise UserError(
            "one run needs 0 <= correct <= guesses <= canaries, got "
            f"correct={correct}, guesses={guesses}, canaries={canaries}. Count again."
        )
    error = 1 - confidence
    if correct == 0:
        return 0.0
    high = max(float(logit(betaincinv(correct, guesses - correct + 1, error))), 0.0)
    if delta == 0 or high == 0:
        return high
    low = 0.0
    for _ in range(BISECTIONS):  # p rises; where it is never below the error, low stays at 0
        middle = (low + high) / 2
        if p_value(middle, correct, guesses, canaries, delta) < error:
            low = middle
        else:
            high = middle
    return low


def p_value(epsilon: float, correct: int, guesses: int, canaries: int, delta: float) -> float:
    r"""The bound :math:`p(\varepsilon)` of :func:`one_run_epsilon`; it may exceed 1. ``v >= 1``."""
    right = expit(epsilon)
    at_least = betainc(correct, guesses - correct + 1, right)
    i = np.arange(1, correct + 1)
    below = np.ones(correct)
    below[:-1] = betainc(correct - i[:-1], guesses - correct + i[:-1] + 1, right)
    return float(at_least + 2 * canaries * delta * np.max((below - at_least) / i))
