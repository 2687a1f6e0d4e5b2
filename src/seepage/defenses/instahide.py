"""Train on mixtures of several samples, with the signs of their pixels drawn anew."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from seepage.protocols import Defense
from seepage.records import UserError


def instahide(*, k: int = 4, bound: float = 0.65) -> Defense:
    r"""Mix every sample of a batch with k − 1 others and give every pixel a random sign.

    .. math:: x_i \mapsto \sigma_i \circ \sum_{j=1}^{k} \lambda_{ij} x_{\pi_j(i)}, \quad
        y_i \mapsto \sum_{j=1}^{k} \lambda_{ij} y_{\pi_j(i)}

    with π₁ the identity, π₂ … π_k permutations of the batch, σ a sign ±1 for every pixel of every
    sample, and coefficients

    .. math:: \lambda_{ij} = |z_{ij}| \Big/ \sum_l |z_{il}|, \quad z_{ij} \sim \mathcal N(0, 1)
        \quad\text{given}\quad \max_j \lambda_{ij} \le c

    All are drawn anew for every batch. A sample's own coefficient need not be its largest.
    Permutations are drawn one by one, as in the authors' released code: now and then they lead to
    the same sample, and then its coefficients add up. So a batch of fewer than k samples is mixed
    from what is there, and a sample alone in its batch only gets its signs.

    With k = 1 nothing is mixed and the signs stay, whatever the bound. No strength of this defense
    is no defense.

    Args:
        k: Samples in a mixture, ≥ 1.
        bound: Largest coefficient c, at most 1. The least is 0.65 or 2/k, whichever is smaller:
            below, nearly all draws would have to be thrown away.

    Raises:
        UserError: ``k`` or ``bound`` is out of range.

    References:
        | InstaHide: Instance-hiding Schemes for Private Distributed Learning (Huang et al., 2020),
          https://arxiv.org/abs/2010.02772; the variant that mixes within one data set
        | Is Private Learning Possible with Instance Encoding? (Carlini et al., 2021),
          https://arxiv.org/abs/2011.05315, which recovers images from such mixtures

    Differs from the paper's released code, which mixes all training samples once an epoch and cuts
    batches from the mixtures: we mix within each batch, as it is trained on. The released code of
    FedMIA (Zhu et al., 2025) draws new signs after each of the k − 1 additions, makes a client's
    whole data one batch and needs clients of equal size: we draw signs once, as the paper does,
    and take clients of any size. Signals and test accuracy are of plain samples, without signs.
    """
    if k < 1:
        raise UserError(f"instahide needs k of at least 1, got {k}")
    least = min(0.65, 2 / k)
    if k > 1 and not least <= bound <= 1:
        raise UserError(f"instahide with k = {k} needs bound in [{least:.3g}, 1], got {bound}")
    return Defense(batch=partial(_hide, k, bound))


def _hide(
    k: int, bound: float, inputs: Tensor, targets: Tensor, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    count = len(inputs)
    shares = coefficients(k, bound, count, rng).to(inputs)
    orders = [torch.randperm(count, generator=rng).to(inputs.device) for _ in range(k - 1)]
    signs = torch.randint(2, inputs.shape, generator=rng, dtype=torch.int8).to(inputs) * 2 - 1
    return _mixed(inputs, shares, orders) * signs, _mixed(targets, shares, orders)


def coefficients(k: int, bound: float, count: int, rng: torch.Generator) -> Tensor:
    """``count`` rows of k coefficients that sum to 1, none above ``bound``, shape ``(count, k)``.

    Many rows are drawn at once, and the first that keep the bound are taken: the same law as
    drawing each row again until it does.
    """
    kept = torch.ones(count if k == 1 else 0, k)
    while len(kept) < count:
        sizes = torch.randn(4 * count, k, generator=rng).abs()
        rows = sizes / sizes.sum(1, keepdim=True)
        kept = torch.cat([kept, rows[rows.amax(1) <= bound]])
    return kept[:count]


def _mixed(values: Tensor, shares: Tensor, orders: list[Tensor]) -> Tensor:
    own, *others = shares.to(values.dtype).view(*shares.shape, *[1] * (values.dim() - 1)).unbind(1)
    mixture = own * values
    for share, order in zip(others, orders, strict=True):
        mixture += share * values[order]
    return mixture
