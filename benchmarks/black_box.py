"""What a black-box audit costs on Location30, and what attacks on many models cost.

Run: SEEPAGE_DATA=… python -m benchmarks.black_box     (about ten minutes on two cores)

Location30 where it is found, else made-up records of its shape (and then no AUC is quoted). CPU
seconds are this process's and its workers'. Times of one thing are medians of three turns after
one to warm up, unless it takes minutes.
"""

from __future__ import annotations

import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

from seepage import build_study
from seepage.attacks import ATTACKS
from seepage.audit import keep_freed_memory, prepare, run_prepared
from seepage.audit.models import PreparedModels
from seepage.audit.models_evidence import load_answers, with_logits
from seepage.audit.models_score import score_models
from seepage.data import is_found
from seepage.defenses.hamp import modify_output
from seepage.reference import Measuring, ModelStore, paired, train_models

TURNS = 3
LOCATION = {
    "data": {"name": "location30", "clients": 1},
    "model": {"options": {"hidden": [128], "activation": "tanh"}},
    "federation": {
        "rounds": 1,
        "local_epochs": 50,
        "batch_size": 64,
        "learning_rate": 0.1,
        "momentum": 0.9,
    },
}


def location(may_spawn: bool = False, **changes: Any) -> PreparedModels:
    """The task that a peer was timed on: half of 5,010 records, an MLP of 128, 50 epochs."""
    study = build_study({**LOCATION, **changes})
    rng = np.random.default_rng(0)
    made_up = (rng.integers(0, 2, (5010, 446)).astype(np.float32), np.arange(5010) % 30)
    data = None if is_found("location30") else made_up
    prepared = prepare(study, data=data, may_spawn=may_spawn)
    assert isinstance(prepared, PreparedModels)
    return prepared


def cpu() -> float:
    """CPU seconds of this process and of the workers that have ended."""
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in both)


def median(what: Callable[[], object]) -> float:
    """Median wall-clock seconds over the turns."""
    taken = []
    for _ in range(TURNS + 1):
        began = time.perf_counter()
        what()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken[1:])


def lira() -> list[str]:
    """Eight models, target included, and LiRA with a fixed variance on one of them."""
    attacks = {"names": ["lira_online", "lira_online_fixed"]}
    began, before = time.perf_counter(), cpu()
    prepared = location(reference={"models": 8, "targets": [0]}, attacks=attacks)
    result = run_prepared(prepared)
    spent, taken = cpu() - before, time.perf_counter() - began
    areas = {row.name: row.auc for row in result.results.attacks if row.block == "held_out"}
    found = ", ".join(f"`{name}` {area:.3f}" for name, area in areas.items())
    return ["8 models and LiRA", f"{spent:.1f} CPU s, {taken:.1f} s; AUC {found}", "12 CPU s, 0.93"]


def many() -> list[str]:
    """128 models of the same, on all cores."""
    attacks = {"names": ["lira_online"]}
    with tempfile.TemporaryDirectory() as folder:
        prepared = location(True, reference={"models": 128, "targets": [0]}, attacks=attacks)
        began = time.perf_counter()
        train_models(prepared.bench, ModelStore(folder), workers=prepared.workers)
        taken = time.perf_counter() - began
    return ["128 models trained and asked", f"{taken:.0f} s", "120 s"]


def selena() -> list[str]:
    """One model with SELENA (26 trainings) beside one undefended."""
    settings = {"reference": {"models": 6}, "attacks": {"names": ["loss"]}}
    plain = location(**settings).bench
    defended = location(defense={"name": "selena"}, **settings).bench
    times = {"plain": [], "selena": []}
    for turn in range(TURNS + 1):
        for name, bench in (("plain", plain), ("selena", defended)):
            began = time.perf_counter()
            bench.fit([0])
            if turn:
                times[name].append(time.perf_counter() - began)
    one, all_of = (statistics.median(times[name]) for name in ("plain", "selena"))
    return ["SELENA over one model", f"{all_of / one:.1f}× ({all_of:.1f} s, {one:.2f} s)", "12×"]


def memguard() -> list[str]:
    """2,700 answers changed by MemGuard."""
    prepared = location(
        reference={"models": 6, "records": 2350, "public": 350},
        defense={"name": "memguard", "options": {"epochs": 100}},
        attacks={"names": ["loss"]},
    )
    fitted = prepared.bench.fit([0])[0]
    taken = median(lambda: prepared.bench.measure(0, fitted))
    count = len(prepared.bench.measuring.ids)
    return [f"MemGuard on {count:,} queries", f"{taken:.1f} s", "10 s"]


def modification() -> list[str]:
    """HAMP's answers for 100,000 queries of 100 classes."""
    said, random = (torch.randn(100_000, 100, generator=torch.manual_seed(s)) for s in (0, 1))
    taken = median(lambda: modify_output(said, random))
    return ["HAMP's modification of 100,000 × 100 answers", f"{taken:.2f} s", "1 s"]


def every_attack() -> list[str]:
    """All attacks on one of 128 models × 50,000 records of 10 classes, from the store on disk."""
    models, records, classes = 128, 50_000, 10
    names = ("correct", "confidence", "entropy", "loss", "modified_entropy", "rank", "scaled_logit")
    asked = Measuring(ids=np.arange(records), names=names, logits=True)
    member, rng = paired(models, records, seed=0), np.random.default_rng(0)
    keys = [f"model{number:03}" for number in range(models)]
    with tempfile.TemporaryDirectory() as folder:
        store = ModelStore(folder)
        for key, mine in zip(keys, member, strict=True):
            scaled = (rng.normal(size=records) + mine).astype(np.float32)
            found = dict.fromkeys(names, scaled) | {
                "rank": np.round(np.abs(scaled)),
                "correct": (scaled > 0).astype(np.float32),
                "logits": rng.normal(size=(records, classes)).astype(np.float16),
            }
            store.put_answers(key, asked, found)
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
        assignment = xr.Dataset(
            {
                "member": (("model", "sample"), member),
                "label": (("sample",), rng.integers(0, classes, records)),
            },
            coords={"model": np.arange(models), "sample": asked.ids},
        )
        attacks = {n: a for n, a in ATTACKS.items() if a.over == "model" and not a.only_by_name}
        began = time.perf_counter()
        signals = load_answers(store, keys, asked, assignment, names)
        logits = partial(with_logits, store=store, keys=keys, asked=asked)
        score_models(attacks, signals, asked.ids, [0], with_logits=logits)
        taken = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    what = f"{len(attacks)} attacks on {models} models × {records:,} records ({size / 1e9:.2f} GB)"
    return [what, f"{taken:.1f} s, peak of the whole process {peak:.1f} GB", "10 s, 2 GB"]


def main() -> str:
    """One table."""
    keep_freed_memory()
    lines = ["| what | measured | mark |", "|---|---|---|"]
    for part in (every_attack, modification, lira, selena, memguard, many):
        print(f"  {part.__name__} …", flush=True)
        lines.append("| " + " | ".join(part()) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(main())
