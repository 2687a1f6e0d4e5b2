"""A likelihood ratio on right and wrong answers alone, for targets that show only a class."""

from __future__ import annotations

import numpy as np
import xarray as xr

from seepage.attacks.answers import BoolArray, of_model, references, score_of
from seepage.records import FloatArray

LENT = 2.0
"""Models' worth of the population's rate that every record's own rate is smoothed with."""


def label_only(signals: xr.Dataset, target: int) -> xr.DataArray:
    r"""Are the target's right answers those of models that saw the record, or of the others?

    Of *m* queries the target answers :math:`k_j` rightly. With the rates
    :math:`r_j^\mathrm{IN}, r_j^\mathrm{OUT}` at which reference models trained, and not trained,
    on the record answer rightly,

    .. math:: s_j = k_j \ln\frac{r_j^\mathrm{IN}}{r_j^\mathrm{OUT}}
        + (m - k_j) \ln\frac{1 - r_j^\mathrm{IN}}{1 - r_j^\mathrm{OUT}},\qquad
        r_j^\cdot = \frac{\sum_i a_{ij} + 2\pi^\cdot}{n_j + 2}

    where :math:`a_{ij}` is model *i*'s share of right answers, :math:`n_j` the number of these
    models and :math:`\pi` the rate over all records of that side: the mean of a Beta law whose
    prior is worth two models. A record in (or out of) no reference model gets :math:`\pi`.

    Args:
        signals: ``correct`` (1 or 0) over ``model, sample`` and maybe ``query``; ``member``.
        target: Model asked about.

    Returns:
        Score over ``sample`` [nat], higher for members.

    Raises:
        UserError: A signal or the target is missing, ``correct`` has gaps, or there is no
            reference model.

    References:
        | Label-Only Membership Inference Attacks (Choquette-Choo et al., 2021)
        | https://arxiv.org/abs/2007.14321
        | Evaluations of Machine Learning Privacy Defenses are Misleading (Aerni, Zhang, Tramèr,
        | 2024), https://arxiv.org/abs/2404.17399

    Differs from the papers: they train a classifier on which of the queries were answered
    rightly; this counts them, which needs no more than two reference models.
    """
    own = of_model(signals, "correct", target)
    values, member = references(signals, "correct", target)
    right, asked = _counts(own)
    shares, inside = _counts(values)[0] / asked, member.to_numpy()
    saw, not_saw = _rate(shares, inside), _rate(shares, ~inside)
    ratio = right * np.log(saw / not_saw) + (asked - right) * np.log((1 - saw) / (1 - not_saw))
    return score_of(ratio, own)


def _counts(correct: xr.DataArray) -> tuple[FloatArray, int]:
    """Right answers to the queries about each record, and the number of queries."""
    if "query" not in correct.dims:
        return correct.to_numpy(), 1
    return correct.sum("query", skipna=False, dtype=np.float64).to_numpy(), correct.sizes["query"]


def _rate(shares: FloatArray, kept: BoolArray) -> FloatArray:
    """Smoothed share of right answers among the kept models, in (0, 1), shape ``(n,)``."""
    total = np.where(kept, shares, 0).sum(axis=0, dtype=np.float64)
    count = kept.sum(axis=0)
    # Laplace's rule: a side that is always right must not make one wrong answer impossible.
    population = (total.sum() + 1) / (count.sum() + 2)
    return (total + LENT * population) / (count + LENT)
