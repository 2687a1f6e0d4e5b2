"""Attacks that read one number of the target's answer about a record, and no other model."""

from __future__ import annotations

import xarray as xr

from seepage.attacks.answers import of_model, over_queries


def confidence(signals: xr.Dataset, target: int) -> xr.DataArray:
    r"""The probability the target gives the true class.

    .. math:: s_j = \frac1m \sum_q p_{y_j}(x_j^{(q)})

    over the *m* queries about the record. With one query its ROC curve is that of :func:`loss`.

    Args:
        signals: ``confidence`` over ``model, sample`` and maybe ``query``.
        target: Model asked about.

    Returns:
        Score over ``sample``, higher for members, in [0, 1].

    Raises:
        UserError: ``confidence`` or the target is missing, or ``confidence`` has gaps.

    References:
        | Systematic Evaluation of Privacy Risks of Machine Learning Models (Song, Mittal, 2021)
        | https://arxiv.org/abs/2003.10595
    """
    return over_queries(of_model(signals, "confidence", target))


def loss(signals: xr.Dataset, target: int) -> xr.DataArray:
    r"""The negative loss of the target, mean over the queries.

    .. math:: s_j = \frac1m \sum_q \ln p_{y_j}(x_j^{(q)})

    Args:
        signals: ``loss`` [nat] over ``model, sample`` and maybe ``query``.
        target: Model asked about.

    Returns:
        Score over ``sample``, higher for members, :math:`\le 0`.

    Raises:
        UserError: ``loss`` or the target is missing, or ``loss`` has gaps.

    References:
        | Privacy Risk in Machine Learning: Analyzing the Connection to Overfitting (Yeom et al.,
        | 2018), https://arxiv.org/abs/1709.01604

    Differs from the paper: it calls a record a member below the mean training loss; the score
    leaves the threshold open.
    """
    return -over_queries(of_model(signals, "loss", target))


def entropy(signals: xr.Dataset, target: int) -> xr.DataArray:
    r"""The negative entropy of the target's answer, mean over the queries; it uses no label.

    .. math:: s_j = \frac1m \sum_q \sum_c p_c(x_j^{(q)}) \ln p_c(x_j^{(q)})

    Args:
        signals: ``entropy`` [nat] over ``model, sample`` and maybe ``query``.
        target: Model asked about.

    Returns:
        Score over ``sample``, higher for members, :math:`\le 0`.

    Raises:
        UserError: ``entropy`` or the target is missing, or ``entropy`` has gaps.

    References:
        | ML-Leaks (Salem et al., 2019), https://arxiv.org/abs/1806.01246
    """
    return -over_queries(of_model(signals, "entropy", target))


def modified_entropy(signals: xr.Dataset, target: int) -> xr.DataArray:
    r"""The negative modified entropy of the target's answer, mean over the queries.

    .. math:: s_j = \frac1m \sum_q \Bigl[(1 - p_{y_j}) \ln p_{y_j}
        + \sum_{c \ne y_j} p_c \ln (1 - p_c)\Bigr]

    Unlike the entropy, it is large for an answer that is sure and wrong.

    Args:
        signals: ``modified_entropy`` [nat] over ``model, sample`` and maybe ``query``.
        target: Model asked about.

    Returns:
        Score over ``sample``, higher for members, :math:`\le 0`.

    Raises:
        UserError: ``modified_entropy`` or the target is missing, or it has gaps.

    References:
        | Systematic Evaluation of Privacy Risks of Machine Learning Models (Song, Mittal, 2021)
        | https://arxiv.org/abs/2003.10595
    """
    return -over_queries(of_model(signals, "modified_entropy", target))


def correctness(signals: xr.Dataset, target: int) -> xr.DataArray:
    r"""Whether the target's answer is right, or how often among the queries.

    Also known as the gap attack: with one query its AUC is
    :math:`\tfrac12(1 + a_\mathrm{train} - a_\mathrm{test})` with the accuracies *a*.

    Args:
        signals: ``correct`` (1 or 0) over ``model, sample`` and maybe ``query``.
        target: Model asked about.

    Returns:
        Score over ``sample``, higher for members, in [0, 1]. With one query all right answers are
        tied, so its true positive rate at a low false positive rate is 0.

    Raises:
        UserError: ``correct`` or the target is missing, or ``correct`` has gaps.

    References:
        | Privacy Risk in Machine Learning: Analyzing the Connection to Overfitting (Yeom et al.,
        | 2018), https://arxiv.org/abs/1709.01604
    """
    return over_queries(of_model(signals, "correct", target))
