"""Train on mixtures of two samples."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch

from seepage.protocols import Defense
from seepage.records import UserError


def mixup(*, alpha: float = 1.0) -> Defense:
    r"""Mix every sample of a batch, input and target, with another one.

    .. math:: x_i \mapsto \lambda x_i + (1 - \lambda) x_{\pi(i)}, \quad
        y_i \mapsto \lambda y_i + (1 - \lambda) y_{\pi(i)}, \qquad
        \lambda \sim \mathrm{Beta}(\alpha, \alpha)

    One λ and one permutation π a batch. Mixing with λ or with 1 − λ gives the same set of mixtures
    under the inverse permutation, so the larger of the two is used: for α → 0 the batch comes back
    as it was, bit for bit, rather than reordered. α = 0 is λ = 1.

    Args:
        alpha: α ≥ 0; larger mixes more evenly.

    Raises:
        UserError: ``alpha`` is negative or not finite.

    References:
        | mixup: Beyond Empirical Risk Minimization (Zhang et al., 2018)
        | https://arxiv.org/abs/1710.09412

    Differs from the FedMIA authors' released code, which mixes targets and leaves inputs as they
    are: that is ``label_mixup``.
    """
    return Defense(batch=partial(_mix, _checked(alpha)))


def label_mixup(*, alpha: float = 0.01) -> Defense:
    r"""Mix the targets of a batch, not its inputs.

    .. math:: y_i \mapsto \lambda y_i + (1 - \lambda) y_{\pi(i)}, \qquad
        \lambda \sim \mathrm{Beta}(\alpha, \alpha)

    For α → 0 about half of the batches train on shuffled labels: that hurts accuracy, and hides
    membership by spoiling the model. α = 0 is λ = 1, no defense bit for bit.

    Args:
        alpha: α ≥ 0.

    Raises:
        UserError: ``alpha`` is negative or not finite.

    References:
        | FedMIA (Zhu et al., 2025), https://arxiv.org/abs/2402.06289: what its authors' released
          code does under the name of mixup. The paper means ``mixup``.
    """
    return Defense(batch=partial(_mix_labels, _checked(alpha)))


def _checked(alpha: float) -> float:
    if not 0 <= alpha < float("inf"):
        raise UserError(f"mixup needs a finite alpha >= 0, got {alpha}")
    return alpha


def _draw(alpha: float, count: int, rng: torch.Generator) -> tuple[float, torch.Tensor]:
    """λ and π. Beta comes from NumPy, seeded by the one number drawn from ``rng``."""
    order = torch.randperm(count, generator=rng)
    number = int(torch.randint(2**62, (), generator=rng))
    return (float(np.random.default_rng(number).beta(alpha, alpha)) if alpha else 1.0), order


def _mix(
    alpha: float, inputs: torch.Tensor, targets: torch.Tensor, rng: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    share, order = _draw(alpha, len(inputs), rng)
    share = max(share, 1 - share)
    return _blend(inputs, order, share), _blend(targets, order, share)


def _mix_labels(
    alpha: float, inputs: torch.Tensor, targets: torch.Tensor, rng: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    share, order = _draw(alpha, len(inputs), rng)
    return inputs, _blend(targets, order, share)


def _blend(values: torch.Tensor, order: torch.Tensor, share: float) -> torch.Tensor:
    others = values.index_select(0, order.to(values.device))
    return torch.lerp(others, values, share)
