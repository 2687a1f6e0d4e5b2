r"""LiRA, the likelihood ratio attack (Carlini et al., 2022).

The measure is the scaled logit :math:`\phi = \ln p_y - \ln(1 - p_y)`, near normal for one record
over models. Its law is fitted for each record (and query) on the reference models that were
trained on the record (IN) and those that were not (OUT). As in the released code the center is the
median; with several queries the scores of the queries are averaged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from scipy.special import log_ndtr

from seepage.attacks.answers import BoolArray, need, of_model, references, score_of
from seepage.records import FloatArray

FLOOR = 1e-6
"""Least deviation. Logits differ by about one; equal answers must not give infinite scores."""

TIE_BREAK = 1e-9
"""Largest change to a log probability that keeps those of sure members apart."""

BLOCK = 1_000_000
"""Values that are sorted at a time, so that memory stays at tens of megabytes."""


def lira_online(signals: xr.Dataset, target: int) -> xr.DataArray:
    r"""Log likelihood ratio of IN and OUT, with deviations of each record's own.

    .. math:: s_j = \ln N(\phi_j; \mu_j^\mathrm{in}, \sigma_j^\mathrm{in})
        - \ln N(\phi_j; \mu_j^\mathrm{out}, \sigma_j^\mathrm{out})

    with medians :math:`\mu` and population deviations :math:`\sigma \ge 10^{-6}`.

    Args:
        signals: ``scaled_logit`` over ``model, sample`` and maybe ``query``; ``member``.
        target: Model asked about.

    Returns:
        Score over ``sample``, higher for members.

    Raises:
        UserError: A signal or the target is missing, a signal has gaps, or a record is IN or OUT
            of fewer than two reference models, whose deviation is none.

    References:
        | Membership Inference Attacks From First Principles (Carlini et al., 2022), algorithm 1
        | https://arxiv.org/abs/2112.03570
    """
    own, inside, outside = evidence(signals, target, least=2, instead="lira_online_fixed")
    ratio = log_density(own, inside, own_deviation(inside))
    ratio -= log_density(own, outside, own_deviation(outside))
    return _score(ratio, own)


def lira_online_fixed(signals: xr.Dataset, target: int) -> xr.DataArray:
    r"""Log likelihood ratio of IN and OUT, with one deviation for all records of a side.

    As :func:`lira_online`, with :math:`\sigma^\mathrm{in}` and :math:`\sigma^\mathrm{out}` from
    :func:`pooled_deviation`. Better than deviations of each record's own where there are few
    reference models (up to about 64).

    Args:
        signals: ``scaled_logit`` over ``model, sample`` and maybe ``query``; ``member``.
        target: Model asked about.

    Returns:
        Score over ``sample``, higher for members.

    Raises:
        UserError: A signal or the target is missing, a signal has gaps, or a record is IN or OUT
            of no reference model.

    References:
        | Membership Inference Attacks From First Principles (Carlini et al., 2022), section VI
        | https://arxiv.org/abs/2112.03570

    Differs from the released code, which takes the deviation of IN for both sides, and about the
    common mean of all records: see ``lira_online_fixed_faithful``.
    """
    own, inside, outside = evidence(signals, target, least=1)
    ratio = log_density(own, inside, pooled_deviation(inside))
    ratio -= log_density(own, outside, pooled_deviation(outside))
    return _score(ratio, own)


def lira_offline(signals: xr.Dataset, target: int) -> xr.DataArray:
    r"""How improbable so high a scaled logit is for models that did not see the record.

    .. math:: s_j = \ln \Phi\!\left(\frac{\phi_j - \mu_j^\mathrm{out}}
        {\sigma_j^\mathrm{out}}\right)

    One-sided: it rises with :math:`\phi_j` throughout. It says less than the ratio, and needs no
    model that was trained on the record. Less than :math:`10^{-9}` is added, which keeps apart
    records so far up that :math:`\Phi` rounds to 1.

    Args:
        signals: ``scaled_logit`` over ``model, sample`` and maybe ``query``; ``member``.
        target: Model asked about.

    Returns:
        Score over ``sample``, higher for members, below :math:`10^{-9}`.

    Raises:
        UserError: A signal or the target is missing, a signal has gaps, or a record is OUT of
            fewer than two reference models.

    References:
        | Membership Inference Attacks From First Principles (Carlini et al., 2022), eq. 4
        | https://arxiv.org/abs/2112.03570
    """
    own, outside = offline_evidence(signals, target, least=2, instead="lira_offline_fixed")
    return _score(_log_probability(own, outside, own_deviation(outside)), own)


def lira_offline_fixed(signals: xr.Dataset, target: int) -> xr.DataArray:
    """:func:`lira_offline` with one deviation for all records, from :func:`pooled_deviation`.

    Args:
        signals: ``scaled_logit`` over ``model, sample`` and maybe ``query``; ``member``.
        target: Model asked about.

    Returns:
        Score over ``sample``, higher for members, below 1e-9.

    Raises:
        UserError: A signal or the target is missing, a signal has gaps, or a record is OUT of no
            reference model.

    References:
        | Membership Inference Attacks From First Principles (Carlini et al., 2022), section VI
        | https://arxiv.org/abs/2112.03570
    """
    own, outside = offline_evidence(signals, target, least=1)
    return _score(_log_probability(own, outside, pooled_deviation(outside)), own)


@dataclass(frozen=True, kw_only=True)
class Side:
    """The reference models on one side of each record (and query); arrays ``(n, queries)``.

    Attributes:
        count: How many they are, shape ``(n, 1)``.
        median: Median of their scaled logits.
        mean: Mean of them.
        squares: Sum of squared distances from the mean.
    """

    count: FloatArray
    median: FloatArray
    mean: FloatArray
    squares: FloatArray


def evidence(
    signals: xr.Dataset, target: int, *, least: int, instead: str = ""
) -> tuple[xr.DataArray, Side, Side]:
    """The target's scaled logits ``(sample, query)``, and both sides of the reference models.

    Raises:
        UserError: A record is IN or OUT of fewer than ``least`` of them.
    """
    own, values, member = _read(signals, target)
    need(member, inside=least, outside=least, instead=instead)
    return own, _side(values, member.to_numpy()), _side(values, ~member.to_numpy())


def offline_evidence(
    signals: xr.Dataset, target: int, *, least: int, instead: str = ""
) -> tuple[xr.DataArray, Side]:
    """The target's scaled logits ``(sample, query)``, and the reference models that are OUT.

    Raises:
        UserError: A record is OUT of fewer than ``least`` of them.
    """
    own, values, member = _read(signals, target)
    need(member, inside=0, outside=least, instead=instead)
    return own, _side(values, ~member.to_numpy())


def own_deviation(side: Side) -> FloatArray:
    """The population deviation of each record and query, at least ``FLOOR``."""
    return np.maximum(np.sqrt(side.squares / side.count), FLOOR)


def pooled_deviation(side: Side) -> FloatArray:
    r"""One deviation of all records and queries, at least ``FLOOR``.

    .. math:: \sigma^2 = \frac{\sum_{jq} \sum_i (\phi_{ijq} - \bar\phi_{jq})^2}
        {\sum_{jq} (n_j - 1)}

    Where no record has two models on this side (four models in all: the target, its complement
    and a pair) there is no distance from a mean of its own; then the deviation is that of all
    values about their common mean. It also holds how records differ, so it is too large, alike
    for all of them: it hardly moves their order.
    """
    freedom = (side.count - 1).sum() * side.mean.shape[1]
    if freedom:
        return np.maximum(np.sqrt(side.squares.sum() / freedom), FLOOR)
    return np.maximum(side.mean.std(), FLOOR)


def log_density(own: xr.DataArray, side: Side, deviation: FloatArray) -> FloatArray:
    """Log of the normal density at the target's scaled logits, ``(n, queries)``."""
    standard = (own.to_numpy() - side.median) / deviation
    return -0.5 * standard**2 - np.log(deviation) - 0.5 * np.log(2 * np.pi)


def _log_probability(own: xr.DataArray, side: Side, deviation: FloatArray) -> FloatArray:
    standard = (own.to_numpy() - side.median) / deviation
    return log_ndtr(standard) + TIE_BREAK * standard / (1 + np.abs(standard))


def _score(values: FloatArray, own: xr.DataArray) -> xr.DataArray:
    return score_of(values.mean(axis=1), own)


def _read(signals: xr.Dataset, target: int) -> tuple[xr.DataArray, FloatArray, xr.DataArray]:
    own = of_model(signals, "scaled_logit", target)
    values, member = references(signals, "scaled_logit", target)
    if "query" not in own.dims:
        own, values = own.expand_dims(query=1, axis=-1), values.expand_dims(query=1, axis=-1)
    return own, values.to_numpy(), member


def _side(values: FloatArray, kept: BoolArray) -> Side:
    """Medians and spreads over the models for which ``kept`` holds, a block of records at a time.

    Args:
        values: Scaled logits, shape ``(models, n, queries)``.
        kept: Shape ``(models, n)``; at least one for each record.
    """
    models, n, queries = values.shape
    step = max(BLOCK // (models * queries), 1)
    parts = [
        _block(values[:, at : at + step].transpose(1, 2, 0), kept[:, at : at + step].T[:, None])
        for at in range(0, n, step)
    ]
    count, median, mean, squares = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Side(count=count, median=median, mean=mean, squares=squares)


def _block(values: FloatArray, kept: BoolArray) -> tuple[FloatArray, ...]:
    values = np.ascontiguousarray(values, dtype=np.float64)
    count = kept.sum(axis=-1)
    mean = np.where(kept, values, 0.0).sum(axis=-1) / count
    squares = np.where(kept, (values - mean[..., None]) ** 2, 0.0).sum(axis=-1)
    ordered = np.sort(np.where(kept, values, np.inf), axis=-1)
    middle = np.stack([(count - 1) // 2, count // 2], axis=-1)
    middle = np.broadcast_to(middle, (*ordered.shape[:-1], 2))
    median = np.take_along_axis(ordered, middle, axis=-1).mean(axis=-1)
    return count.astype(np.float64), median, mean, squares
