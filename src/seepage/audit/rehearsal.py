"""Attacks tried on made-up signals of the study's shape, before hours of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from seepage._rng import child
from seepage.records import UserError
from seepage.signals import EACH, SIGNALS

if TYPE_CHECKING:
    from seepage.protocols import Attack

SAMPLES = 40
CLASSES = 10

KNOWN = ("attendance", "declared", "label")
"""Signals that nobody measures."""


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
    """Noise of the shape of ``signals``, with its ids, rounds and clients, on few samples.

    What is known and not measured (labels, who declared and who took part) stays as it is.
    """
    few = signals.isel(sample=slice(SAMPLES))
    rng = child(0, "rehearsal")
    return few.map(
        lambda values: (
            values if values.name in KNOWN else values.copy(data=rng.exponential(size=values.shape))
        )
    )


def noise(attacks: Mapping[str, Attack], present: Mapping[int, Sequence[int]]) -> xr.Dataset:
    """Noise of the shape of a federation's signals.

    Args:
        attacks: Their signals are made.
        present: The clients that take part in each observed round; the others are NaN there.

    Returns:
        A variable for each signal that an attack needs. Labels are whole numbers, every class is
        declared by one client and every client declares one, the weights of a round's clients and
        the probabilities of an answer add up to 1; an unknown signal is one of each client.
    """
    rng = child(0, "rehearsal")
    clients = sorted(set().union(*present.values()))
    coords = {
        "sample": np.arange(SAMPLES),
        "round": sorted(present),
        "client": clients,
        "class": np.arange(max(CLASSES, len(clients))),
    }
    there = [[client in present[number] for client in clients] for number in sorted(present)]
    mask = xr.DataArray(there, dims=("round", "client"))
    variables = {}
    for name in sorted({name for attack in attacks.values() for name in attack.needs}):
        dims = SIGNALS[name].dims if name in SIGNALS else EACH
        array = xr.DataArray(
            rng.exponential(size=[len(coords[dim]) for dim in dims]),
            dims=dims,
            coords={dim: coords[dim] for dim in dims},
        )
        variables[name] = _lawful(name, array, mask)
    return xr.Dataset(variables)


def _lawful(name: str, noise: xr.DataArray, there: xr.DataArray) -> xr.DataArray:
    """Noise of a signal with what attacks may rely on; ``there`` says who took part when."""
    if name == "label":
        return noise.copy(data=noise.sample.values % CLASSES)
    if name == "declared":  # every class by one client in turn, so that every client has one
        clients, classes = noise.shape
        turn = np.arange(classes) % clients
        return noise.copy(data=(np.arange(clients)[:, None] == turn).astype(float))
    if name == "attendance":
        return noise.where(there, 0.0) / noise.where(there).sum("client")
    if "class" in noise.dims:
        return noise / noise.sum("class")
    return noise.where(there) if "client" in noise.dims else noise
