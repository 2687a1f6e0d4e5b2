"""Attacks on what any participant is given: the global models before and after a round.

They say whether the record is one of the others', and not whose: the target is not looked at. An
insider who knows its own part of the round takes it off, so the update is that of the others.
"""

from __future__ import annotations

import xarray as xr

from seepage.attacks.evidence import of_target


def global_loss_series(signals: xr.Dataset, target: int) -> xr.DataArray:
    r"""The negative loss of the global models, averaged over the rounds.

    .. math:: s_j = \frac{1}{T}\sum_t -\ell(w^{t+1}; x_j, y_j)

    Args:
        signals: ``global_loss`` [nat], of the model that each round ends with, over ``sample``
            and, where it varies, ``round``.
        target: Client asked about; the score is the same for all.

    Returns:
        Score over ``sample``, higher for members, :math:`\le 0`.

    Raises:
        UserError: ``global_loss`` is missing or has gaps, or there is no such client.

    References:
        | *Loss-Series* in FedMIA (Zhu et al., 2025), https://arxiv.org/abs/2402.06289, with the
        | global model in the place of a client's
    """
    return -of_target(signals, "global_loss", target).mean("round")


def global_update_cosine(signals: xr.Dataset, target: int) -> xr.DataArray:
    r"""The cosine of a record's gradient and the update of all the others, averaged over rounds.

    .. math:: s_j = \frac{1}{T}\sum_t \cos\Bigl(g_j^t, \sum_{k \notin A} \omega_k u_k^t\Bigr)

    with *A* the insider's own clients, whose part the insider takes off the global update.

    Args:
        signals: ``others_cosine`` over ``sample`` and, where it varies, ``round``.
        target: Client asked about; the score is the same for all.

    Returns:
        Score over ``sample``, higher for members, in [-1, 1].

    Raises:
        UserError: ``others_cosine`` is missing or has gaps, or there is no such client.

    References:
        | Effective passive membership inference attacks in federated learning against
        | overparameterized models (Li, Li, Ribeiro, 2023), https://openreview.net/forum?id=QsCSLPP55Ku
        | with the others' mean update in the place of a client's
    """
    return of_target(signals, "others_cosine", target).mean("round")
