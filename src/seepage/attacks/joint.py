r"""Our own attack: both measures of FedMIA, all rounds and all clients in one posterior.

FedMIA asks in every round where the target stands among the others, and averages the answers.
Three things are left on the table, and this attack takes them up.

**Rounds differ in what they can show.** To first order the update of client *k* is a sum of its
own samples' gradients, :math:`u_k \approx \eta\sum_{i\in D_k} g_i`. If *k* trained on *j*, the
cosine therefore holds a term of its own,

.. math:: \frac{\langle g_j, \eta g_j\rangle}{\lVert g_j\rVert\lVert u_k\rVert}
    = \eta\,\frac{\lVert g_j\rVert}{\lVert u_k\rVert},

that fades as the sample is learned, while the noise from all other samples does not. A mean over
rounds drowns the early evidence; a matched filter weights it. The weight here is
:math:`\lVert g_j^t\rVert^2`, so that what is summed is in the unit of the loss the update removes.

**Memory shows in all clients at once.** What one client memorised reaches the others through the
global model. A sample whose loss, over all clients, ended lower than its early loss foretells is
somebody's.

**A sample has at most one owner.** If it is clearly another client's, it is not the target's.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy.special import expit

from seepage.attacks.evidence import of_clients, of_target
from seepage.records import FloatArray, UserError

EFFECT = 1.5
"""Shift of the owner's residual assumed by the likelihood ratio, in deviations."""

MEMORY = 1.0
"""The most that memory may count: its assumed shift in owned samples, in deviations."""

PRIOR_FREEDOM = 4.0
"""Degrees of freedom lent to each sample's variance by all samples together."""

NOBODY = 0.5
"""Prior probability that nobody owns the sample; the clients share the rest evenly."""

ENDS = 0.2
"""Share of the rounds that counts as early, and as late; at least one round each."""


def fedmia_joint(signals: xr.Dataset, target: int) -> xr.DataArray:
    r"""Log odds that the target, and not another client or nobody, owns the sample.

    .. math:: s_j = \ell_{\mathrm{tar},j} - \log\Bigl(\pi_0 + \sum_{k\ne\mathrm{tar}}
        e^{\ell_{kj}}\Bigr),\qquad
        \ell_{kj} = \log\pi_k + \delta z_{kj} - \tfrac12\delta^2 + \gamma m_j - \tfrac12\gamma^2

    with :math:`\delta = 1.5,\ \pi_0 = \tfrac12,\ \pi_k = \tfrac1{2K}`, the moderated residual
    :math:`z_{kj}` of :func:`residuals`, the memory :math:`m_j` of :func:`memory` and the weight
    :math:`0\le\gamma\le1` that :func:`trust` gives it.

    The constants were set on design seeds and frozen before the evaluation in
    ``docs/decisions/0005-joint-attack.md``; the attack itself learns nothing from membership.

    Args:
        signals: ``cosine`` and ``loss`` [nat] over ``sample``, ``client`` and, where they vary,
            ``round``; ``squared_gradient_norm`` over ``sample`` and, where it varies, ``round``.
        target: Client asked about. Rounds without it, or with fewer than two others, are left
            out, and so are clients absent from all rounds that remain.

    Returns:
        Score over ``sample``, higher for members: log odds [nat], any real number. The odds are
        those of the model above and not calibrated. Means, spreads and memory are taken over
        all candidates, so a sample's score depends on the pool it is asked about in.

    Raises:
        UserError: A signal, the target or a ``client`` dim is missing, a signal has gaps, there
            are fewer than two other clients, or the three signals have no round in common.

    References:
        | Builds on FedMIA (Zhu et al., 2025), https://arxiv.org/abs/2402.06289
        | Variance moderation: Linear models and empirical Bayes methods (Smyth, 2004)
    """
    cosine, loss, norm = xr.align(
        of_clients(signals, "cosine", target),
        of_clients(signals, "loss", target),
        of_target(signals, "squared_gradient_norm", target),
        join="inner",
    )
    if not cosine.sizes["round"]:
        raise UserError(
            "the signals cosine, loss and squared_gradient_norm have no round in common in which "
            f"client {target} and two others took part. Measure all three in the same rounds."
        )
    present = cosine.isel(sample=0).notnull().any("round").to_numpy()
    cosine = cosine.isel(client=present)
    position = int(cosine.get_index("client").get_indexer([target])[0])
    shown = residuals(cosine.to_numpy(), norm.to_numpy())
    kept = memory(loss.mean("client").to_numpy())
    score = _log_odds(shown, kept, position)
    return xr.DataArray(score, dims="sample", coords={"sample": cosine["sample"]})


def residuals(cosine: FloatArray, squared_norm: FloatArray) -> FloatArray:
    r"""How far each client's cosine lies above the others', in deviations, over all rounds.

    In each round the cosine loses the client's mean over the samples, then the sample's mean over
    the clients, and is divided by its root mean square over both: :math:`e_{kj}^t`. Then

    .. math:: r_{kj} = \frac{\sum_t \lVert g_j^t\rVert^2 e_{kj}^t}{\sum_t\lVert g_j^t\rVert^2},
        \qquad z_{kj} = \frac{r_{kj} - \bar r_{-k,j}}
        {\sqrt{(1 + \tfrac1n)\,\tilde v_{kj}}},\qquad
        \tilde v_{kj} = \frac{d_0\,\bar v + (n - 1)\,v_{-k,j}}{d_0 + n - 1}

    where :math:`\bar r_{-k}` and :math:`v_{-k}` are mean and sample variance over the *n* clients
    other than *k*, :math:`\bar v` is the mean of all these variances and :math:`d_0 = 4`: nine
    numbers give a poor variance, all samples together a good one. Rounds come before
    standardising, so that a client's lasting taste for a sample counts once and not once a round.

    Args:
        cosine: Shape ``(rounds, clients, n)``, at least three clients; NaN for a client absent
            from a round, none absent from all.
        squared_norm: Squared gradient norms, shape ``(rounds, n)``.

    Returns:
        Shape ``(clients, n)``; zero where all gradients vanish.
    """
    absent = np.isnan(cosine[:, :, :1])
    excess = np.where(absent, 0.0, cosine - cosine.mean(axis=2, keepdims=True))
    clients = (~absent).sum(axis=1, keepdims=True)
    excess -= excess.sum(axis=1, keepdims=True) / clients
    excess[np.broadcast_to(absent, excess.shape)] = 0.0
    spread = np.einsum("tkj,tkj->t", excess, excess) / (clients.ravel() * cosine.shape[2])
    scale = 1 / np.sqrt(np.where(spread > 0, spread, 1.0))
    weighted = np.einsum("tkj,tj,t->kj", excess, squared_norm, scale, optimize=True)
    weight = np.einsum("tk,tj->kj", (~absent[:, :, 0]).astype(np.float64), squared_norm)
    return _moderated(np.divide(weighted, weight, out=np.zeros_like(weighted), where=weight > 0))


def memory(loss: FloatArray) -> FloatArray:
    r"""How far below its early loss foretells a sample's late loss lies, in deviations.

    The mean loss of the last fifth of the rounds, minus its least-squares quadratic in the mean
    loss of the first fifth over all candidates, sign turned, divided by its deviation. The early
    loss stands for how hard the sample is; what it does not explain is memory, or noise.

    Args:
        loss: Mean loss over the clients [nat], shape ``(rounds, n)``.

    Returns:
        Shape ``(n,)``, mean 0; all zero where there is one round or nothing left to explain.
    """
    end = max(round(len(loss) * ENDS), 1)
    early, late = loss[:end].mean(axis=0), loss[-end:].mean(axis=0)
    return -unforetold(late, early)


def unforetold(values: FloatArray, known: FloatArray) -> FloatArray:
    """What a least-squares quadratic in ``known`` leaves of ``values``, in deviations.

    Args:
        values: Shape ``(n,)``.
        known: What foretells them, shape ``(n,)``.

    Returns:
        Shape ``(n,)``, mean 0 and deviation 1; all zero where nothing is left.
    """
    known = standardised(known)
    powers = np.stack([np.ones_like(known), known, known**2], axis=1)
    left = values - powers @ np.linalg.lstsq(powers, values, rcond=None)[0]
    if left.std() <= 1e-9 * max(values.std(), 1e-300):
        return np.zeros_like(values)
    return standardised(left)


def _moderated(level: FloatArray) -> FloatArray:
    """Each client's level against all others', by the variance that samples lend each other."""
    others = len(level) - 1
    mean = (level.sum(axis=0) - level) / others
    square = (level**2).sum(axis=0) - level**2
    variance = np.maximum(square - others * mean**2, 0.0) / (others - 1)
    lent = PRIOR_FREEDOM * variance.mean() + (others - 1) * variance
    moderated = lent / (PRIOR_FREEDOM + others - 1) * (1 + 1 / others)
    return (level - mean) / np.sqrt(np.where(moderated > 0, moderated, 1.0))


def trust(somebody: FloatArray, kept: FloatArray) -> float:
    r"""How many deviations of memory the owned samples are ahead, in [0, 1].

    .. math:: \gamma = \operatorname{clip}\Bigl(\frac{\operatorname{cov}_j(m_j, q_j)}
        {\operatorname{var}_j(q_j)},\ 0,\ 1\Bigr)

    If :math:`q_j` is the probability that somebody owns the sample, the slope of any quantity on
    it is the difference between owned and unowned samples. With :math:`q` from the residuals
    alone, memory counts only where the residuals bear it out; under noisy uploads it hardly does.

    Args:
        somebody: Probability that somebody owns each sample, shape ``(n,)``.
        kept: Memory :math:`m`, shape ``(n,)``.
    """
    spread = somebody.var()
    if spread <= 1e-12:
        return 0.0
    slope = np.mean((somebody - somebody.mean()) * (kept - kept.mean())) / spread
    return float(np.clip(slope, 0.0, MEMORY))


def _log_odds(shown: FloatArray, kept: FloatArray, position: int) -> FloatArray:
    each = np.log((1 - NOBODY) / len(shown)) + EFFECT * shown - EFFECT**2 / 2
    somebody = expit(np.logaddexp.reduce(each, axis=0) - np.log(NOBODY))
    shift = trust(somebody, kept)
    each += shift * kept - shift**2 / 2
    others = np.logaddexp.reduce(np.delete(each, position, axis=0), axis=0)
    return each[position] - np.logaddexp(np.log(NOBODY), others)


def standardised(column: FloatArray) -> FloatArray:
    """The column with mean 0 and deviation 1; all zero where it is constant."""
    spread = column.std()
    return (column - column.mean()) / (spread if spread > 0 else 1.0)
