"""Source inference (Hu et al., 2021): of all clients, whose model knows the record best?"""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy.special import logsumexp

from seepage.attacks.evidence import of_everyone
from seepage.records import UserError


def source_inference(signals: xr.Dataset, target: int) -> xr.DataArray:
    r"""The log posterior that the target is the record's source, averaged over the rounds.

    That of :func:`log_posterior`, at the target.

    Args:
        signals: ``loss`` [nat] of each client's upload, over ``sample``, ``client`` and, where it
            varies, ``round``.
        target: Client asked about.

    Returns:
        Score over ``sample`` [nat], higher for members, :math:`\le 0`.

    Raises:
        UserError: ``loss``, the target or the ``client`` dim is missing, ``loss`` has gaps, or in
            no round did the target and another client take part.

    References:
        | Source inference attacks in federated learning (Hu et al., 2021),
        | https://arxiv.org/abs/2109.05659
    """
    return _at(log_posterior(signals, target), target)


def log_posterior(signals: xr.Dataset, target: int | None = None) -> xr.DataArray:
    r"""The log posterior of each client to be the record's source, averaged over the rounds.

    With a law of parameters :math:`p(w_k \mid z) \propto e^{-\ell(w_k; z)}` for who trained on
    *z*, and every client as likely beforehand,

    .. math:: \log p_k^t(x_j) = -\ell(w_k^t; x_j, y_j)
        - \log\sum_i e^{-\ell(w_i^t; x_j, y_j)}

    over the clients that took part in round *t*; each client's mean is over its own rounds.

    Args:
        signals: ``loss`` [nat] over ``sample``, ``client`` and, where it varies, ``round``.
        target: Client that has to be there, if any.

    Returns:
        Dims ``client, sample`` [nat], :math:`\le 0`, of the clients that took part in a round with
        another one.

    Raises:
        UserError: ``loss``, the target or the ``client`` dim is missing, ``loss`` has gaps, or no
            round has two clients.

    References:
        | Source inference attacks in federated learning (Hu et al., 2021),
        | https://arxiv.org/abs/2109.05659

    Differs from the paper: it takes one client at a time against nobody, a sigmoid of the loss
    against a threshold; since one of the clients is the source, ours is over all of them, with its
    temperature at 1. Which client is likeliest is the same in a round, that of lowest loss, as in
    the released code, and so it is in the mean where all take part in every round. The paper and
    its code look at one round at a time.
    """
    loss = of_everyone(signals, "loss", target).astype(np.float64)
    took_part = loss.isel(sample=0).notnull()
    compared = took_part.sum("client") > 1
    if not compared.any():
        raise UserError(
            "signal 'loss': in no observed round did two clients take part, so there is nobody to "
            "tell a source from. Observe more rounds, or let more clients take part."
        )
    there = (took_part & compared).any("round")
    loss = loss.isel(round=compared.to_numpy(), client=there.to_numpy())
    all_of_them = loss.copy(
        data=np.broadcast_to(
            logsumexp(-loss.fillna(np.inf).to_numpy(), axis=1, keepdims=True), loss.shape
        )
    )
    return (-loss - all_of_them).mean("round")


def is_likeliest(signals: xr.Dataset, target: int) -> xr.DataArray:
    """Whether the target is likelier to be the source than any other client.

    Args:
        signals: As for :func:`source_inference`.
        target: Client asked about.

    Returns:
        Bool, over ``sample``. A record that two clients are equally likely to be the source of is
        nobody's.

    Raises:
        UserError: As for :func:`source_inference`.
    """
    found = log_posterior(signals, target)
    return _at(found, target) > found.drop_sel(client=target).max("client")


def _at(found: xr.DataArray, target: int) -> xr.DataArray:
    if target not in found.get_index("client"):
        raise UserError(
            f"signal 'loss': in no observed round did client {target} and another one take part. "
            "Choose another target, or observe more rounds."
        )
    return found.sel(client=target, drop=True)
