"""What an attack reads of a signals Dataset, checked once for all attacks.

A variable has dims out of ``sample, round, client``. A missing dim means that the variable does
not vary along it; ``sample`` must be there. A client that took no part in a round has no number
for any sample in it: that whole slice is NaN, and it is left out. Any other NaN is a hole in the
data and is refused, because a score with a hole in it would still look like a score.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from seepage.records import UserError


def of_target(signals: xr.Dataset, name: str, target: int) -> xr.DataArray:
    """One signal of the target client, in the rounds the target took part in.

    Args:
        signals: Signals as measured, in their natural sense.
        name: Variable to read. Without a ``client`` dim it is the same for every client.
        target: Client asked about.

    Returns:
        Dims ``round, sample``, float64, no NaN, rounds ascending, at least one of them.

    Raises:
        UserError: The variable or the target is missing, a value is missing or infinite, or the
            target took part in no round.
    """
    measure = _variable(signals, name, target)
    if "client" in measure.dims:
        measure = measure.sel(client=target, drop=True)
    measure = _whole(measure.transpose("round", "sample"))
    took_part = measure.isel(sample=0).notnull()
    if not took_part.any():
        raise UserError(
            f"signal {name!r} has no value for client {target} in any round: it took part in no "
            "observed round. Choose another target, or observe more rounds."
        )
    return measure.isel(round=took_part.to_numpy()).astype(np.float64)


def of_clients(signals: xr.Dataset, name: str, target: int) -> xr.DataArray:
    """One signal of every client, in the rounds that allow comparing the target with the others.

    A round is left out where the target took no part in it, or fewer than two others did: one
    other client has no deviation.

    Args:
        signals: Signals as measured, in their natural sense.
        name: Variable to read; it must have a ``client`` dim.
        target: Client asked about.

    Returns:
        Dims ``round, client, sample``, float64, NaN where a client other than the target took no
        part in a round; rounds ascending, at least one of them.

    Raises:
        UserError: The variable, the target or the ``client`` dim is missing, a value is missing
            or infinite, there are fewer than two other clients, or no round has the target and
            two others.
    """
    measure = of_everyone(signals, name, target)
    others = measure.sizes["client"] - 1
    if others < 2:
        raise UserError(
            f"signal {name!r} has {others} client(s) besides the target; at least 2 are needed to "
            "compare it with. Use an attack on the target alone, such as loss_series."
        )
    took_part = measure.isel(sample=0).notnull()
    usable = took_part.sel(client=target) & (took_part.sum("client") > 2)
    if not usable.any():
        raise UserError(
            f"signal {name!r}: in no observed round did client {target} and at least two others "
            "take part. Observe more rounds, or use an attack on the target alone."
        )
    return measure.isel(round=usable.to_numpy()).astype(np.float64)


def of_everyone(signals: xr.Dataset, name: str, target: int | None = None) -> xr.DataArray:
    """One signal of every client, in every round.

    Args:
        signals: Signals as measured, in their natural sense.
        name: Variable to read; it must have a ``client`` dim.
        target: Client that has to be there, if any.

    Returns:
        Dims ``round, client, sample``, NaN where a client took no part in a round; rounds
        ascending.

    Raises:
        UserError: The variable, the target or the ``client`` dim is missing, or a value is missing
            or infinite.
    """
    measure = _variable(signals, name, target)
    if "client" not in measure.dims:
        raise UserError(
            f"signal {name!r} has no client dim, so it says nothing about one client beside the "
            "others. This attack compares clients: it needs one value for each client's upload, "
            "which only the server sees."
        )
    return _whole(measure.transpose("round", "client", "sample"))


def named(signals: xr.Dataset, name: str) -> xr.DataArray:
    """One variable of ``signals``.

    Raises:
        UserError: It is not there.
    """
    if name not in signals.data_vars:
        there = ", ".join(sorted(map(str, signals.data_vars))) or "none"
        raise UserError(
            f"this attack needs the signal {name!r}; signals there are: {there}. "
            "Measure it, or leave the attack out."
        )
    return signals[name]


def check_dims(measure: xr.DataArray, name: str, allowed: tuple[str, ...]) -> None:
    """Check that ``measure`` has samples with ids, and no dims beside those and ``allowed``.

    Raises:
        UserError: It has not, or a coordinate holds a value twice.
    """
    foreign = set(map(str, measure.dims)) - {"sample", *allowed}
    if foreign or "sample" not in measure.dims or measure.sizes["sample"] == 0:
        more = f" and may have {' and '.join(allowed)}" if allowed else " and has no other"
        raise UserError(
            f"signal {name!r} needs the dim sample, at least one sample long,{more}; it has "
            f"{dict(measure.sizes) or 'none'}."
        )
    if "sample" not in measure.coords:
        raise UserError(
            f"signal {name!r} has no sample ids. Add a coordinate named sample: rows are joined "
            "by id, never by position."
        )
    for dim in measure.dims:
        index = measure.get_index(dim)
        if not index.is_unique:
            twice = index[index.duplicated()][0]
            raise UserError(f"signal {name!r} has {dim} {twice} more than once; keep one of them.")


def check_target(signals: xr.Dataset, target: int | None) -> None:
    """Check that the clients, where the signals tell any apart, have ``target`` among them.

    Raises:
        UserError: They have not.
    """
    if target is None or "client" not in signals.dims:
        return
    if target not in signals.get_index("client"):
        clients = ", ".join(map(str, signals.get_index("client")))
        raise UserError(f"there is no client {target}; clients there are: {clients}.")


def _variable(signals: xr.Dataset, name: str, target: int | None) -> xr.DataArray:
    measure = named(signals, name)
    check_dims(measure, name, ("round", "client"))
    check_target(signals, target)
    if "round" not in measure.dims:
        rounds = signals.get_index("round") if "round" in signals.dims else [1]
        measure = measure.drop_vars("round", errors="ignore").expand_dims(round=rounds)
    foreign = [c for c in measure.coords if c not in ("sample", "round", "client")]
    return measure.drop_vars(foreign).sortby("round")


def _whole(measure: xr.DataArray) -> xr.DataArray:
    """``measure`` itself, if each round and client has all of its samples or none."""
    finite = xr.apply_ufunc(np.isfinite, measure)
    if finite.all():
        return measure
    holes = ~finite & ~measure.isnull().all("sample")
    count = holes.sum("sample")
    if not count.any():
        return measure
    first = np.unravel_index(np.argmax(count.to_numpy() > 0), count.shape)
    where = ", ".join(
        f"{dim} {count[dim].to_numpy()[i]}" for dim, i in zip(count.dims, first, strict=True)
    )
    raise UserError(
        f"signal {measure.name!r} has {int(count.sum())} missing (NaN) or infinite values, the "
        f"first in {where}. A client that took no part in a round has NaN for every sample of it; "
        "anything else is a gap. Measure the signal again, or drop those samples or that round."
    )
