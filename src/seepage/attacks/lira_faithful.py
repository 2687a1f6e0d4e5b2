"""LiRA where the released code differs from the paper: run by name only, for comparison.

The code is that of HAMP (Chen and Pattabiraman, 2024), which has it from Carlini et al. (2022).
``lira_online`` is the same in both.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from seepage.attacks.answers import score_of
from seepage.attacks.lira import Side, evidence, log_density, offline_evidence
from seepage.records import FloatArray

ADDED = 1e-30
"""Added to every deviation, as in the released code."""


def lira_online_fixed_faithful(signals: xr.Dataset, target: int) -> xr.DataArray:
    r"""The released log likelihood ratio with one deviation: that of IN stands for OUT too.

    .. math:: s_j = \ln N(\phi_j; \mu_j^\mathrm{in}, \sigma^\mathrm{in})
        - \ln N(\phi_j; \mu_j^\mathrm{out}, \sigma^\mathrm{in})

    where :math:`\sigma^\mathrm{in}` is the population deviation of all IN values about their
    common mean: it holds how records differ as well.

    Args:
        signals: ``scaled_logit`` over ``model, sample`` and maybe ``query``; ``member``.
        target: Model asked about.

    Returns:
        Score over ``sample``, higher for members.

    Raises:
        UserError: A signal or the target is missing, a signal has gaps, or a record is IN or OUT
            of no reference model.

    References:
        | Released code of HAMP (Chen, Pattabiraman, 2024), https://arxiv.org/abs/2307.01610

    Differs from :func:`~seepage.attacks.lira.lira_online_fixed`, where OUT has a deviation of its
    own and both are about each record's mean.
    """
    own, inside, outside = evidence(signals, target, least=1)
    spread = _common_deviation(inside)
    ratio = log_density(own, inside, spread) - log_density(own, outside, spread)
    return score_of(ratio.mean(axis=1), own)


def lira_offline_faithful(signals: xr.Dataset, target: int) -> xr.DataArray:
    r"""The released offline score: two-sided.

    .. math:: s_j = -\ln N(\phi_j; \mu_j^\mathrm{out}, \sigma_j^\mathrm{out})

    It is as high for a record the target is strangely unsure of as for one it is strangely sure
    of, and higher where the models differ more.

    Args:
        signals: ``scaled_logit`` over ``model, sample`` and maybe ``query``; ``member``.
        target: Model asked about.

    Returns:
        Score over ``sample``, meant to be higher for members.

    Raises:
        UserError: A signal or the target is missing, a signal has gaps, or a record is OUT of
            fewer than two reference models.

    References:
        | Released code of HAMP (Chen, Pattabiraman, 2024), https://arxiv.org/abs/2307.01610
    """
    own, outside = offline_evidence(signals, target, least=2, instead="lira_offline_fixed_faithful")
    spread = np.sqrt(outside.squares / outside.count) + ADDED
    return score_of(-log_density(own, outside, spread).mean(axis=1), own)


def lira_offline_fixed_faithful(signals: xr.Dataset, target: int) -> xr.DataArray:
    r"""The released offline score with one deviation: two-sided.

    .. math:: s_j = -\ln N(\phi_j; \mu_j^\mathrm{out}, \sigma^\mathrm{out})

    where :math:`\sigma^\mathrm{out}` is the population deviation of all OUT values about their
    common mean.

    Args:
        signals: ``scaled_logit`` over ``model, sample`` and maybe ``query``; ``member``.
        target: Model asked about.

    Returns:
        Score over ``sample``, meant to be higher for members.

    Raises:
        UserError: A signal or the target is missing, a signal has gaps, or a record is OUT of no
            reference model.

    References:
        | Released code of HAMP (Chen, Pattabiraman, 2024), https://arxiv.org/abs/2307.01610
    """
    own, outside = offline_evidence(signals, target, least=1)
    return score_of(-log_density(own, outside, _common_deviation(outside)).mean(axis=1), own)


def _common_deviation(side: Side) -> FloatArray:
    """The population deviation of all values of a side about their common mean."""
    number = side.count.sum() * side.mean.shape[1]
    center = (side.count * side.mean).sum() / number
    between = (side.count * (side.mean - center) ** 2).sum()
    return np.sqrt((side.squares.sum() + between) / number) + ADDED
