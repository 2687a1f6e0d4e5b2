"""From scores to a yes or no, where the attack itself does not say one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

if TYPE_CHECKING:
    from seepage.protocols import Score


def by_two_groups(signals: xr.Dataset, target: int, *, score: Score) -> xr.DataArray:
    """Whether each sample is in the upper of the :func:`two_groups` of the target's scores.

    Args:
        signals: What ``score`` reads.
        target: Client asked about.
        score: The attack's score.

    Returns:
        Bool, over ``sample``.

    Raises:
        UserError: As for ``score``.
    """
    return two_groups(score(signals, target))


def two_groups(score: xr.DataArray) -> xr.DataArray:
    r"""The upper of the two groups that the scores themselves fall into.

    The cut maximises the variance between the two groups,

    .. math:: n_0 n_1 (\bar s_1 - \bar s_0)^2

    over all cuts between neighboring distinct scores, which is the same as the least variance
    within them: two-means on a line, solved exactly. It needs no truth, and not the share of
    members either. Of cuts that are equally good the highest is taken.

    Guarantees:
        * the order of the samples does not matter, nor does a positive scale or a shift of scores;
        * samples of equal score are in the same group;
        * nothing is in the upper group where all scores are equal.

    Args:
        score: Over ``sample``, finite.

    Returns:
        Bool, over ``sample``: True above the cut.

    References:
        | A threshold selection method from gray-level histograms (Otsu, 1979)
    """
    values = score.to_numpy().astype(np.float64)
    order = np.sort(values)
    cuts = np.flatnonzero(order[1:] > order[:-1]) + 1
    if not len(cuts):
        return xr.zeros_like(score, dtype=bool)
    centred = order - order.mean()
    below = np.cumsum(centred)[cuts - 1]  # of the whole the sum is 0, so above it is the negative
    between = below**2 * len(order) ** 2 / (cuts * (len(order) - cuts))
    best = cuts[len(cuts) - 1 - np.argmax(between[::-1])]
    return score >= order[best]
