"""Knowledge-enriched distributional inversion: a Gaussian of latents for every label."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seepage.inversion.contract import Prior, Reconstructed, Regularizer, Target
from seepage.inversion.descent import Groups, Terms, check_asked, decoded, descend, penalty
from seepage.inversion.losses import Loss, identity
from seepage.inversion.settings import (
    Count,
    LogVariance,
    NonNegative,
    Positive,
    Whole,
    checked,
)
from seepage.inversion.students import distilled
from seepage.records import UserError


@checked
def ked_mi(
    target: Target,
    prior: Prior,
    labels: Tensor,
    n_per_label: int,
    regularizer: Regularizer | None,
    rng: torch.Generator,
    *,
    steps: Count = 400,
    learning_rate: Positive = 0.02,
    draws: Count = 8,
    identity_weight: float = 100.0,
    logvar_init: LogVariance = 0.0,
    loss: Loss = "cross_entropy",
    feature_weight: NonNegative = 1.0,
    students: Whole = 0,
    groups: Groups = "class",
) -> Reconstructed:
    r"""Fit :math:`z = \mu_y + e^{s_y / 2} \varepsilon` to every label *y*, and draw from it.

    .. math:: \min_{\mu, s} \; \sum_y \mathbb{E}_\varepsilon \bigl[
        \ln(1 + e^{-L(G(z))}) + \lambda\, \ell(T(G(z)), y) \bigr] + C \bar R, \qquad
        L(x) = \ln \sum_k e^{l_k(x)}

    *l* are the critic's outputs, one a class; that of a forgery is fixed to 0, so that the first
    term is −ln of the probability of a real image. The expectation is a mean over ``draws``,
    :math:`\bar R` that of the groups' penalties. Adam.

    Args:
        target: The model under attack.
        prior: Of kind ``inversion_gan``, trained for this very target.
        labels: Classes to show, shape ``(C,)``.
        n_per_label: Images drawn of each when all is fitted.
        regularizer: Weighted penalty of groups of images, or None.
        rng: Every ε comes from it.
        steps: Steps of the descent.
        learning_rate: Of Adam.
        draws: Latents of each label in a step.
        identity_weight: λ.
        logvar_init: What *s* = ln σ² starts from, in every coordinate; at most 100 either way.
        loss: ℓ: ``cross_entropy``, ``logit`` or ``max_margin``.
        feature_weight: For ``logit``, see :func:`seepage.inversion.losses.identity`.
        students: Copies of the target in another architecture that ℓ is averaged over as well.
        groups: ``class``: the draws of a label are a group; ``across``: one draw of every label
            is, as in released code.

    Returns:
        Trace ``identity``, ``prior`` (mean of the first term) and, with a regularizer,
        ``penalty``.

    Raises:
        UserError: A setting is out of range, the prior is of another kind, or the loss is not
            finite.

    References:
        | Knowledge-Enriched Distributional Model Inversion Attacks (Chen et al., 2021)
        | https://arxiv.org/abs/2010.04092

    Differs from released code, which draws one latent of a label in a step and starts *s* at 1 or
    at 0; what it cuts off at ±1 is a copy that nothing reads.
    """
    check_asked(target, labels, n_per_label)
    if prior.kind != "inversion_gan":
        raise UserError(
            "ked_mi needs a prior of kind 'inversion_gan', whose critic has an output a class, got "
            f"{prior.kind!r}. Train one for this target, or use gmi."
        )
    shown, device = len(labels), target.device
    wanted = labels.to(device).repeat_interleave(draws)
    means = torch.zeros(shown, prior.latent, device=device, requires_grad=True)
    log_variances = torch.full_like(means, logvar_init, requires_grad=True)
    taught = distilled(target, prior, students, rng)
    recognised = identity(
        target, prior, len(wanted), rng, loss=loss, feature_weight=feature_weight, students=taught
    )

    def drawn(count: int) -> Tensor:
        noise = prior.noise(shown * count, means, rng).unflatten(0, (shown, count))
        return (means[:, None] + (log_variances / 2).exp()[:, None] * noise).flatten(0, 1)

    def objective() -> tuple[Tensor, Terms]:
        latents = drawn(draws)
        images = prior.generator(latents)
        likeness, seen = recognised(images, wanted)
        unreal = nn.functional.softplus(-prior.critic(images)[1].logsumexp(1))
        extra = penalty(regularizer, images, latents, shown, groups)
        each = unreal.mean() + identity_weight * likeness.mean() + sum(extra.values())
        return shown * each, {"identity": seen, "prior": unreal.mean(), **extra}

    optimizer = torch.optim.Adam([means, log_variances], lr=learning_rate)
    trace = descend("ked_mi", optimizer, objective, steps)
    return decoded(prior, drawn(n_per_label).detach(), labels, trace)
