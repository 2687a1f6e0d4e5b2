"""Variational model inversion: the posterior of latents, given that an image is of a label."""

from __future__ import annotations

import torch
from torch import Tensor

from seepage.inversion.contract import Prior, Reconstructed, Regularizer, Target
from seepage.inversion.descent import Terms, check_asked, decoded, descend, penalty
from seepage.inversion.families import FAMILIES, Family, Name
from seepage.inversion.losses import identity
from seepage.inversion.settings import Count, NonNegative, Positive, checked


@checked
def vmi(
    target: Target,
    prior: Prior,
    labels: Tensor,
    n_per_label: int,
    regularizer: Regularizer | None,
    rng: torch.Generator,
    *,
    family: Name = "flow",
    steps: Count = 300,
    learning_rate: Positive = 0.01,
    batch: Count = 32,
    gamma: NonNegative = 1e-3,
) -> Reconstructed:
    r"""Fit a distribution :math:`q_y` of latents to every label *y*, and draw from it.

    .. math:: \min_q \; \sum_y \bigl\{ \mathbb{E}_{z \sim q_y}[-\ln p_T(y \mid G(z))]
        + \gamma\, \mathrm{KL}(q_y \| N(0, I)) + R_y \bigr\}

    The best *q* of all is the power posterior :math:`q_y(z) \propto N(z)\, p_T(y \mid
    G(z))^{1/\gamma}`: Bayes' rule for γ = 1; a smaller γ trusts the target more than the prior.
    The expectation is a mean over ``batch`` latents, drawn anew in every step. Adam.

    Args:
        target: The model under attack.
        prior: Of any kind; its critic is not asked.
        labels: Classes to show, shape ``(C,)``.
        n_per_label: Images drawn of each when all is fitted.
        regularizer: Weighted penalty *R* of the images of a label, or None.
        rng: Every draw comes from it.
        family: ``flow``, ``gaussian`` with a full covariance, or ``mixture`` of five such; see
            :mod:`seepage.inversion.families`.
        steps: Steps of the descent.
        learning_rate: Of Adam.
        batch: Latents of each label in a step.
        gamma: γ, >= 0.

    Returns:
        Trace ``identity``, ``prior`` (mean KL in nats, not yet times γ) and, with a regularizer,
        ``penalty``.

    Raises:
        UserError: A setting is out of range, there is no such family, or the loss is not finite.

    References:
        | Variational Model Inversion Attacks (Wang et al., 2021), https://arxiv.org/abs/2201.10787

    Differs from the paper, which takes some ten thousand steps of SGD at 1e-4 with momentum and
    fits one label after another. Released code for federations gives back the epoch that the
    evaluator likes best; here it is the last.
    """
    check_asked(target, labels, n_per_label)
    shown, device = len(labels), target.device
    posterior: Family = FAMILIES[family](shown, prior.latent, rng, device)
    wanted = labels.to(device).repeat_interleave(batch)
    recognised = identity(target, prior, len(wanted), rng)

    def objective() -> tuple[Tensor, Terms]:
        by_label, divergence = posterior.draw(batch, rng)
        latents = by_label.flatten(0, 1)
        images = prior.generator(latents)
        likeness, seen = recognised(images, wanted)
        extra = penalty(regularizer, images, latents, shown, "class")
        each = likeness.mean() + gamma * divergence.mean() + sum(extra.values())
        return shown * each, {"identity": seen, "prior": divergence.mean(), **extra}

    optimizer = torch.optim.Adam(posterior.parameters, lr=learning_rate)
    trace = descend("vmi", optimizer, objective, steps)
    with torch.no_grad():
        latents = posterior.draw(n_per_label, rng)[0].flatten(0, 1)
    return decoded(prior, latents, labels, trace)
