"""FedMIA (Zhu et al., CVPR 2025): the other clients as models that did not see the sample."""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy.special import ndtr

from seepage.attacks.evidence import of_clients

VARIANCE_FLOOR = 1e-8
"""Added to every variance, as in the released code; it matters for cosines of small spread."""

INERT_UP_TO = 9
"""Among n values none is more than sqrt(n - 1) deviations above their mean: 2.83 for n = 9."""


def fedmia_loss(signals: xr.Dataset, target: int) -> xr.DataArray:
    r"""FedMIA-I: is the target's loss below what the other clients' models give?

    The measure is :math:`M_k^t = -\ell(w_k^t; x_j, y_j)`; the score is that of
    :func:`cross_client`.

    Args:
        signals: ``loss`` [nat] over ``sample``, ``client`` and, where it varies, ``round``.
        target: Client asked about.

    Returns:
        Score over ``sample``, higher for members, in [0, 1]. It is not a p-value.

    Raises:
        UserError: ``loss``, the target or the ``client`` dim is missing, ``loss`` has gaps, or
            there are fewer than two other clients.

    References:
        | FedMIA (Zhu et al., 2025), eqs. 4 to 12, https://arxiv.org/abs/2402.06289
    """
    return cross_client(-of_clients(signals, "loss", target), target)


def fedmia_cosine(signals: xr.Dataset, target: int) -> xr.DataArray:
    r"""FedMIA-II: is the target's update more aligned with the sample's gradient than the others'?

    The measure is :math:`M_k^t = \cos(g_j^t, u_k^t)`; the score is that of :func:`cross_client`.

    Args:
        signals: ``cosine`` over ``sample``, ``client`` and, where it varies, ``round``.
        target: Client asked about.

    Returns:
        Score over ``sample``, higher for members, in [0, 1]. It is not a p-value.

    Raises:
        UserError: ``cosine``, the target or the ``client`` dim is missing, ``cosine`` has gaps,
            or there are fewer than two other clients.

    References:
        | FedMIA (Zhu et al., 2025), eqs. 4 to 12, https://arxiv.org/abs/2402.06289
    """
    return cross_client(of_clients(signals, "cosine", target), target)


def cross_client(measure: xr.DataArray, target: int) -> xr.DataArray:
    r"""Where the target stands in the normal law of the others, averaged over the rounds.

    .. math:: s_j = \frac{1}{T}\sum_t \Phi\!\left(\frac{M_\mathrm{tar}^t - \mu^t}
        {\sqrt{v^t + 10^{-8}}}\right)

    with mean :math:`\mu` and population variance :math:`v` (divisor: the number of values) over
    the other clients that :func:`below_three_deviations` keeps, for each sample and round.

    Guarantees:
        * a target at the mean of the others scores 0.5;
        * adding a number to all clients in a round changes nothing, nor does renaming the others.

    Args:
        measure: Every client's measure, higher for members, dims ``round, client, sample``; NaN
            for a client that took no part in a round, which is then left out of it.
        target: Client asked about.

    Returns:
        Score over ``sample``, in [0, 1].

    Differs from the paper: the variance floor is the released code's. Differs from the released
    code: it filters for non-IID data and cosines only; the paper states the filter without
    conditions, and so do we.
    """
    own = measure.sel(client=target, drop=True)
    kept = below_three_deviations(measure.drop_sel(client=target))
    spread = np.sqrt(kept.var("client") + VARIANCE_FLOOR)
    return xr.apply_ufunc(ndtr, (own - kept.mean("client")) / spread).mean("round")


def below_three_deviations(others: xr.DataArray) -> xr.DataArray:
    r"""``others`` with NaN in place of values at or above :math:`\mu + 3\sigma` over ``client``.

    One of the other clients may own the sample; the paper's filter is meant to leave it out. The
    deviation is the population's, so it cannot fire for nine others or fewer: a value among *n*
    is at most :math:`\sqrt{n-1}` deviations above their mean, 2.83 for *n* = 9, exactly 3 in
    the limit for *n* = 10, 3.16 for *n* = 11. Where all values are equal none is strictly below
    the bound; the smallest value is always kept.
    """
    if others.sizes["client"] <= INERT_UP_TO:
        return others
    bound = others.mean("client") + 3 * others.std("client")
    return others.where((others < bound) | (others <= others.min("client")))
