"""Clip every sample's gradient and add Gaussian noise: record-level differential privacy."""

from __future__ import annotations

import math

from seepage.protocols import ClippedGradient, Defense
from seepage.records import UserError


def dp_sgd(
    *,
    clip: float = 1.0,
    sigma: float | None = None,
    target_epsilon: float | None = None,
    delta: float = 1e-5,
) -> Defense:
    r"""Train on sums of clipped gradients with Gaussian noise of deviation σC.

    .. math:: \tilde g = \frac1B \Bigl( \sum_{j \in S} g_j \min(1, C / \lVert g_j \rVert_2)
        + \mathcal N(0, \sigma^2 C^2 I) \Bigr), \qquad \Pr[j \in S] = B/n
        \text{ for each } j \text{ alone}

    *B* is the batch size, *n* the model's number of samples; there are as many steps as without
    the defense, epochs · ⌈n/B⌉, and the optimizer takes them as ever. In a federation every
    client does this with the records of its own (local DP-SGD), and what it sends is private
    without trust in the server.

    Guarantees:
        * one record moves a sum by at most C, up to rounding; batches that happen to be empty
          give noise alone;
        * with ``target_epsilon`` the noise is the least, to one part in a thousand, that keeps all
          of a model's training (in a federation: all rounds, as if it took part in each) within
          (ε, δ), as :mod:`seepage.training.accountant` counts it;
        * ``clip=inf, sigma=0`` is no defense, bit for bit.

    Args:
        clip: C > 0; ``inf`` does not clip, and then σ must be 0.
        sigma: σ ≥ 0, the deviation of the noise in units of C. None takes 1, or what
            ``target_epsilon`` needs.
        target_epsilon: ε > 0 to stay within, instead of ``sigma``.
        delta: δ in (0, 1), at which ε is told or kept; less than 1/n to mean something.

    Raises:
        UserError: An argument is out of range, or both ``sigma`` and ``target_epsilon`` are given.

    References:
        | Deep Learning with Differential Privacy (Abadi et al., 2016)
        | https://arxiv.org/abs/1607.00133

    Differs from Opacus, which takes q = 1/⌈n/B⌉ and divides by ⌊qn⌋: the same where B divides n.
    """
    if not clip > 0 or not 0 < delta < 1:
        raise UserError(f"dp_sgd needs clip > 0 and delta in (0, 1), got {clip} and {delta}")
    if target_epsilon is not None:
        _check_target(target_epsilon, sigma, clip)
    else:
        sigma = 1.0 if sigma is None else sigma
        if not 0 <= sigma < math.inf:
            raise UserError(f"dp_sgd needs a finite sigma >= 0, got {sigma}")
        if clip == math.inf:
            if sigma:
                raise UserError("dp_sgd scales its noise by clip, which must then be finite")
            return Defense()
    gradient = ClippedGradient(norm=clip, sigma=sigma, epsilon=target_epsilon, delta=delta)
    return Defense(gradient=gradient)


def _check_target(target_epsilon: float, sigma: float | None, clip: float) -> None:
    if sigma is not None:
        raise UserError(
            "dp_sgd takes sigma or target_epsilon, which sets sigma; got both, "
            f"{sigma} and {target_epsilon}"
        )
    if not 0 < target_epsilon < math.inf or clip == math.inf:
        raise UserError(
            "dp_sgd keeps a target_epsilon that is positive and finite with a clip that is finite, "
            f"got {target_epsilon} and {clip}"
        )
