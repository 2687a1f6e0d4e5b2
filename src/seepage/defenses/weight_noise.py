"""Gaussian noise on every weight a client sends, without clipping."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from seepage.defenses.perturbation import add_noise
from seepage.protocols import Defense
from seepage.records import UserError

if TYPE_CHECKING:
    from seepage.protocols import Turn
    from seepage.records import State


def weight_noise(*, sigma: float = 0.1) -> Defense:
    r"""Add noise to a client's model after local training.

    .. math:: \theta_k \mapsto \theta_k + \mathcal N(0, \sigma^2 I)

    Nothing bounds the change, so no differential privacy follows. With ``sigma = 0`` the model is
    sent as it is, bit for bit.

    Args:
        sigma: Deviation σ ≥ 0 in parameter units.

    Raises:
        UserError: ``sigma`` is negative or not finite.

    References:
        | FedMIA (Zhu et al., 2025), https://arxiv.org/abs/2402.06289

    Differs from the paper, which states clipping and noise (``perturbation``): this is what its
    authors' released code does under that name.
    """
    if not 0 <= sigma < float("inf"):
        raise UserError(f"weight_noise needs a finite sigma >= 0, got {sigma}")
    return Defense(update=partial(_noise, sigma))


def _noise(sigma: float, change: State, turn: Turn) -> State:
    return add_noise(change, sigma, turn.rng)
