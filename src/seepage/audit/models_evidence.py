"""What an attack on one model is shown: answers, and who was trained on what, but not the target's.

The one place where membership meets the attacks' evidence, and where the target's is taken out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from seepage._rng import child
from seepage.audit.rehearsal import rehearse
from seepage.observe import RunStore, read_signals
from seepage.records import UserError
from seepage.reference import Bench, Measuring, ModelStore, complement, paired
from seepage.signals import SIGNALS

if TYPE_CHECKING:
    from seepage.audit.pool import Pool
    from seepage.protocols import Attack
    from seepage.study import Study

FEATURES = 512
"""Features of a record that an attack is given as they are; of more, as many random projections."""

PROJECTED = 64
"""Random projections given where a record has more features than that."""

FEW = 6
"""Reference models whose whole answers are read, for the attacks that read whole answers."""


def evidence(signals: xr.Dataset, target: int, *, without: Iterable[int] = ()) -> xr.Dataset:
    """``signals`` as the attacker of model ``target`` has them.

    Guarantees:
        * the target's row of ``member`` is False throughout;
        * a model trained on exactly the records that the target was not is left out, since the
          target's membership can be read off it.

    Args:
        signals: Signals of all models, with ``member``.
        target: The model attacked.
        without: Further models to leave out.
    """
    models = signals.indexes["model"].to_numpy()
    if "member" not in signals:
        return signals
    member = signals["member"].transpose("model", "sample")
    row = int(np.flatnonzero(models == target)[0])
    pool = ~_public(signals)
    hidden = complement(member.to_numpy()[:, pool], row)
    gone = {*without} | ({int(models[hidden])} if hidden is not None else set())
    shown = signals.sel(model=[m for m in models if m == target or int(m) not in gone])
    blank = shown["member"] & (shown["model"] != target)
    return shown.assign(member=blank.transpose("model", "sample"))


def _public(signals: xr.Dataset) -> np.ndarray:
    if "public" in signals:
        return signals["public"].to_numpy().astype(bool)
    return np.zeros(signals.sizes["sample"], dtype=bool)


def load_answers(
    store: ModelStore,
    keys: Sequence[str],
    asked: Measuring,
    assignment: xr.Dataset,
    names: Sequence[str],
) -> xr.Dataset:
    """The signals of every model as one Dataset over ``model, sample`` (and ``query``).

    Args:
        store: Where the answers are.
        keys: The models' names.
        asked: What they were asked.
        assignment: Who was trained on what, see :func:`assignment_of`.
        names: Signals to read; those that were not asked for are left out.
    """
    dims = ("model", "sample", "query")[: 3 if asked.queries > 1 else 2]
    variables = {
        name: (dims, np.stack([store.read_answers(key, asked, name) for key in keys]))
        for name in names
        if name in asked.names
    }
    return assignment.assign(variables)


def assignment_of(bench: Bench, pool: Pool, member: np.ndarray) -> xr.Dataset:
    """Who is trained on what, over the records asked about: ``member, label, public, canary``."""
    ids = bench.measuring.ids
    everyone = np.zeros((len(member), len(ids)), dtype=bool)
    everyone[:, np.searchsorted(ids, pool.ids)] = member
    return xr.Dataset(
        {
            "member": (("model", "sample"), everyone),
            "label": (("sample",), bench.dataset.labels.cpu().numpy()[ids]),
            "public": (("sample",), np.isin(ids, pool.public)),
            "canary": (("sample",), np.isin(ids, pool.canaries)),
        },
        coords={"model": np.arange(len(member)), "sample": ids},
    )


def with_logits(
    signals: xr.Dataset, target: int, *, store: ModelStore, keys: Sequence[str], asked: Measuring
) -> xr.Dataset:
    """``signals`` of the target and a few others, with their whole answers beside them."""
    models = [int(m) for m in signals.indexes["model"]]
    few = sorted([target, *[m for m in models if m != target][:FEW]])
    logits = [store.read_answers(keys[m], asked, "logits") for m in few]
    values = np.stack(logits).astype(np.float32)
    return signals.sel(model=few).assign(logits=(("model", "sample", "class"), values))


def read_run(folder: Path) -> tuple[xr.Dataset, ModelStore, list[str], Measuring]:
    """The signals of a black-box audit's run folder, and where its whole answers are.

    Raises:
        UserError: A model's answers are missing.
    """
    manifest, assignment = RunStore(folder).manifest(), read_signals(folder / "assignment.npz")
    facts = manifest["asked"]
    asked = Measuring(
        ids=assignment.indexes["sample"].to_numpy().astype(np.int64),
        names=tuple(facts["names"]),
        queries=facts["queries"],
        logits=facts["logits"],
        respond=facts["respond"],
    )
    store, keys = ModelStore(folder / facts["store"]), list(manifest["models"])
    missing = [number for number, key in enumerate(keys) if not store.has_answers(key, asked)]
    if missing:
        raise UserError(
            f"{folder}: the answers of model {missing[0]} ({len(missing)} in all) are not in "
            f"{store.folder}. Run the same audit again: it goes on where it was."
        )
    return load_answers(store, keys, asked, assignment, asked.names), store, keys, asked


def features(bench: Bench) -> np.ndarray:
    """The records asked about as rows of numbers, shape ``(n, features)``, float32."""
    rows = bench.dataset.inputs[bench.measuring.ids].reshape(len(bench.measuring.ids), -1)
    values = rows.cpu().numpy()
    if values.shape[1] <= FEATURES:
        return values
    directions = child(bench.seed, "reference", "projections").normal(
        size=(values.shape[1], PROJECTED)
    )
    return values @ (directions / np.sqrt(PROJECTED)).astype(np.float32)


def rehearse_models(
    attacks: Mapping[str, Attack], study: Study, *, features: int, public: int
) -> tuple[dict[str, Attack], dict[str, str]]:
    """Which attacks this study allows, found out on noise; see :func:`~rehearsal.rehearse`."""
    count = study.reference.models or 0
    read = attacks.values()
    needs = {name for attack in read for name in (*attack.needs, *attack.also)}
    noise = _noise(count, study.reference.queries, needs, min(features, 8), public)
    return rehearse(attacks, evidence(noise, 2), targets=[2], named=study.attacks.names is not None)


def _noise(models: int, queries: int, needs: set[str], features: int, public: int) -> xr.Dataset:
    rng, samples = child(0, "rehearsal", "models"), 60
    known = np.arange(samples) < min(public, 20)
    each = ("model", "sample", "query")[: 3 if queries > 1 else 2]
    sizes = {"model": models, "sample": samples, "query": queries}
    variables: dict[str, tuple[tuple[str, ...], np.ndarray]] = {
        name: (each, rng.exponential(size=[sizes[dim] for dim in each]).astype(np.float32))
        for name in sorted(needs & set(SIGNALS))
    }
    for name in ("confidence", "correct"):
        if name in variables:
            variables[name] = (each, (variables[name][1] > 0.5).astype(np.float32))
    variables |= {
        "member": (("model", "sample"), paired(models, samples, seed=0) & ~known),
        "label": (("sample",), rng.integers(0, 3, samples)),
        "public": (("sample",), known),
        "input": (("sample", "feature"), rng.normal(size=(samples, features))),
        "logits": (("model", "sample", "class"), rng.normal(size=(models, samples, 3))),
    }
    kept = {
        name: value for name, value in variables.items() if name in needs | {"public", "member"}
    }
    return xr.Dataset(kept, coords={"model": np.arange(models), "sample": np.arange(samples)})
