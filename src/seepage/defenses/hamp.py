"""Less confident predictions: high-entropy labels and regularizer in training, replaced answers."""

from __future__ import annotations

from functools import lru_cache, partial
from math import log
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from seepage.protocols import Defense
from seepage.records import UserError

if TYPE_CHECKING:
    from seepage.protocols import LossHook, Query

FINEST = 1e-6
"""The smallest step of the grid of soft labels."""


def hamp(
    *,
    gamma: float,
    alpha: float,
    grid: float | None = 0.01,
    reduction: Literal["batch", "mean"] = "batch",
) -> Defense:
    r"""Train towards high-entropy labels and answer with the scores of random inputs.

    Training minimizes, for each sample with soft label t and prediction p = softmax(f(x)),

    .. math:: \mathrm{KL}(t \Vert p) - \alpha H(p)
        \quad\text{("batch")}, \qquad
        \tfrac1K \mathrm{KL}(t \Vert p) - \alpha H(p) \quad\text{("mean")}

    where t has probability :func:`soft_label` on the label and the rest spread evenly. Targets
    that are mixtures (mixup) are softened as the same mixture. Every answer is then replaced:
    a fresh random input x' is drawn for it, and :func:`modify_output` hands out the logits f(x')
    in the order of f(x). Random inputs are fair bits for tables, and for images whole numbers
    from 0 to 254, divided by 255, in every pixel and channel; both normalised as the data are.

    Guarantees:
        * harmless: answers keep the arg-max and the rank of every class, but for values that are
          equal among the random ones;
        * mute: what an answer says beyond the order of its classes does not depend on x;
        * neutral: with γ = 0 and α = 0 ("batch") training is the undefended one, bit for bit.

    Args:
        gamma: Share γ in [0, 1] of the largest entropy ln K that a label must have; 0 keeps the
            labels as they are.
        alpha: Weight α ≥ 0 of the entropy H(p), in nat.
        grid: Step of the grid of the label's probability; None, or 0, solves for it exactly.
        reduction: How the divergence is scaled. ``mean`` is the released code's, whose α and
            learning rate are the published ones. ``mean`` with α, learning rate η and weight
            decay λ trains as ``batch`` does with αK, η/K and λK.

    Raises:
        UserError: An argument is out of range.

    References:
        | Overconfidence is a Dangerous Thing: Mitigating Membership Inference Attacks by Enforcing
          Less Confident Prediction (Chen & Pattabiraman, 2024), https://arxiv.org/abs/2307.01610

    Differs from the released code, which averages the divergence over samples and classes
    (``mean``), and hands out logits by looking for equal values, so that tied classes all get the
    largest of their places; here ties are broken by class number, and a row keeps all its values.
    """
    _check_label(2, gamma, grid)
    if not 0 <= alpha < float("inf"):
        raise UserError(f"hamp needs a finite alpha >= 0, got {alpha}")
    if reduction not in ("batch", "mean"):
        raise UserError(f"hamp.reduction must be 'batch' or 'mean', got {reduction!r}")
    loss: LossHook | None = partial(_loss, gamma, alpha, grid, reduction)
    if not gamma and not alpha and reduction == "batch":
        loss = None
    return Defense(loss=loss, respond=_respond)


def soft_label(num_classes: int, gamma: float, grid: float | None = 0.01) -> float:
    r"""The probability p* of the true class in a label whose entropy reaches γ ln K.

    .. math:: H(p) = -p \ln p - (1 - p) \ln \frac{1 - p}{K - 1}

    H falls from ln K to 0 on [1/K, 1]. On a grid, p* is the first of 1 − g, 1 − 2g, … with
    H(p*) ≥ γ ln K, so that γ → 0 gives 1 − g; it is never below 1/K, which γ = 1 gives. Without
    a grid H(p*) = γ ln K: γ = 0 gives 1, γ = 1 gives 1/K.

    Args:
        num_classes: K ≥ 2.
        gamma: γ in [0, 1].
        grid: The step g in [1e-6, 1); None, or 0, solves exactly.

    Raises:
        UserError: An argument is out of range.
    """
    _check_label(num_classes, gamma, grid)
    low, high, least = 1 / num_classes, 1.0, gamma * log(num_classes)
    if grid:
        # rounding takes off what 1 - k * g gathers, so that 0.33 is the number 0.33
        points = (round(1 - k * grid, 12) for k in range(1, int((1 - low) / grid) + 1))
        return next((p for p in points if _entropy(p, num_classes) >= least), low)
    if gamma in (0, 1):
        return high if gamma == 0 else low
    for _ in range(60):
        middle = (low + high) / 2
        reached = _entropy(middle, num_classes) >= least
        low, high = (middle, high) if reached else (low, middle)
    return low


def soften(targets: torch.Tensor, peak: float) -> torch.Tensor:
    """One-hot ``targets (b, K)`` with ``peak`` on the label and the rest spread evenly.

    Mixtures of one-hot targets become the same mixtures of soft ones.
    """
    rest = (1 - peak) / (targets.shape[1] - 1)
    return rest + (peak - rest) * targets


def modify_output(logits: torch.Tensor, random_logits: torch.Tensor) -> torch.Tensor:
    """The values of ``random_logits`` in the order of ``logits``, row by row.

    Guarantees:
        * a row of the result holds exactly the values of that row of ``random_logits``;
        * the class of the j-th largest logit gets the j-th largest value. Of equal logits the
          lower class number gets the larger value, so that the arg-max is kept, unless the two
          largest values are equal.

    Args:
        logits: Shape ``(n, K)``.
        random_logits: Shape ``(n, K)``.

    Raises:
        UserError: The shapes differ, or are not of that form.
    """
    logits, random_logits = torch.as_tensor(logits), torch.as_tensor(random_logits)
    if logits.ndim != 2 or logits.shape != random_logits.shape:
        raise UserError(
            "modified output needs logits and random logits of one shape (n, K), got "
            f"{tuple(logits.shape)} and {tuple(random_logits.shape)}"
        )
    order = logits.argsort(dim=1, descending=True, stable=True)
    # NumPy sorts rows of a hundred numbers 15 times as fast as torch does on a CPU
    exact = random_logits.detach().cpu()
    if exact.dtype == torch.bfloat16:  # which NumPy does not know
        exact = exact.float()
    falling = np.ascontiguousarray(np.sort(exact.numpy(), axis=1)[:, ::-1])
    values = torch.from_numpy(falling).to(logits.device, random_logits.dtype)
    return torch.empty_like(values).scatter_(1, order, values)


def _check_label(num_classes: int, gamma: float, grid: float | None) -> None:
    if num_classes < 2 or not 0 <= gamma <= 1:
        raise UserError(
            "a soft label needs at least 2 classes and gamma in [0, 1], got "
            f"{num_classes} and {gamma}"
        )
    if grid and not FINEST <= grid < 1:
        raise UserError(
            f"a soft label needs a grid step in [{FINEST:g}, 1), or None (0 in a study) to be "
            f"exact; got {grid}"
        )


def _entropy(peak: float, num_classes: int) -> float:
    rest = 1 - peak
    spread = rest * log(rest / (num_classes - 1)) if rest > 0 else 0.0
    return -peak * log(peak) - spread


# asked for once a step of training, with the same arguments
_peak = lru_cache(soft_label)


def _loss(
    gamma: float,
    alpha: float,
    grid: float | None,
    reduction: str,
    logits: torch.Tensor,
    targets: torch.Tensor,
) -> torch.Tensor:
    classes = logits.shape[1]
    soft = soften(targets, _peak(classes, gamma, grid)) if gamma else targets
    log_p = logits.log_softmax(1)
    divergence = (torch.special.xlogy(soft, soft) - soft * log_p).sum(1)
    scaled = divergence / classes if reduction == "mean" else divergence
    return scaled + alpha * (log_p.exp() * log_p).sum(1)


def _respond(logits: torch.Tensor, query: Query) -> torch.Tensor:
    return modify_output(logits, query.forward(_random_inputs(query)))


def _random_inputs(query: Query) -> torch.Tensor:
    """Drawn on the CPU, so that they do not depend on the device."""
    shape = query.inputs.shape
    if len(shape) == 2:
        raw = torch.randint(2, shape, generator=query.rng).float()
    else:
        raw = torch.randint(255, shape, generator=query.rng).float() / 255
    wide = (1, -1) + (1,) * (len(shape) - 2)
    normalised = (raw - torch.tensor(query.mean).view(wide)) / torch.tensor(query.std).view(wide)
    return normalised.to(query.inputs)
