"""Sums of rounds taken apart by who took part in which (Lam et al., 2021)."""

from __future__ import annotations

import numpy as np
import xarray as xr

from seepage.attacks.evidence import named, of_target
from seepage.records import FloatArray, UserError

NOT_TOLD = 1e-8
"""What the rounds miss of a contrast is rounding up to this share of its length."""


def unmixed_cosine(signals: xr.Dataset, target: int) -> xr.DataArray:
    r"""How much more a record's gradient has in common with the target's updates than with others'.

    A participant sees the sum of the others' updates in each round. Where different clients take
    part in different rounds, and the participant knows which, the sums can be taken apart:

    .. math:: m_j^t = \Bigl\langle \tfrac{g_j^t}{\lVert g_j^t\rVert},
        \sum_k \omega_k^t u_k^t \Bigr\rangle = \sum_k \omega_k^t\, b_{kj} + \text{noise}

    with :math:`b_{kj}` the mean over rounds of the projection on client *k*'s update. Least squares
    over the rounds gives :math:`\hat b`, and the score is the target's, less the mean of the
    others':

    .. math:: s_j = \hat b_{\mathrm{tar},j} - \frac{1}{K-1} \sum_{k \ne \mathrm{tar}} \hat b_{kj}

    The difference, because what all clients have in common is not the target's. Where the rounds
    cannot tell all :math:`b_k` but can tell this difference, it is that of every least-squares
    solution.

    Guarantees:
        * exact: where the :math:`b_k` are the same in every round, it is the difference itself;
        * unbiased: noise of mean zero in the rounds leaves it so on average;
        * adding a number to the :math:`b_k` of all clients changes nothing.

    The others' deviation, by which FedMIA divides, is left out. It is made of the same few noisy
    estimates: on digits it changed the AUC by less than 0.01, in either direction.

    Args:
        signals: ``others_projection`` over ``sample, round``: the projection above, the insider's
            own part taken off; and ``attendance`` over ``round, client``: each client's weight in
            the round's mean, 0 or NaN where it took no part. The insider's own clients are no part
            of the sum: leave them out of ``attendance``, or NaN throughout.
        target: Client asked about.

    Returns:
        Score over ``sample``, higher for members, in units of parameters.

    Raises:
        UserError: A signal or the target is missing, ``others_projection`` has gaps, the target or
            nobody else took part, the target did in every round, or the rounds are too few to tell
            the target from the others.

    References:
        | Gradient disaggregation: breaking privacy in federated learning by reconstructing the user
        | participant matrix (Lam et al., 2021), https://arxiv.org/abs/2106.06089

    Differs from the paper: its server finds out who took part, and takes whole updates apart. Our
    participant knows, and takes one number a record apart, so that a client's update may change
    from round to round as long as its mean projection says something.
    """
    projection = of_target(signals, "others_projection", target)
    weights = _attendance(signals, projection.get_index("round").to_numpy())
    column = _column_of(weights, target)
    pull = _pull(weights.to_numpy(), column, target)
    score = pull @ projection.sel(round=weights["round"]).to_numpy()
    return xr.DataArray(score, dims="sample", coords={"sample": projection["sample"]})


def _attendance(signals: xr.Dataset, rounds: np.ndarray) -> xr.DataArray:
    """Weights over ``round, client``, in those ``rounds`` in which anyone of them took part."""
    measure = named(signals, "attendance")
    if set(measure.dims) != {"round", "client"}:
        raise UserError(
            "signal 'attendance' needs the dims round and client, it has "
            f"{dict(measure.sizes) or 'none'}."
        )
    weights = measure.transpose("round", "client").fillna(0).astype(np.float64)
    weights = weights.isel(round=np.isin(weights.get_index("round").to_numpy(), rounds))
    took_part = weights > 0
    return weights.isel(
        round=took_part.any("client").to_numpy(), client=took_part.any("round").to_numpy()
    )


def _column_of(weights: xr.DataArray, target: int) -> int:
    """Where the target stands among those who took part.

    Raises:
        UserError: It took part in no round or in every one, or nobody else took part.
    """
    clients = weights.get_index("client").to_numpy()
    if target not in clients:
        raise UserError(
            f"signal 'attendance': client {target} took part in no observed round, or is the "
            "insider's own. Choose another target, or observe more rounds."
        )
    column = int(np.argmax(clients == target))
    if len(clients) < 2:
        raise UserError(
            f"signal 'attendance': nobody but client {target} and the insider took part, so every "
            "update of the others is its own. Use an attack such as global_update_cosine."
        )
    if (weights[:, column] > 0).all():
        raise UserError(
            f"signal 'attendance': client {target} took part in every observed round, so nothing "
            "tells its part of the sums. Set federation.participation below 1, or observe more "
            "rounds."
        )
    return column


def _pull(weights: FloatArray, column: int, target: int) -> FloatArray:
    """What each round adds to the score: the least-squares weights of the contrast ``(rounds,)``.

    Raises:
        UserError: The rounds do not tell the contrast.
    """
    contrast = np.full(weights.shape[1], -1 / (weights.shape[1] - 1))
    contrast[column] = 1.0
    pull = contrast @ np.linalg.pinv(weights)
    missed = np.linalg.norm(pull @ weights - contrast)
    if missed > NOT_TOLD * np.linalg.norm(contrast):
        raise UserError(
            f"signal 'attendance': {weights.shape[0]} rounds do not tell client {target} from the "
            f"{weights.shape[1] - 1} others that took part. Observe more rounds, at least as many "
            "as there are clients."
        )
    return pull
