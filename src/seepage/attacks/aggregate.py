r"""Attacks on the sum of a round: is the record anyone's?

Under secure aggregation a server learns the weighted mean of a round's uploads and no upload. Whose
a record is, it does not say; that somebody trained on it, it may. These scores read what was
measured on the mean, and look at no target.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy.special import expit

from seepage.attacks.evidence import check_dims, named
from seepage.attacks.joint import memory, standardised, trust, unforetold
from seepage.records import FloatArray, UserError

EFFECT = 1.0
"""Shift of the filtered cosine assumed in records that somebody trained on, in deviations."""

VANISHED = 1e-12
"""Squared gradient norms are told apart down to this share of the round's largest."""


def aggregate_loss_series(signals: xr.Dataset, target: int) -> xr.DataArray:
    r"""The negative loss of the rounds' mean uploads, averaged over the rounds.

    .. math:: s_j = \frac{1}{T}\sum_t -\ell(\bar w^{t}; x_j, y_j),\qquad
        \bar w^t = \sum_k \omega_k w_k^t

    Args:
        signals: ``aggregate_loss`` [nat] over ``sample`` and, where it varies, ``round``.
        target: Not looked at.

    Returns:
        Score over ``sample``, higher for members, :math:`\le 0`.

    Raises:
        UserError: The signal is missing, has gaps, or has a ``client`` dim.

    References:
        | *Loss-Series* in FedMIA (Zhu et al., 2025), https://arxiv.org/abs/2402.06289, with the
        | mean upload in the place of a client's
    """
    return -_of_rounds(signals, "aggregate_loss").mean("round")


def aggregate_cosine(signals: xr.Dataset, target: int) -> xr.DataArray:
    r"""The cosine of a sample's gradient and the rounds' mean update, averaged over the rounds.

    .. math:: s_j = \frac{1}{T}\sum_t \cos(g_j^t, \bar u^t),\qquad
        \bar u^t = \sum_k \omega_k u_k^t

    Args:
        signals: ``aggregate_cosine`` over ``sample`` and, where it varies, ``round``.
        target: Not looked at.

    Returns:
        Score over ``sample``, higher for members, in [-1, 1].

    Raises:
        UserError: The signal is missing, has gaps, or has a ``client`` dim.

    References:
        | Effective passive membership inference attacks in federated learning against
        | overparameterized models (Li, Li, Ribeiro, 2023), https://openreview.net/forum?id=QsCSLPP55Ku
        | with the mean update in the place of a client's
    """
    return _of_rounds(signals, "aggregate_cosine").mean("round")


def aggregate_joint(signals: xr.Dataset, target: int) -> xr.DataArray:
    r"""Log odds that somebody trained on the sample: filtered cosines, and what is remembered.

    To first order the mean update is a sum of gradients, :math:`\bar u^t \approx
    \eta\sum_i \omega_i g_i^t`. The cosine of a record that is in the sum holds a term of its own,
    :math:`\eta\omega_j\lVert g_j^t\rVert / \lVert\bar u^t\rVert`, over what all other records add,
    which is alike for members and others. Three things follow.

    **The other candidates are the reference.** There are no other uploads to compare with. How
    well a record fits the common direction goes with the size of its gradient, so the cosine's
    quadratic in that size, over all candidates, is taken off (:func:`filtered`).

    **Rounds are weighted by** :math:`\lVert g_j^t\rVert`, the matched filter for a term that
    fades as the record is learned while the noise does not.

    **Memory.** What somebody trained on ends with a lower probability of being got wrong,
    :math:`1 - e^{-\ell}`, than the early one foretells (:func:`~seepage.attacks.joint.memory`).
    The probability, not the loss: it is bounded, so a few records with a huge loss do not bend
    the curve for all.

    .. math:: s_j = \delta z_j - \tfrac12\delta^2 + \gamma m_j - \tfrac12\gamma^2

    with :math:`\delta = 1`, even prior odds, and the weight :math:`0\le\gamma\le1` that
    :func:`~seepage.attacks.joint.trust` gives the memory, from the filtered cosines and no truth.

    The constants were set on design seeds and frozen before the evaluation in
    ``docs/decisions/0011-attacks-on-the-sum.md``.

    Args:
        signals: ``aggregate_cosine``, ``aggregate_loss`` [nat] and ``squared_gradient_norm`` over
            ``sample`` and, where they vary, ``round``.
        target: Not looked at.

    Returns:
        Score over ``sample``, higher for members: log odds [nat], any real number. The odds are
        those of the model above and not calibrated. Means, spreads and memory are taken over
        all candidates, so a sample's score depends on the pool it is asked about in.

    Raises:
        UserError: A signal is missing, has gaps or a ``client`` dim, or the three have no round
            in common.

    References:
        | Seepage, 2026, after FedMIA (Zhu et al., 2025), https://arxiv.org/abs/2402.06289
    """
    cosine, loss, norm = xr.align(
        _of_rounds(signals, "aggregate_cosine"),
        _of_rounds(signals, "aggregate_loss"),
        _of_rounds(signals, "squared_gradient_norm"),
        join="inner",
    )
    if not cosine.sizes["round"]:
        raise UserError(
            "the signals aggregate_cosine, aggregate_loss and squared_gradient_norm have no round "
            "in common. Measure all three in the same rounds."
        )
    shown = EFFECT * filtered(cosine.to_numpy(), norm.to_numpy()) - EFFECT**2 / 2
    kept = memory(-np.expm1(-loss.to_numpy()))
    shift = trust(expit(shown), kept)
    score = shown + shift * kept - shift**2 / 2
    return xr.DataArray(score, dims="sample", coords={"sample": cosine["sample"]})


def filtered(cosine: FloatArray, squared_norm: FloatArray) -> FloatArray:
    r"""How far each sample's cosine lies above that of like samples, in deviations.

    In each round the cosine loses its least-squares quadratic in :math:`\log\lVert g_j^t\rVert^2`
    over all candidates and is divided by its deviation: :math:`e_j^t`. Then

    .. math:: z_j = \frac{\sum_t \lVert g_j^t\rVert\, e_j^t}
        {\sqrt{\sum_t \lVert g_j^t\rVert^2}}

    and *z* is standardised over the candidates. The root keeps the noise of all samples alike:
    were the :math:`e_j^t` independent, each *z* would have variance 1.

    Args:
        cosine: Shape ``(rounds, n)``.
        squared_norm: Squared gradient norms, shape ``(rounds, n)``, >= 0.

    Returns:
        Shape ``(n,)``, mean 0; all zero where nothing is left to see.
    """
    largest = squared_norm.max(axis=1, keepdims=True)
    size = np.log(squared_norm + np.where(largest > 0, VANISHED * largest, 1.0))
    excess = np.stack([unforetold(*both) for both in zip(cosine, size, strict=True)])
    length = np.sqrt(squared_norm.sum(axis=0))
    weighted = np.einsum("tj,tj->j", np.sqrt(squared_norm), excess)
    return standardised(np.divide(weighted, length, out=np.zeros_like(length), where=length > 0))


def _of_rounds(signals: xr.Dataset, name: str) -> xr.DataArray:
    """One signal of the rounds' sums: dims ``round, sample``, float64, finite, rounds ascending."""
    measure = named(signals, name)
    check_dims(measure, name, ("round",))
    if "round" not in measure.dims:
        rounds = signals.get_index("round") if "round" in signals.dims else [1]
        measure = measure.drop_vars("round", errors="ignore").expand_dims(round=rounds)
    measure = measure.transpose("round", "sample").sortby("round").astype(np.float64)
    gaps = ~np.isfinite(measure.to_numpy())
    if gaps.any():
        first = measure["round"].to_numpy()[np.argmax(gaps.any(axis=1))]
        raise UserError(
            f"signal {name!r} has {int(gaps.sum())} missing (NaN) or infinite values, the first in "
            f"round {first}. Every round has a sum: measure the signal again, or drop those "
            "samples or that round."
        )
    return measure.drop_vars([c for c in measure.coords if c not in ("sample", "round")])
