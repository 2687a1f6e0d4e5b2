"""Arrays in and out of safetensors files: parameters, updates, the signals of one round."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from safetensors import SafetensorError, safe_open

from seepage.records import Round, UserError

if TYPE_CHECKING:
    from seepage.records import State


def write_state(path: Path, state: State) -> None:
    """Parameters by name, at full precision."""
    from safetensors.torch import save_file

    save_file({name: value.detach().cpu().contiguous() for name, value in state.items()}, path)


def read_state(path: Path) -> State:
    """What :func:`write_state` wrote, on the CPU."""
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: not a whole safetensors file ({error}). Run again.") from None


def write_memory(path: Path, memory: Mapping[str, State]) -> None:
    """What clients (``c003/<name>``) and server (``server/<name>``) keep for their next turn."""
    write_state(path, {f"{who}/{n}": v for who, own in memory.items() for n, v in own.items()})


def read_memory(path: Path) -> dict[str, dict[str, Any]]:
    """What :func:`write_memory` wrote, on the CPU."""
    memory: dict[str, dict[str, Any]] = {}
    for key, value in read_state(path).items():
        who, name = key.split("/", 1)
        memory.setdefault(who, {})[name] = value
    return memory


def write_updates(path: Path, what: Round, *, half: bool) -> None:
    """Each client's change ``upload - start`` under the key ``c003/<name>``.

    Args:
        path: The file to write.
        what: The round.
        half: Store float16 after dividing each tensor by its largest magnitude, which is kept
            beside it under ``scale/<key>``. That costs 3e-4 relative whatever the size of the
            change; halving the weights and taking the difference would cost a hundred times more.
            Running statistics are kept in full: a variance may fall to next to nothing, and must
            not come back negative.
    """
    import torch
    from safetensors.torch import save_file

    changes = {
        f"c{client:03d}/{name}": (value - what.start[name]).detach().cpu().contiguous()
        for client, upload in what.uploads.items()
        for name, value in upload.items()
    }
    if half:
        tiny = torch.finfo(torch.float32).tiny
        scales = {
            f"scale/{key}": v.abs().amax().clamp(min=tiny)
            for key, v in changes.items()
            if key.split("/", 1)[1] not in what.statistics
        }
        changes |= {
            key: (changes[key] / scale).to(torch.float16)
            for key, scale in ((name.removeprefix("scale/"), s) for name, s in scales.items())
        }
        changes |= scales
    save_file(changes, path)


def write_globals(path: Path, what: Round) -> None:
    """The global state before (``start/…``) and after (``after/…``) a round."""
    both = {"start": what.start, "after": what.after}
    write_state(path, {f"{when}/{k}": v for when, state in both.items() for k, v in state.items()})


def read_round(updates: Path, global_: Path, line: Mapping[str, Any]) -> Round:
    """A round from its two files and its committed line.

    What a client would have sent without a defense is not kept: ``raw_uploads`` are the uploads.
    ``aggregate`` is their weighted mean, as the stored updates give it.
    """
    from seepage.states import aggregate

    both, changes = read_state(global_), read_state(updates)
    start = {key[6:]: value for key, value in both.items() if key.startswith("start/")}
    after = {key[6:]: value for key, value in both.items() if key.startswith("after/")}
    uploads: dict[int, dict[str, Any]] = {}
    for key, value in changes.items():
        client, name = key.split("/", 1)
        if client == "scale":
            continue
        upload = uploads.setdefault(int(client[1:]), {})
        change = value.to(start[name].dtype) * changes.get(f"scale/{key}", 1.0)
        upload[name] = (start[name] + change).to(start[name].dtype)
    ordered = {client: uploads[client] for client in sorted(uploads)}
    weights = {int(k): w for k, w in line["weights"].items()}
    return Round(
        number=line["round"],
        start=start,
        uploads=ordered,
        weights=weights,
        after=after,
        learning_rate=line["learning_rate"],
        raw_uploads=ordered,
        aggregate=aggregate(ordered, weights),
    )


def write_signals(path: Path, signals: xr.Dataset) -> None:
    """The signals of one round: every variable and coordinate, and the dims of each."""
    from safetensors.numpy import save_file

    arrays = {str(k): np.ascontiguousarray(v.values) for k, v in signals.variables.items()}
    dims = {str(k): list(map(str, v.dims)) for k, v in signals.variables.items()}
    save_file(arrays, path, metadata={"dims": json.dumps(dims)})


def read_signals(path: Path) -> xr.Dataset:
    """What :func:`write_signals` wrote."""
    try:
        with safe_open(path, framework="numpy") as file:
            dims = json.loads(file.metadata()["dims"])
            arrays = {name: (dims[name], file.get_tensor(name)) for name in dims}
    except (SafetensorError, OSError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not a signals file of a round ({error}).") from None
    coords = {name: value for name, value in arrays.items() if value[0] == [name]}
    return xr.Dataset({k: v for k, v in arrays.items() if k not in coords}, coords=coords)


def join_rounds(measured: dict[int, xr.Dataset]) -> xr.Dataset:
    """One Dataset from the signals of single rounds, joined by sample id.

    A client that took no part in a round is NaN there. The samples must be the same in all.
    """
    parts = [measured[number].expand_dims(round=[number]) for number in sorted(measured)]
    ids = parts[0].indexes["sample"]
    if not all(part.indexes["sample"].equals(ids) for part in parts):
        raise ValueError("every round must be measured on the same candidates, in the same order")
    if any(set(part.data_vars) != set(parts[0].data_vars) for part in parts):
        raise ValueError("every round must be measured in the same signals")
    return xr.concat(parts, dim="round", join="outer", data_vars="all")
