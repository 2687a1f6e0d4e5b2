r"""Attacks of an adversary who knows the clients' defense: the plain ones, on what she measures.

Each is the attack it is named after, read on the adaptive signals, which are measured through the
defense: its mixtures, augmentations or made-up labels, its loss, the coordinates that a client
sent. See :mod:`seepage.signals.adaptive` for the equations. All other properties are those of the
plain attack. That plain attacks fail against a defense says little while nobody has tried who
knows it: Tramèr et al., On adaptive attacks to adversarial example defenses (2020),
https://arxiv.org/abs/2002.08347.
"""

from __future__ import annotations

from collections.abc import Callable

import xarray as xr

from seepage.attacks.evidence import of_clients, of_target
from seepage.attacks.fedmia import fedmia_cosine, fedmia_loss
from seepage.attacks.joint import fedmia_joint
from seepage.attacks.series import avg_cosine, loss_series

PREFIX = "adaptive_"


def avg_cosine_adaptive(signals: xr.Dataset, target: int) -> xr.DataArray:
    """:func:`~seepage.attacks.series.avg_cosine` on ``adaptive_cosine``.

    Args:
        signals: ``adaptive_cosine`` over ``sample`` and, where it varies, ``round`` and ``client``.
        target: Client asked about. Rounds it took no part in are left out.

    Returns:
        Score over ``sample``, higher for members, in [-1, 1].

    Raises:
        UserError: The signal or the target is missing, or the signal has gaps.
    """
    return avg_cosine(_renamed(signals, target, adaptive_cosine=of_target), target)


def fedmia_cosine_adaptive(signals: xr.Dataset, target: int) -> xr.DataArray:
    """:func:`~seepage.attacks.fedmia.fedmia_cosine` on ``adaptive_cosine``.

    Args:
        signals: ``adaptive_cosine`` over ``sample``, ``client`` and, where it varies, ``round``.
        target: Client asked about.

    Returns:
        Score over ``sample``, higher for members, in [0, 1]. It is not a p-value.

    Raises:
        UserError: The signal, the target or the ``client`` dim is missing, the signal has gaps,
            or there are fewer than two other clients.
    """
    return fedmia_cosine(_renamed(signals, target, adaptive_cosine=of_clients), target)


def fedmia_joint_adaptive(signals: xr.Dataset, target: int) -> xr.DataArray:
    """:func:`~seepage.attacks.joint.fedmia_joint` on the three adaptive signals.

    Args:
        signals: ``adaptive_cosine`` and ``adaptive_loss`` over ``sample``, ``client`` and, where
            they vary, ``round``; ``adaptive_squared_gradient_norm`` without ``client``.
        target: Client asked about. Rounds without it, or with fewer than two others, are left out.

    Returns:
        Score over ``sample``, higher for members: log odds [nat] of the plain attack's model,
        not calibrated. It depends on the pool of candidates.

    Raises:
        UserError: A signal, the target or a ``client`` dim is missing, a signal has gaps, there
            are fewer than two other clients, or the three signals have no round in common.
    """
    plain = _renamed(
        signals,
        target,
        adaptive_cosine=of_clients,
        adaptive_loss=of_clients,
        adaptive_squared_gradient_norm=of_target,
    )
    return fedmia_joint(plain, target)


def fedmia_loss_adaptive(signals: xr.Dataset, target: int) -> xr.DataArray:
    """:func:`~seepage.attacks.fedmia.fedmia_loss` on ``adaptive_loss``.

    Args:
        signals: ``adaptive_loss`` over ``sample``, ``client`` and, where it varies, ``round``.
        target: Client asked about.

    Returns:
        Score over ``sample``, higher for members, in [0, 1]. It is not a p-value.

    Raises:
        UserError: The signal, the target or the ``client`` dim is missing, the signal has gaps,
            or there are fewer than two other clients.
    """
    return fedmia_loss(_renamed(signals, target, adaptive_loss=of_clients), target)


def loss_series_adaptive(signals: xr.Dataset, target: int) -> xr.DataArray:
    """:func:`~seepage.attacks.series.loss_series` on ``adaptive_loss``.

    Args:
        signals: ``adaptive_loss`` over ``sample`` and, where it varies, ``round`` and ``client``.
        target: Client asked about. Rounds it took no part in are left out.

    Returns:
        Score over ``sample``, higher for members; unlike the plain one's it may be above 0, as the
        losses of some defenses are below it.

    Raises:
        UserError: The signal or the target is missing, or the signal has gaps.
    """
    return loss_series(_renamed(signals, target, adaptive_loss=of_target), target)


def _renamed(
    signals: xr.Dataset, target: int, **read: Callable[[xr.Dataset, str, int], xr.DataArray]
) -> xr.Dataset:
    """Adaptive signals under the plain names, once each has passed the plain attack's own checks.

    Checked before they are renamed, so that a complaint names the signal that is really there.
    """
    for name, check in read.items():
        check(signals, name, target)
    return signals[list(read)].rename({name: name.removeprefix(PREFIX) for name in read})
