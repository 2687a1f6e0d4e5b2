"""Train through a narrow, noisy code of the features."""

from __future__ import annotations

import copy
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, softplus

from seepage.protocols import Defense
from seepage.records import UserError

if TYPE_CHECKING:
    from seepage.protocols import Pass

SHIFT = 5.0
"""Taken from a deviation before softplus: a new code has hardly any noise."""


TINY = -20.0
"""Below it ln softplus(t) is t in single precision, and long before softplus(t) is 0."""


class Bottleneck(nn.Module):
    r"""Features h become a code u, of a mean and a deviation that are linear in h.

    .. math:: (\mu, s) = W h + b, \qquad \sigma = \mathrm{softplus}(s - 5), \qquad
        u = \mu + \sigma \odot \varepsilon, \quad \varepsilon \sim \mathcal N(0, I)

    The noise is drawn in training alone, from torch's own generator; in evaluation u = μ.

    Args:
        features: Length of h.
        width: Length k of the code.
    """

    draws = True
    """Models with it cannot be stacked."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.encoder = nn.Linear(features, 2 * width)

    def forward(self, features: Tensor) -> Tensor:
        mean, deviation = code_of(self.encoder(features))
        return mean + deviation * torch.randn_like(mean) if self.training else mean


def mid(*, beta: float, width: int | None = None) -> Defense:
    r"""Cross-entropy through a bottleneck before the last layer, and what the code says of inputs.

    .. math:: \ell = -\sum_k y_k \ln p_k(u) + \beta\,
        \Bigl[-\tfrac12 \sum_{j=1}^{k} (1 + 2 \ln \sigma_j - \mu_j^2 - \sigma_j^2)\Bigr]

    with the code u = μ + σε of :class:`Bottleneck`. The bracket is the Kullback-Leibler divergence,
    in nats, of the code's distribution from a standard normal one; its mean over records bounds the
    mutual information of input and code, and so of input and prediction, from above. With β = 0 it
    is no defense, bit for bit: there is no bottleneck either.

    The hook ``model`` puts the bottleneck before the model's last ``nn.Linear`` in order of
    registration, which must be what gives the logits, and makes that layer anew for k features.
    Layers before it keep their weights.

    Args:
        beta: β >= 0.
        width: k >= 1; None takes half the features.

    Raises:
        UserError: ``beta`` or ``width`` is out of range, or the model has no linear layer.

    References:
        | Improving Robustness to Model Inversion Attacks via Mutual Information Regularization
          (Wang et al., 2021), https://arxiv.org/abs/2009.05241
        | Deep Variational Information Bottleneck (Alemi et al., 2017)
        | FedInverse (Wu et al., 2024), https://openreview.net/forum?id=nTNgkEIfeb

    Differs from the released code, which draws the noise in evaluation too. Here the same question
    gets the same answer: an adversary who holds the weights reads μ off them, and one who asks
    takes the mean of answers. The code of FedInverse calls another defense by this name, see
    ``mid_kernel``.
    """
    if not 0 <= beta < float("inf"):
        raise UserError(f"mid needs beta >= 0, got {beta}")
    if width is not None and width < 1:
        raise UserError(f"mid needs a width of at least 1, got {width}")
    if not beta:
        return Defense()
    return Defense(model=partial(_narrowed, width), inside=partial(_loss, beta), reads=_encoders)


def code_of(encoded: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of the code, of what a bottleneck's ``encoder`` gives."""
    mean, raw = encoded.chunk(2, -1)
    return mean, softplus(raw - SHIFT)


def divergence(mean: Tensor, deviation: Tensor, log: Tensor | None = None) -> Tensor:
    """Nats from a standard normal distribution, of each row: >= 0, and 0 at mean 0, deviation 1.

    Args:
        mean: Of each number of a code, shape ``(n, k)``.
        deviation: Likewise, > 0.
        log: Its logarithm; with it a deviation may be 0 by rounding.
    """
    log = deviation.log() if log is None else log
    return -0.5 * (1 + 2 * log - mean.square() - deviation.square()).sum(-1)


def _loss(beta: float, passed: Pass, targets: Tensor) -> Tensor:
    (encoded,) = passed.hidden.values()
    mean, deviation = code_of(encoded)
    shifted = encoded.chunk(2, -1)[1] - SHIFT
    tiny = shifted < TINY
    log = torch.where(tiny, shifted, torch.where(tiny, 1, deviation).log())
    entropy = cross_entropy(passed.logits, targets, reduction="none")
    return entropy + beta * divergence(mean, deviation, log)


def _narrowed(width: int | None, model: nn.Module) -> nn.Module:
    """A copy of the model with a bottleneck before its last linear layer."""
    model = copy.deepcopy(model)
    linear = [(name, part) for name, part in model.named_modules() if isinstance(part, nn.Linear)]
    if not linear:
        raise UserError(
            "mid puts a bottleneck before the last linear layer of a model, and this one has no "
            "linear layer. Choose a model that ends in one."
        )
    name, last = linear[-1]
    code = width or max(last.in_features // 2, 1)
    narrow = nn.Sequential(
        Bottleneck(last.in_features, code),
        nn.Linear(code, last.out_features, bias=last.bias is not None),
    )
    if not name:
        return narrow
    parent, _, own = name.rpartition(".")
    setattr(model.get_submodule(parent), own, narrow)
    return model


def _encoders(model: nn.Module) -> tuple[str, ...]:
    found = [name for name, part in model.named_modules() if isinstance(part, Bottleneck)]
    if len(found) != 1:
        raise UserError(
            f"mid reads the code of one bottleneck, and the model has {len(found)}: train the "
            "model that the defense's hook `model` returns."
        )
    return (f"{found[0]}.encoder" if found[0] else "encoder",)
