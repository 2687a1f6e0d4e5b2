"""Generative model inversion: latents are moved until the target names their images."""

from __future__ import annotations

import torch
from torch import Tensor

from seepage.inversion.contract import Prior, Reconstructed, Regularizer, Target
from seepage.inversion.descent import Groups, Terms, check_asked, decoded, descend, penalty
from seepage.inversion.losses import Loss, identity
from seepage.inversion.settings import Count, NonNegative, Positive, Whole, checked
from seepage.inversion.students import distilled
from seepage.records import UserError

MOMENTUM = 0.9


@checked
def gmi(
    target: Target,
    prior: Prior,
    labels: Tensor,
    n_per_label: int,
    regularizer: Regularizer | None,
    rng: torch.Generator,
    *,
    steps: Count = 300,
    learning_rate: Positive = 1e-3,
    identity_weight: float = 100.0,
    clamp: Positive | None = 1.0,
    loss: Loss = "cross_entropy",
    feature_weight: NonNegative = 1.0,
    students: Whole = 0,
    groups: Groups = "class",
) -> Reconstructed:
    r"""Move every latent down the sum of what a critic and the target say of its image.

    .. math:: \sum_i \bigl[ -D(G(z_i)) + \lambda\, \ell(T(G(z_i)), y_i) \bigr] + b \sum_g R_g,
        \qquad v \leftarrow 0.9\, v - \eta \nabla, \quad z \leftarrow z + 0.9\, v - \eta \nabla

    from :math:`z_i \sim N(0, I)`, with Nesterov's momentum; after every step each coordinate is
    cut off at ± ``clamp``. *b* is the images of a group, so that each group descends *b* times
    (its mean loss + its penalty *R*).

    Guarantees:
        * without a regularizer an image does not depend on the others of its call, up to rounding;
        * the target and the prior are as they were.

    Args:
        target: The model under attack.
        prior: With a critic of one score: of kind ``wgan`` or ``dcgan``.
        labels: Classes to show, shape ``(C,)``.
        n_per_label: Restarts *n* of each; all are given back, none is chosen.
        regularizer: Weighted penalty of groups of images, or None.
        rng: Where the latents start.
        steps: Steps of the descent.
        learning_rate: η of one image alone.
        identity_weight: λ.
        clamp: Bound of a latent's coordinates, > 0; None for none.
        loss: ℓ: ``cross_entropy``, ``logit`` or ``max_margin``.
        feature_weight: For ``logit``, see :func:`seepage.inversion.losses.identity`.
        students: Copies of the target in another architecture that ℓ is averaged over as well.
        groups: ``class``: the *n* images of a label are a group; ``across``: one image of every
            label is, as in released code.

    Returns:
        Trace ``identity``, ``prior`` (mean of −D) and, with a regularizer, ``penalty``.

    Raises:
        UserError: A setting is out of range, the prior's critic is of another kind, or the loss
            is not finite.

    References:
        | The Secret Revealer: Generative Model-Inversion Attacks Against Deep Neural Networks
        | (Zhang et al., 2020), https://arxiv.org/abs/1911.07135

    Differs from released code, which takes the mean over a batch of 60 or 5 labels with a step of
    0.02 or 0.01: its step for one image is that divided by the batch, 0.0003 to 0.002. Here the
    loss is a sum, so that a step does not depend on the batch.
    """
    check_asked(target, labels, n_per_label)
    if prior.kind == "inversion_gan":
        raise UserError(
            "gmi needs a prior whose critic gives one score ('wgan' or 'dcgan'), got "
            "'inversion_gan'. Train one of those, or use ked_mi."
        )
    wanted = labels.to(target.device).repeat_interleave(n_per_label)
    latents = prior.noise(len(wanted), torch.empty(0, device=target.device), rng)
    latents.requires_grad_()
    taught = distilled(target, prior, students, rng)
    recognised = identity(
        target, prior, len(wanted), rng, loss=loss, feature_weight=feature_weight, students=taught
    )

    def objective() -> tuple[Tensor, Terms]:
        images = prior.generator(latents)
        likeness, seen = recognised(images, wanted)
        unreal = -prior.critic(images)
        extra = penalty(regularizer, images, latents, len(labels), groups)
        each = (unreal + identity_weight * likeness).mean() + sum(extra.values())
        return len(wanted) * each, {"identity": seen, "prior": unreal.mean(), **extra}

    def cut_off() -> None:
        if clamp is not None:
            latents.clamp_(-clamp, clamp)

    optimizer = torch.optim.SGD([latents], lr=learning_rate, momentum=MOMENTUM, nesterov=True)
    trace = descend("gmi", optimizer, objective, steps, cut_off)
    return decoded(prior, latents, labels, trace)
