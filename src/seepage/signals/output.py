"""What a model's answer says about one sample, each in its natural sense.

All functions take logits ``(..., n, C)`` and class numbers ``(n,)`` and return ``(..., n)``, in the
logits' own type. They stay finite for any finite logits: everything is a difference of logits and
log-sum-exps, no probability is ever divided, and none is logged that could have rounded to 0.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.nn import functional

from seepage.records import UserError


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


def modified_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """``-(1 - p_y) log p_y - Σ_{k≠y} p_k log(1 - p_k)``, in nat, at least 0.

    0 for a sure and right answer, and large for a sure and wrong one, where the entropy is 0 for
    both.

    Source: Song and Mittal, "Systematic Evaluation of Privacy Risks of Machine Learning Models"
    (2021). HAMP's code floors the arguments of the logarithms at 1e-30, which caps a
    sure and wrong answer at 138; here it grows with the logits.
    """
    log_p = logits.log_softmax(-1)
    # 1 - p_k rounds to 0 for the top class alone: every other one has p_k <= 1/2.
    top = logits.argmax(-1, keepdim=True)
    beside_top = logits.scatter(-1, top, -torch.inf).logsumexp(-1, keepdim=True)
    log_not_p = torch.log1p(-log_p.exp()).scatter(
        -1, top, beside_top - logits.logsumexp(-1, keepdim=True)
    )
    wrong = (-log_p.exp() * log_not_p).scatter(-1, _column(logits, labels), 0.0).sum(-1)
    doubt = torch.sigmoid(-scaled_logit(logits, labels))
    return doubt * loss(logits, labels) + wrong.clamp_min(0.0)


def correct(logits: Tensor, labels: Tensor) -> Tensor:
    """1 where the true class is the arg-max, else 0; of equal logits the first class's counts."""
    return (logits.argmax(-1) == labels).to(logits.dtype)


def rank(logits: Tensor, labels: Tensor) -> Tensor:
    """Classes with a larger logit than the true one, in [0, C - 1]; equal ones count one half.

    0 is the top. Any defense that keeps the order of the answer keeps it as it is.
    """
    true = logits.gather(-1, _column(logits, labels))
    ties = (logits == true).sum(-1) - 1
    return (logits > true).sum(-1).to(logits.dtype) + ties.to(logits.dtype) / 2


def scaled_logit(logits: Tensor | ArrayLike, labels: Tensor | ArrayLike) -> Tensor:
    """``log p_y - log(1 - p_y)``: the true logit less the log-sum-exp of the others.

    Takes tensors or anything that :func:`torch.as_tensor` reads; whole numbers become floating
    ones.

    Source: Carlini et al., "Membership Inference Attacks From First Principles" (2022), section
    IV-C, who compute it from probabilities; this form does not overflow for sure models.
    """
    logits = torch.as_tensor(logits)
    if not logits.is_floating_point():
        logits = logits.to(torch.get_default_dtype())
    true, others = _true_and_others(logits, torch.as_tensor(labels))
    return true - others.logsumexp(-1)


def _true_and_others(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The true class's logit, and the logits with it at -inf."""
    column = _column(logits, labels)
    return logits.gather(-1, column).squeeze(-1), logits.scatter(-1, column, -torch.inf)


def _column(logits: Tensor, labels: Tensor) -> Tensor:
    """Where the true class stands in the last axis, shape ``(..., n, 1)``.

    Raises:
        UserError: There is not one label for each row of logits.
    """
    if logits.ndim < 2 or labels.shape != logits.shape[-2:-1]:
        raise UserError(
            f"logits of shape (..., n, C) need n labels, got {tuple(logits.shape)} and "
            f"{tuple(labels.shape)}"
        )
    return labels.long()[:, None].expand(*logits.shape[:-1], 1)


OUTPUT: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "confidence": confidence,
    "correct": correct,
    "entropy": entropy,
    "loss": loss,
    "margin": margin,
    "modified_entropy": modified_entropy,
    "rank": rank,
    "scaled_logit": scaled_logit,
}
"""Every signal of an answer, by name."""
