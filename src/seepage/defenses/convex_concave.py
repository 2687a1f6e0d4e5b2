"""A loss that is less convex in the probability of the label."""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
from torch.nn.functional import cross_entropy

from seepage.protocols import Defense
from seepage.records import UserError


def convex_concave(
    *, alpha: float, concave: Literal["exponential", "quadratic"] = "exponential"
) -> Defense:
    r"""Cross-entropy with a part of it exchanged for a term that is concave in p_y.

    .. math:: \ell = -\alpha \ln p_y - (1 - \alpha)\, c(p_y), \qquad
        c(p) = e^p \ \text{("exponential")}, \quad c(p) = p + \tfrac12 p^2 \ \text{("quadratic")}

    Both parts fall as p_y rises, so the gradient always points to the label,

    .. math:: \partial \ell / \partial f = \bigl(\alpha + (1 - \alpha)\, p_y\, c'(p_y)\bigr)(p - t)

    but −ln is convex, which pulls the losses of the training set together, and −c is concave,
    which spreads them. With α = 1 it is plain cross-entropy, bit for bit. For targets that are
    mixtures ln p_y is their cross-entropy, with the sign turned.

    Args:
        alpha: Share α in [0, 1] of cross-entropy.
        concave: The concave term; the quadratic one is the Taylor polynomial of the other one,
            without its constant.

    Raises:
        UserError: An argument is out of range.

    References:
        | Mitigating Privacy Risk in Membership Inference by Convex-Concave Loss (Liu et al., 2024)
        | https://arxiv.org/abs/2402.05453
        | The two concave terms are those of the authors' released code,
          https://github.com/ml-stat-Sustech/ConvexConcaveLoss (``ccel`` and ``ccql``).

    Differs from that code in that it has no factor β on the whole loss: β with learning rate η
    and weight decay λ is SGD with learning rate βη and weight decay λ/β.
    """
    if not 0 <= alpha <= 1:
        raise UserError(f"convex_concave needs alpha in [0, 1], got {alpha}")
    if concave not in ("exponential", "quadratic"):
        raise UserError(
            f"convex_concave.concave must be 'exponential' or 'quadratic', got {concave!r}"
        )
    return Defense(loss=partial(_loss, alpha, concave) if alpha < 1 else None)


def _loss(alpha: float, concave: str, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    entropy = cross_entropy(logits, targets, reduction="none")
    share = (-entropy).exp()
    gain = share.exp() if concave == "exponential" else share + share.square() / 2
    return alpha * entropy - (1 - alpha) * gain
