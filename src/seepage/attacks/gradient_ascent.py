r"""Gradient ascent (Nasr et al., 2019): raise the loss on a record and see whether it falls back.

An active adversary adds :math:`\gamma\, \nabla_w \ell(w; x_j, y_j)` to the parameters. Whoever
trains on the record takes its loss down again; nobody else does.
"""

from __future__ import annotations

import xarray as xr

from seepage.attacks.evidence import of_target
from seepage.records import UserError


def gradient_ascent(signals: xr.Dataset, target: int) -> xr.DataArray:
    r"""How far the loss falls over the rounds in which a participant raised it.

    .. math:: s_j = \frac{1}{T}\sum_t
        \ell(w^{t}; x_j, y_j) - \ell(w^{t+1}; x_j, y_j)

    over rounds *t* that began with :math:`w^t` and in which the insider sent a model with a higher
    loss on every candidate. Whoever holds the record pulls its loss down in the same round, so it
    ends lower, or less high, than that of a record nobody holds. The pull is that of all the others
    together: it says whether the record is one of theirs, and not whose.

    Args:
        signals: ``start_loss`` and ``global_loss`` [nat], of the global model before and after a
            round, over ``sample`` and, where they vary, ``round``. Rounds that the insider took no
            part in have no ``start_loss``.
        target: Client asked about; the score is the same for all.

    Returns:
        Score over ``sample`` [nat], higher for members, any real number.

    Raises:
        UserError: A signal is missing or has gaps, there is no such client, or the two have no
            round in common.

    References:
        | Comprehensive privacy analysis of deep learning (Nasr, Shokri, Houmansadr, 2019), active
        | attack of a local adversary

    Differs from the paper: it feeds losses, gradients and hidden layers of several rounds to an
    attack model; this is the one number that its argument is about. The loss of the insider's own
    upload is not what is compared with: records that nobody holds are raised more, and fall
    further from there, by the climb alone.
    """
    before, after = _both(signals, target, "start_loss", "global_loss")
    return (before - after).mean("round")


def gradient_ascent_isolating(signals: xr.Dataset, target: int) -> xr.DataArray:
    r"""How little is left of the loss that a server raised, after the target's own training.

    .. math:: s_j = -\frac{1}{T}\sum_t \ell(w_\mathrm{tar}^{t}; x_j, y_j)

    over rounds *t* in which the server dealt the target parameters of its own, not the global
    model's, and :math:`w_\mathrm{tar}` came back. Nobody else has a part in it.

    Args:
        signals: ``dealt_loss`` and ``loss`` [nat] over ``sample``, ``client`` and, where they vary,
            ``round``. Who was dealt nothing has no ``dealt_loss``.
        target: Client asked about. Rounds in which it was dealt nothing are left out.

    Returns:
        Score over ``sample`` [nat], higher for members, any real number.

    Raises:
        UserError: A signal is missing or has gaps, there is no such client, or it was dealt
            nothing.

    References:
        | Comprehensive privacy analysis of deep learning (Nasr, Shokri, Houmansadr, 2019), active
        | attack of a global adversary who isolates the target

    Differs from the paper: as for :func:`gradient_ascent`. Not the fall from what was dealt is the
    score: what nobody holds is raised more, so it also falls further.
    """
    return -_both(signals, target, "dealt_loss", "loss")[1].mean("round")


def _both(
    signals: xr.Dataset, target: int, raised: str, left: str
) -> tuple[xr.DataArray, xr.DataArray]:
    """Two losses in the rounds that have both."""
    before, after = xr.align(
        of_target(signals, raised, target), of_target(signals, left, target), join="inner"
    )
    if not before.sizes["round"]:
        raise UserError(
            f"the signals {raised} and {left} of client {target} have no round in common. Measure "
            "both in the same rounds."
        )
    return before, after
