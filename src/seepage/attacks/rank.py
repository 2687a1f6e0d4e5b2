"""The rank of the true class: what a defense that keeps the order of the classes cannot hide."""

from __future__ import annotations

import xarray as xr

from seepage.attacks.answers import of_model, over_queries


def rank(signals: xr.Dataset, target: int) -> xr.DataArray:
    r"""How few classes the target puts above the true one, mean over the queries.

    .. math:: s_j = -\frac1m \sum_q \Bigl(\#\{c : z_c > z_{y_j}\}
        + \tfrac12 \#\{c \ne y_j : z_c = z_{y_j}\}\Bigr)

    with the logits *z*. A defense that answers with other numbers in the same order leaves it as
    it is, bit for bit.

    Args:
        signals: ``rank`` (0 is the top) over ``model, sample`` and maybe ``query``.
        target: Model asked about.

    Returns:
        Score over ``sample``, higher for members, in :math:`[-(C - 1), 0]`.

    Raises:
        UserError: ``rank`` or the target is missing, or ``rank`` has gaps.

    References:
        | Seepage, 2026: the adaptive attack on HAMP (Chen, Pattabiraman, 2024)
        | https://arxiv.org/abs/2307.01610
    """
    return -over_queries(of_model(signals, "rank", target))
