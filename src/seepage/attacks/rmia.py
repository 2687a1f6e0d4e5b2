"""RMIA, the robust membership inference attack (Zarifzadeh et al., 2024)."""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy.special import expit
from scipy.stats import rankdata

from seepage.attacks.answers import (
    BoolArray,
    mean_where,
    need,
    of_model,
    over_queries,
    public_only,
    references,
    rehearsal,
    score_of,
)
from seepage.records import FloatArray

LEAST = 1e-30
"""Least probability; single precision ends near 1e-38."""

TIE_BREAK = 1e-6
"""What records with one share are kept apart by, less than a share moves among a million."""

GRID = np.linspace(0.0, 1.0, 11)
"""Values of *a* that are tried."""

USUAL_A = 0.3
"""*a* where no reference model can be attacked: near the paper's for CIFAR-10."""

NEEDS = ("scaled_logit", "member")


def rmia_online(signals: xr.Dataset, target: int, *, gamma: float = 1.0) -> xr.DataArray:
    r"""How many other records the record beats: its likelihood under the target over its usual one.

    .. math:: s_j = \operatorname{share}_z\left[\frac{p(x_j \mid \theta) / p(x_j)}
        {p(z \mid \theta) / p(z)} \ge \gamma\right],\qquad
        p(x) = \tfrac12\bigl(\bar p_\mathrm{IN}(x) + \bar p_\mathrm{OUT}(x)\bigr)

    :math:`p(x \mid \theta)` is the confidence in the true class (mean over queries), taken as
    :math:`\sigma(\varphi)` of the scaled logit in double precision: confidences kept in single
    precision are tied at 1. The bars are means over the reference models trained on *x* and not.
    Each side has half the weight, however many there are. *z* runs over the public records, whose
    *p(z)* is the mean over all reference models; without public records over all records.

    Shares are tied where the number of *z* is small, above all at the top. Ties are broken by the
    ratio :math:`p(x \mid \theta) / p(x)`, with less than :math:`10^{-6}` added to the share. The
    share never falls as the ratio rises, so this is a refinement and no second opinion.

    Args:
        signals: ``scaled_logit`` over ``model, sample`` and maybe ``query``; ``member``; ``public``
            is used where it is there.
        target: Model asked about.
        gamma: Least ratio :math:`\gamma` that counts as beating.

    Returns:
        Score over ``sample``, higher for members, in :math:`[0, 1 + 10^{-6})`.

    Raises:
        UserError: A signal or the target is missing, a signal has gaps, or a record is IN or OUT
            of no reference model.

    References:
        | Low-Cost High-Power Membership Inference Attacks (Zarifzadeh, Liu, Shokri, 2024)
        | https://arxiv.org/abs/2312.03262

    Differs from the paper: confidences are not tempered, and ties are broken.
    """
    own = over_queries(_confidence(of_model(signals, "scaled_logit", target)))
    values, member = references(signals, "scaled_logit", target)
    values = _confidence(values)
    need(member, inside=1, outside=1)
    known, inside = over_queries(values).to_numpy(), member.to_numpy()
    ratio = _ratio(own.to_numpy(), (mean_where(known, inside) + mean_where(known, ~inside)) / 2)
    public = public_only(signals, NEEDS)
    against = ratio if public is None else _ratio(*_public(public, target))
    return score_of(_share(ratio, against, gamma), own)


def rmia_offline(signals: xr.Dataset, target: int, *, gamma: float = 1.0) -> xr.DataArray:
    r"""RMIA without models trained on the record.

    As :func:`rmia_online`, with

    .. math:: p(x) = \tfrac12\bigl((1 + a)\,\bar p_\mathrm{OUT}(x) + (1 - a)\bigr)

    for records and *z* alike. *a* is the best of 0, 0.1, …, 1 (by AUC, the smallest of equals)
    where the first reference model is attacked with the others, its complement left out. With
    fewer than four reference models that cannot be done, and *a* = 0.3.

    Args:
        signals: ``scaled_logit`` over ``model, sample`` and maybe ``query``; ``member``; ``public``
            is used where it is there.
        target: Model asked about.
        gamma: Least ratio :math:`\gamma` that counts as beating.

    Returns:
        Score over ``sample``, higher for members, in :math:`[0, 1 + 10^{-6})`.

    Raises:
        UserError: A signal or the target is missing, a signal has gaps, or a record is OUT of no
            reference model.

    References:
        | Low-Cost High-Power Membership Inference Attacks (Zarifzadeh, Liu, Shokri, 2024)
        | https://arxiv.org/abs/2312.03262

    Differs from the paper: confidences are not tempered, and ties are broken.
    """
    own = over_queries(_confidence(of_model(signals, "scaled_logit", target)))
    values, member = references(signals, "scaled_logit", target)
    values = _confidence(values)
    need(member, inside=0, outside=1)
    values = over_queries(values)
    a = tuned(values, member)
    out = mean_where(values.to_numpy(), ~member.to_numpy())
    ratio = _ratio(own.to_numpy(), _shifted(out, a))
    public = public_only(signals, NEEDS)
    if public is None:
        return score_of(_share(ratio, ratio, gamma), own)
    answers, usual = _public(public, target)
    return score_of(_share(ratio, _ratio(answers, _shifted(usual, a)), gamma), own)


def tuned(values: xr.DataArray, member: xr.DataArray) -> float:
    """The *a* that attacks the first reference model best, or 0.3 if it cannot be attacked.

    Args:
        values: Confidences of the reference models, dims ``model, sample``.
        member: Who was trained on what, bool, likewise.
    """
    own, inside, others, saw = rehearsal(values, member)
    if not (~saw).any("model").all() or inside.all() or not inside.any():
        return USUAL_A
    out = mean_where(others.to_numpy(), ~saw.to_numpy())
    answers, is_member = own.to_numpy(), inside.to_numpy()
    areas = [_area(_ratio(answers, _shifted(out, a)), is_member) for a in GRID]
    return float(GRID[int(np.argmax(areas))])


def _public(public: xr.Dataset, target: int) -> tuple[FloatArray, FloatArray]:
    """The target's and the usual confidence in public records, which no model was trained on."""
    own = over_queries(_confidence(of_model(public, "scaled_logit", target))).to_numpy()
    values = over_queries(_confidence(references(public, "scaled_logit", target)[0]))
    return own, values.mean("model", dtype=np.float64).to_numpy()


def _confidence(scaled: xr.DataArray) -> xr.DataArray:
    return scaled.copy(data=expit(scaled.to_numpy().astype(np.float64)))


def _ratio(answers: FloatArray, usual: FloatArray) -> FloatArray:
    return np.maximum(answers.astype(np.float64), LEAST) / np.maximum(usual, LEAST)


def _shifted(out: FloatArray, a: float) -> FloatArray:
    return ((1 + a) * out + (1 - a)) / 2


def _share(ratio: FloatArray, against: FloatArray, gamma: float) -> FloatArray:
    """Share of ``against`` that each ratio is at least ``gamma`` times, ties broken."""
    beaten = np.searchsorted(np.sort(against), ratio / gamma, side="right") / len(against)
    # By rank: ratios may differ by less than a sum with a share can hold.
    return beaten + TIE_BREAK * rankdata(ratio) / (len(ratio) + 1)


def _area(values: FloatArray, member: BoolArray) -> float:
    members = int(member.sum())
    above = rankdata(values)[member].sum() - members * (members + 1) / 2
    return float(above / (members * (len(member) - members)))
