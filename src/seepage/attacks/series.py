"""Attacks that average one signal of the target over the rounds."""

from __future__ import annotations

import xarray as xr

from seepage.attacks.evidence import of_target


def loss_series(signals: xr.Dataset, target: int) -> xr.DataArray:
    r"""The negative loss of the target's uploaded models, averaged over the rounds.

    .. math:: s_j = \frac{1}{T}\sum_t -\ell(w_\mathrm{tar}^{t}; x_j, y_j)

    Args:
        signals: ``loss`` [nat] over ``sample`` and, where it varies, ``round`` and ``client``.
        target: Client asked about. Rounds it took no part in are left out.

    Returns:
        Score over ``sample``, higher for members, :math:`\le 0`.

    Raises:
        UserError: ``loss`` or the target is missing, or ``loss`` has gaps.

    References:
        | *Loss-Series* in FedMIA (Zhu et al., 2025), https://arxiv.org/abs/2402.06289

    Differs from the paper it is credited to: CS-MIA (Gu et al., 2022) trains an attack model on
    the series of confidences; this is the plain mean that FedMIA compares with.
    """
    return -of_target(signals, "loss", target).mean("round")


def avg_cosine(signals: xr.Dataset, target: int) -> xr.DataArray:
    r"""The cosine of a sample's gradient and the target's update, averaged over the rounds.

    .. math:: s_j = \frac{1}{T}\sum_t \cos(g_j^t, u_\mathrm{tar}^t)

    Args:
        signals: ``cosine`` over ``sample`` and, where it varies, ``round`` and ``client``.
        target: Client asked about. Rounds it took no part in are left out.

    Returns:
        Score over ``sample``, higher for members, in [-1, 1].

    Raises:
        UserError: ``cosine`` or the target is missing, or ``cosine`` has gaps.

    References:
        | Effective passive membership inference attacks in federated learning against
        | overparameterized models (Li, Li, Ribeiro, 2023), https://openreview.net/forum?id=QsCSLPP55Ku
    """
    return of_target(signals, "cosine", target).mean("round")
