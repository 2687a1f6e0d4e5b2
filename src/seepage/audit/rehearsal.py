"""Attacks tried on made-up signals of the study's shape, before hours of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from seepage._rng import child
from seepage.records import UserError
from seepage.signals import SIGNALS

if TYPE_CHECKING:
    from seepage.protocols import Attack

SAMPLES = 40


def rehearse(
    attacks: Mapping[str, Attack], signals: xr.Dataset, *, targets: Sequence[int], named: bool
) -> tuple[dict[str, Attack], dict[str, str]]:
    """Which attacks can be run on signals of a shape, found out by running them on noise.

    Args:
        attacks: The attacks by name.
        signals: Noise of that shape.
        targets: The clients asked about.
        named: Whether the study names its attacks: then one that cannot be run is an error, and
            else it is left out.

    Returns:
        The attacks that can be run, and for each of the others the reason.

    Raises:
        UserError: A named attack cannot be run, or none can.
    """
    able, left_out = dict(attacks), {}
    for name, attack in attacks.items():
        try:
            for target in targets:
                attack(signals, target)
        except UserError as error:
            if named:
                raise
            del able[name]
            left_out[name] = str(error)
    if not able:
        raise UserError(f"no attack can be run on this study. {next(iter(left_out.values()))}")
    return able, left_out


def noise_like(signals: xr.Dataset) -> xr.Dataset:
    """Noise of the shape of ``signals``, with its ids, rounds and clients, on few samples."""
    few = signals.isel(sample=slice(SAMPLES))
    rng = child(0, "rehearsal")
    return few.map(lambda values: values.copy(data=rng.exponential(size=values.shape)))


def noise(attacks: Mapping[str, Attack], present: Mapping[int, Sequence[int]]) -> xr.Dataset:
    """Noise of the shape of a federation's signals.

    Args:
        attacks: Their signals are made.
        present: The clients that take part in each observed round; the others are NaN there.
    """
    rng = child(0, "rehearsal")
    clients = sorted(set().union(*present.values()))
    coords = {"sample": np.arange(SAMPLES), "round": sorted(present), "client": clients}
    variables = {}
    for name in sorted({name for attack in attacks.values() for name in attack.needs}):
        dims = SIGNALS[name].dims if name in SIGNALS else tuple(coords)
        array = xr.DataArray(
            rng.exponential(size=[len(coords[dim]) for dim in dims]),
            dims=dims,
            coords={dim: coords[dim] for dim in dims},
        )
        if "client" in dims:
            there = [
                [client in present[number] for client in clients] for number in sorted(present)
            ]
            mask = xr.DataArray(there, dims=("round", "client"))
            array = array.where(mask)
        variables[name] = array
    return xr.Dataset(variables)
