"""Train towards labels that are not quite certain."""

from __future__ import annotations

from functools import partial

import torch
from torch.nn.functional import cross_entropy

from seepage.defenses.hamp import soften
from seepage.protocols import Defense
from seepage.records import UserError


def label_smoothing(*, smoothing: float) -> Defense:
    r"""Cross-entropy with a part of every label spread evenly over the other classes.

    .. math:: t_y = 1 - s, \quad t_k = \frac{s}{K - 1}\ (k \neq y), \qquad
        \ell = -\sum_k t_k \ln p_k

    It is the training part of ``hamp`` at p* = 1 − s with α = 0, up to the entropy of t. With
    s = 0 it is plain cross-entropy, bit for bit. Targets that are mixtures are smoothed as the
    same mixture.

    Args:
        smoothing: s in [0, 1), at most 1 − 1/K: beyond, the label would be the least likely class.

    Raises:
        UserError: ``smoothing`` is out of range; where it is too large for the number of classes,
            in the first step of training.

    References:
        | Overconfidence is a Dangerous Thing (Chen & Pattabiraman, 2024),
          https://arxiv.org/abs/2307.01610, where it is a competing defense
        | Rethinking the Inception Architecture for Computer Vision (Szegedy et al., 2016)
        | https://arxiv.org/abs/1512.00567

    Differs from Szegedy et al., who spread ε over all classes, the true one too:
    s = ε (K − 1) / K there.
    """
    if not 0 <= smoothing < 1:
        raise UserError(f"label_smoothing needs smoothing in [0, 1), got {smoothing}")
    return Defense(loss=partial(_loss, smoothing) if smoothing else None)


def _loss(smoothing: float, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    classes = logits.shape[1]
    if smoothing > 1 - 1 / classes:
        raise UserError(
            f"label_smoothing needs smoothing of at most 1 - 1/{classes} with {classes} classes, "
            f"got {smoothing}"
        )
    return cross_entropy(logits, soften(targets, 1 - smoothing), reduction="none")
