"""Difficulty calibration (Watson et al., 2022)."""

from __future__ import annotations

import xarray as xr

from seepage.attacks.answers import mean_where, need, of_model, over_queries, references, score_of


def calibrated_loss(signals: xr.Dataset, target: int) -> xr.DataArray:
    r"""How far the target's loss lies below that of models which did not see the record.

    .. math:: s_j = \frac{1}{|\mathrm{OUT}_j|} \sum_{r \in \mathrm{OUT}_j} \ell_r(x_j, y_j)
        - \ell_\mathrm{tar}(x_j, y_j)

    A record that is hard for everyone has a large loss everywhere; the difference takes that out.
    With several queries each loss is the mean over them.

    Args:
        signals: ``loss`` [nat] over ``model, sample`` and maybe ``query``; ``member``.
        target: Model asked about.

    Returns:
        Score over ``sample`` [nat], higher for members.

    Raises:
        UserError: A signal or the target is missing, ``loss`` has gaps, or a record is OUT of no
            reference model.

    References:
        | On the Importance of Difficulty Calibration in Membership Inference Attacks (Watson, Guo,
        | Cormode, Sablayrolles, 2022), https://arxiv.org/abs/2111.08440
    """
    own = over_queries(of_model(signals, "loss", target))
    losses, member = references(signals, "loss", target)
    need(member, inside=0, outside=1)
    usual = mean_where(over_queries(losses).to_numpy(), ~member.to_numpy())
    return score_of(usual - own.to_numpy(), own)
