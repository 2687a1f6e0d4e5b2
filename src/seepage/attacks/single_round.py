"""Attacks that read one signal of the target in one round.

The round is fixed beforehand: the last observed one that the target took part in. The released
code of FedMIA reports the round where each attack was best, which needs the answers.
"""

from __future__ import annotations

import xarray as xr

from seepage.attacks.evidence import of_target


def blackbox_loss(signals: xr.Dataset, target: int) -> xr.DataArray:
    r"""The negative loss of the target's uploaded model in the last round.

    .. math:: s_j = -\ell(w_\mathrm{tar}^{t}; x_j, y_j)

    Args:
        signals: ``loss`` [nat] over ``sample`` and, where it varies, ``round`` and ``client``.
        target: Client asked about.

    Returns:
        Score over ``sample``, higher for members, :math:`\le 0`.

    Raises:
        UserError: ``loss`` or the target is missing, or ``loss`` has gaps.

    References:
        | Privacy Risk in Machine Learning: Analyzing the Connection to Overfitting (Yeom et al.,
        | 2018), https://arxiv.org/abs/1709.01604; *Blackbox-Loss* in FedMIA (Zhu et al., 2025)
    """
    return -_last(signals, "loss", target)


def grad_cosine(signals: xr.Dataset, target: int) -> xr.DataArray:
    r"""The cosine of a sample's gradient and the target's update in the last round.

    .. math:: s_j = \frac{\langle g_j, u_\mathrm{tar}\rangle}{\lVert g_j\rVert
        \lVert u_\mathrm{tar}\rVert},\qquad u_k = w - w_k

    Args:
        signals: ``cosine`` over ``sample`` and, where it varies, ``round`` and ``client``.
        target: Client asked about.

    Returns:
        Score over ``sample``, higher for members, in [-1, 1].

    Raises:
        UserError: ``cosine`` or the target is missing, or ``cosine`` has gaps.

    References:
        | Effective passive membership inference attacks in federated learning against
        | overparameterized models (Li, Li, Ribeiro, 2023), https://openreview.net/forum?id=QsCSLPP55Ku
    """
    return _last(signals, "cosine", target)


def grad_norm(signals: xr.Dataset, target: int) -> xr.DataArray:
    r"""The negative squared norm of a sample's gradient at the global model, in the last round.

    .. math:: s_j = -\lVert g_j\rVert^2

    It does not depend on the target: with several targets it finds members of any of them.

    Args:
        signals: ``squared_gradient_norm`` over ``sample`` and, where it varies, ``round``.
        target: Client asked about.

    Returns:
        Score over ``sample``, higher for members, :math:`\le 0`.

    Raises:
        UserError: The signal or the target is missing, or the signal has gaps.

    References:
        | Comprehensive Privacy Analysis of Deep Learning (Nasr, Shokri, Houmansadr, 2019)
        | https://arxiv.org/abs/1812.00910; *Grad-Norm* in FedMIA (Zhu et al., 2025)
    """
    return -_last(signals, "squared_gradient_norm", target)


def grad_diff(signals: xr.Dataset, target: int) -> xr.DataArray:
    r"""How much subtracting a sample's gradient shortens the target's update, in the last round.

    .. math:: s_j = \lVert u_\mathrm{tar}\rVert^2 - \lVert u_\mathrm{tar} - g_j\rVert^2
        = 2\langle u_\mathrm{tar}, g_j\rangle - \lVert g_j\rVert^2

    The update holds the learning rate and the gradient does not, so where updates are short the
    score is mostly :math:`-\lVert g_j\rVert^2`.

    Args:
        signals: ``gradient_difference`` over ``sample`` and, where it varies, ``round`` and
            ``client``.
        target: Client asked about.

    Returns:
        Score over ``sample``, higher for members.

    Raises:
        UserError: The signal or the target is missing, or the signal has gaps.

    References:
        | Effective passive membership inference attacks in federated learning against
        | overparameterized models (Li, Li, Ribeiro, 2023), https://openreview.net/forum?id=QsCSLPP55Ku
    """
    return _last(signals, "gradient_difference", target)


def _last(signals: xr.Dataset, name: str, target: int) -> xr.DataArray:
    return of_target(signals, name, target).isel(round=-1, drop=True)
