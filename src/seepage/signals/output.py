"""What a model's answer says about one sample, each in its natural sense.

All functions take logits ``(..., n, C)`` and class numbers ``(n,)`` and return ``(..., n)``, in the
logits' own type. They stay finite for any finite logits: everything is a difference of logits and
log-sum-exps, no probability is ever divided or logged.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy ``-log p_y``, in nat, at least 0.

    As ``log(1 + exp(-s))`` of the scaled logit *s*: accurate down to 1e-38 where
    ``log_softmax`` rounds to 0.
    """
    return functional.softplus(-scaled_logit(logits, labels), threshold=50)


def confidence(logits: Tensor, labels: Tensor) -> Tensor:
    """Probability of the true class, ``p_y``, in [0, 1]."""
    return torch.sigmoid(scaled_logit(logits, labels))


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """Logit of the true class less the largest other one; positive where the answer is right."""
    true, others = _true_and_others(logits, labels)
    return true - others.amax(-1)


def entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """``-Σ_c p_c log p_c`` of the answer, in nat, in [0, log C]; the label plays no part."""
    log_p = logits.log_softmax(-1)
    return -(log_p.exp() * log_p).sum(-1).clamp_max(0.0)


def scaled_logit(logits: Tensor, labels: Tensor) -> Tensor:
    """``log p_y - log(1 - p_y)``: the true logit less the log-sum-exp of the others.

    Source: Carlini et al., "Membership Inference Attacks From First Principles" (2022), section
    IV-C, who compute it from probabilities; this form does not overflow for sure models.
    """
    true, others = _true_and_others(logits, labels)
    return true - others.logsumexp(-1)


def _true_and_others(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The true class's logit, and the logits with it at -inf."""
    column = labels.long()[:, None].expand(*logits.shape[:-1], 1)
    return logits.gather(-1, column).squeeze(-1), logits.scatter(-1, column, -torch.inf)
