"""Signals and truth as files that other programs write and read.

A *signals file* is one xarray Dataset: variables such as ``loss`` over dims out of
``sample, round, client`` (a federation) or ``model, sample, query`` (final models, with
``member``, ``label``, ``logits (…, class)`` and ``input (sample, feature)`` beside the signals); a
missing dim means that the variable does not vary along it; the coordinate ``sample`` holds integer
ids. On disk it is netCDF, Zarr (extra ``zarr``) or ``.npz``. An ``.npz`` has no dim names: a
coordinate ``model`` says that it is of final models, axes stand in the order above, coordinates
are arrays named after their dim, and an optional array of strings ``<name>__dims`` names the axes
of anything else.

*Truth* is a CSV or Parquet table with columns ``sample, owner``: the client that trained on the
sample, or -1 for one that was held out.
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from seepage._files import write_atomically
from seepage.observe.store import RunStore
from seepage.records import HELD_OUT, Truth, UserError

DIMS = ("sample", "round", "client")
MODEL_DIMS = ("model", "sample", "query")
OF_ONE_VARIABLE = ("class", "feature")
"""The last axis of ``logits`` and of ``input``."""

FIRST = {"round": 1, "client": 0, "model": 0, "query": 0}
"""Where the numbers of a dim start when the file does not give them."""

SUFFIXES = ".npz, .nc or .zarr"


def read_signals(path: str | Path) -> xr.Dataset:
    """Signals from a file, or from a run folder (or its ``signals`` folder).

    Raises:
        UserError: The file is missing, damaged, of another kind, or lacks the sample ids.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path}: no such signals file. Expected {SUFFIXES}, or a run folder.")
    for folder in (path, path.parent):
        if path.is_dir() and (folder / "manifest.json").exists():
            return RunStore(folder).signals()
    if path.suffix == ".npz":
        return _checked(_read_npz(path), path)
    if path.suffix in {".nc", ".zarr"}:
        return _checked(_read_xarray(path), path)
    raise UserError(f"{path}: not a signals file: expected {SUFFIXES}, or a run folder.")


def write_signals(path: str | Path, signals: xr.Dataset) -> None:
    """Write a signals file; the ending decides its kind (``.npz`` or ``.nc``).

    Guarantees:
        * :func:`read_signals` gives the same variables, dims and coordinates back.

    Raises:
        UserError: The ending is neither.
    """
    path = Path(path)
    if path.suffix == ".npz":
        arrays = {str(k): v.values for k, v in signals.variables.items()}
        dims = {
            f"{name}__dims": np.array(list(map(str, v.dims)), dtype=str)
            for name, v in signals.data_vars.items()
        }
        write_atomically(path, lambda part: _save_npz(part, arrays | dims))
    elif path.suffix == ".nc":
        write_atomically(path, lambda part: signals.to_netcdf(part, engine="h5netcdf"))
    else:
        raise UserError(f"{path}: signals are written as .npz or .nc; give one of these endings.")


def read_truth(path: str | Path) -> Truth:
    """Who owns each sample, from a CSV or Parquet table with columns ``sample, owner``.

    Raises:
        UserError: The file is missing, lacks a column, repeats a sample, or holds no integers.
    """
    import pandas as pd

    path = Path(path)
    if not path.exists():
        raise UserError(f"{path}: no such truth file. Expected a table with columns sample, owner.")
    try:
        table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except (ValueError, OSError) as error:
        raise UserError(f"{path}: not a CSV or Parquet table ({error}).") from None
    missing = {"sample", "owner"} - set(table.columns)
    if missing:
        raise UserError(
            f"{path}: truth needs the columns sample and owner, got {', '.join(table.columns)}. "
            "owner is the client's number, or -1 for a sample nobody trained on."
        )
    whole = table[["sample", "owner"]].apply(pd.to_numeric, errors="coerce") % 1 == 0
    if not whole.to_numpy().all():
        raise UserError(f"{path}: sample and owner must be whole numbers in every row.")
    ids, owner = (table[name].to_numpy(np.int64) for name in ("sample", "owner"))
    if len(owner) and owner.min() < HELD_OUT:
        raise UserError(f"{path}: owner is a client's number or -1, got {owner.min()}.")
    order = np.argsort(ids)
    twice = ids[order][1:][np.diff(ids[order]) == 0]
    if len(twice):
        raise UserError(f"{path}: sample {twice[0]} has two rows; a sample has one owner.")
    return Truth(ids=ids[order], owner=owner[order])


def _save_npz(path: Path, arrays: dict[str, Any]) -> None:
    with path.open("wb") as file:  # an open file, or NumPy would add an ending to the name
        np.savez_compressed(file, allow_pickle=False, **arrays)


def _read_npz(path: Path) -> xr.Dataset:
    try:
        with path.open("rb") as raw, np.lib.npyio.NpzFile(raw, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path}: not a whole .npz of plain arrays ({error}).") from None
    names = {
        key.removesuffix("__dims"): arrays.pop(key)
        for key in list(arrays)
        if key.endswith("__dims")
    }
    known = (*MODEL_DIMS, *OF_ONE_VARIABLE, *DIMS) if "model" in arrays else DIMS
    coords = {name: arrays.pop(name) for name in known if name in arrays}
    variables = {}
    for name, array in arrays.items():
        plain = _plain_dims(name, array.ndim, of_models="model" in coords)
        dims = tuple(map(str, names[name])) if name in names else plain
        if len(dims) != array.ndim:
            raise UserError(
                f"{path}: {name} has {array.ndim} axes, expected {len(dims)} ({', '.join(dims)}). "
                f"Name its axes in an array of strings called {name}__dims."
            )
        variables[name] = (dims, array)
    try:
        return xr.Dataset(variables, coords=coords)
    except ValueError as error:
        order = ", ".join(MODEL_DIMS if "model" in coords else DIMS)
        raise UserError(
            f"{path}: the arrays do not fit together: {error}. Axes stand in the order "
            f"{order} unless an array <name>__dims says otherwise."
        ) from None


def _plain_dims(name: str, axes: int, *, of_models: bool) -> tuple[str, ...]:
    """The dims of an array whose axes the file does not name."""
    if not of_models:
        return DIMS[:axes]
    if name == "logits":
        return ("model", "sample", "class")
    if name == "input":
        return ("sample", "feature")
    return ("sample",) if axes == 1 else MODEL_DIMS[:axes]


def _read_xarray(path: Path) -> xr.Dataset:
    engine = "zarr" if path.suffix == ".zarr" else None  # xarray tells netCDF 3 from 4
    try:
        return xr.load_dataset(path, engine=engine)
    except (ValueError, OSError, KeyError, ImportError) as error:
        hint = " Zarr needs `pip install seepage[zarr]`." if engine == "zarr" else ""
        raise UserError(
            f"{path}: cannot be read as {engine or 'netCDF'} ({error}).{hint}"
        ) from None


def _checked(signals: xr.Dataset, path: Path) -> xr.Dataset:
    if "sample" not in signals.coords:
        raise UserError(
            f"{path}: has no sample ids. Add an integer array named sample, one id a record: "
            "rows are joined by id, never by position."
        )
    if not signals.data_vars:
        raise UserError(f"{path}: holds no signal. Expected variables such as loss or cosine.")
    ids = signals.indexes["sample"]
    if not np.issubdtype(ids.to_numpy().dtype, np.integer) or not ids.is_unique:
        raise UserError(f"{path}: sample ids must be whole numbers, each once.")
    for name, values in signals.data_vars.items():
        if values.dtype.kind not in "fiub":
            raise UserError(f"{path}: {name} holds {values.dtype}; a signal is real numbers.")
    _check_dims(set(map(str, signals.dims)), path)
    if "model" in signals.coords:
        numbers = signals.indexes["model"]
        if not np.issubdtype(numbers.to_numpy().dtype, np.integer) or not numbers.is_unique:
            raise UserError(f"{path}: models are whole numbers, each once: a target is one.")
    for dim, first in FIRST.items():
        if dim in signals.dims and dim not in signals.coords:
            signals = signals.assign_coords({dim: np.arange(signals.sizes[dim]) + first})
    return signals


def _check_dims(dims: set[str], path: Path) -> None:
    foreign = dims - {*DIMS, *MODEL_DIMS, *OF_ONE_VARIABLE}
    if foreign:
        raise UserError(
            f"{path}: unknown dims {sorted(foreign)}; expected {', '.join(DIMS)} of a federation, "
            f"or {', '.join(MODEL_DIMS)} of final models."
        )
    mixed = dims & {"round", "client"}, dims & {"model", "query"}
    if all(mixed):
        raise UserError(
            f"{path}: signals of a federation ({', '.join(sorted(mixed[0]))}) and of final models "
            f"({', '.join(sorted(mixed[1]))}) do not go into one file. Write two."
        )
