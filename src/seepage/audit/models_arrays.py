"""Arrays over models in, verdict out: black-box attacks on answers that were collected anywhere."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy.special import expit

from seepage import __version__
from seepage.audit.best import Choices, best_rows
from seepage.audit.blind import blind_rows
from seepage.audit.choice import attacks_over, choose_attacks
from seepage.audit.folder import refuse_audit_folder, save_result
from seepage.audit.models_evidence import read_run, with_logits
from seepage.audit.models_score import (
    WithLogits,
    choose_on_references,
    model_questions,
    model_scores_frame,
    score_models,
)
from seepage.audit.result import Result
from seepage.audit.score import Scored, attack_rows
from seepage.observe import read_signals
from seepage.records import HELD_OUT, Truth, UserError
from seepage.reference import complement
from seepage.results import Blind, Results, Seconds

if TYPE_CHECKING:
    import xarray as xr

    from seepage.protocols import Attack

Asked = Sequence[int | str]

FEWEST = 6
"""Models with which an attack can be chosen on others than the target: three pairs."""


def attack_models(
    signals: xr.Dataset | str | Path,
    *,
    attacks: Sequence[str] | None = None,
    targets: Asked | Literal["all"] = "all",
    out: str | Path | None = None,
    seed: int = 0,
) -> Result:
    """Run black-box attacks on models whose answers and members are known.

    Each target is attacked with the others as reference models, its own row of ``member`` hidden;
    a model that holds exactly the records the target does not is left out.

    Args:
        signals: A Dataset over ``model, sample`` (and ``query``) with boolean ``member``, a file
            of one, or the run folder of a black-box audit.
        attacks: Names of attacks; None runs every one whose signals are there.
        targets: Models to attack, or ``all``.
        out: Folder for ``results.json``, ``scores.parquet``, report and figures; None writes none.
        seed: Seed of the placebo.

    Raises:
        UserError: A file is wrong, an attack's signal is missing, or there is no such model.
    """
    began = time.perf_counter()
    refuse_audit_folder(out)
    measured, logits = _read(signals)
    member, ids, canary = _members(measured)
    measured = completed(measured.assign(member=measured["member"].astype(bool)))
    asked = _targets(measured, targets)
    _check_members(member, asked)
    chosen, left_out = _attacks(measured, attacks, logits), {}
    loaded = time.perf_counter()
    scored = score_models(
        chosen,
        measured,
        ids,
        asked,
        with_logits=logits,
        left_out=left_out if attacks is None else None,
    )
    chosen = {one.name: one.attack for one in scored}
    results = _audit(chosen, scored, measured, (member, ids, canary), asked, seed, logits)
    spent = results.seconds.model_copy(
        update={"data": loaded - began, "attacks": time.perf_counter() - loaded}
    )
    said = _said(signals, len(member), asked, seed)
    result = Result(
        results=results.model_copy(update={"seconds": spent, "study": said}),
        scores=model_scores_frame(scored, member[asked], ids, asked),
        signals=measured,
        truth=None,
        folder=None if out is None else Path(out),
        left_out=left_out,
        note=_telling(member, asked),
    )
    return save_result(result, None, lambda *_: None) if out is not None else result


def _audit(
    attacks: dict[str, Attack],
    scored: list[Scored],
    measured: xr.Dataset,
    truth: tuple[np.ndarray, np.ndarray, np.ndarray],
    asked: list[int],
    seed: int,
    logits: WithLogits | None,
) -> Results:
    member, ids, canary = truth
    questions = list(model_questions(member[asked], asked, canary))
    rows = attack_rows(scored, questions, ids, seed=seed)
    picked: Choices = {}
    if len(member) >= FEWEST:
        picked = choose_on_references(
            attacks, measured, member, ids, asked, canaries=canary, with_logits=logits
        )
    return Results(
        seepage=__version__,
        fingerprint=_fingerprint(scored, member),
        study={},
        utility=None,
        attacks=rows,
        blind=_blind(scored, member, ids, asked, seed),
        best=best_rows(rows, scored, questions, ids, picked) if picked else [],
        seconds=Seconds(data=0.0, training=0.0, signals=0.0, attacks=0.0, report=0.0),
    )


def _said(signals: object, models: int, targets: list[int], seed: int) -> dict[str, Any]:
    where = str(signals) if isinstance(signals, str | Path) else "in memory"
    return {"signals": where, "reference": {"models": models, "targets": targets}, "seed": seed}


def _read(signals: xr.Dataset | str | Path) -> tuple[xr.Dataset, WithLogits | None]:
    if not isinstance(signals, str | Path):
        return signals, None
    if (Path(signals) / "assignment.npz").exists():
        measured, store, keys, asked = read_run(Path(signals))
        whole = partial(with_logits, store=store, keys=keys, asked=asked)
        return measured, whole if asked.logits else None
    return read_signals(signals), None


def completed(signals: xr.Dataset) -> xr.Dataset:
    """With loss and confidence beside a scaled logit *φ*: ``log(1 + exp(-φ))`` and ``σ(φ)``."""
    if "scaled_logit" not in signals:
        return signals
    scaled = signals["scaled_logit"].astype(np.float64)
    missing = [name for name in ("loss", "confidence") if name not in signals]
    gaps = int((~np.isfinite(scaled.to_numpy())).sum())
    if missing and gaps:
        raise UserError(
            f"signal 'scaled_logit' has {gaps} missing (NaN) or infinite values. Measure the "
            "signal again, or drop those records."
        )
    derived = {"loss": np.logaddexp(0, -scaled), "confidence": expit(scaled)}
    return signals.assign({name: derived[name] for name in missing})


def _members(signals: xr.Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Membership ``(models, n)`` of the records that can be members, their ids, their canaries."""
    if "model" not in signals.dims or "member" not in signals:
        raise UserError(
            "attacks on models need arrays over model and sample, and a boolean array member that "
            f"says who was trained on what; got {', '.join(map(str, signals.variables))}. "
            "For the clients of a federation give --truth instead of --target-model."
        )
    member = _flags(signals, "member", ("model", "sample"))
    pool, canary = np.ones(member.shape[1], dtype=bool), np.zeros(member.shape[1], dtype=bool)
    if "public" in signals:
        pool = ~_flags(signals, "public", ("sample",))
    if "canary" in signals:
        canary = _flags(signals, "canary", ("sample",))
    return member[:, pool], signals.indexes["sample"].to_numpy()[pool], canary[pool]


def _flags(signals: xr.Dataset, name: str, dims: tuple[str, ...]) -> np.ndarray:
    """A variable of truths over ``dims``, as booleans in that order."""
    measure = signals[name]
    if set(measure.dims) != set(dims) or len(measure.dims) != len(dims):
        raise UserError(
            f"the array {name} needs the dims {', '.join(dims)}, got "
            f"{', '.join(map(str, measure.dims)) or 'none'} of sizes {measure.shape}."
        )
    said = measure.transpose(*dims).to_numpy()
    odd = ~np.isin(said, (0, 1))
    if odd.any():
        raise UserError(
            f"the array {name} says true or false (1 or 0), got {said[odd].flat[0]} "
            f"({odd.sum()} such values). Write it as booleans."
        )
    return said.astype(bool)


def _check_members(member: np.ndarray, asked: Sequence[int]) -> None:
    for target in asked:
        if member[target].all() or not member[target].any():
            what = "all" if member[target].any() else "none"
            raise UserError(
                f"model {target} is said to be trained on {what} of the records, so there is "
                "nobody to tell apart. Choose another --target-model, or mend the array member."
            )


def _telling(member: np.ndarray, asked: Sequence[int]) -> str | None:
    """Why the scores of attacks with reference models may be off, or None."""
    count = member.sum(axis=0)
    if (count == count[0]).all() and all(complement(member, target) is None for target in asked):
        return (
            f"every record is in exactly {count[0]} of the {len(member)} models, so how many "
            "others hold it tells a target's membership. With few models that shifts the scores "
            "of attacks that compare IN and OUT (docs/sharp_edges.md); draw each record's models "
            "by independent coins, or in complementary pairs."
        )
    return None


def _targets(signals: xr.Dataset, asked: Asked | Literal["all"]) -> list[int]:
    """Positions of the models asked about; in a file they are numbered 0, 1, … ."""
    models = [int(m) for m in signals.indexes["model"]]
    if models != list(range(len(models))):
        raise UserError(
            f"the models of a signals file are numbered from 0 in order, got {models[:5]} …"
        )
    if asked == "all" or "all" in asked:
        return models
    found = []
    for one in asked:
        if not str(one).isdecimal() or int(one) not in models:
            raise UserError(
                f"--target-model {one}: there is no such model; models are numbered 0 to "
                f"{len(models) - 1}, or say all."
            )
        found.append(int(one))
    return sorted(set(found))


def _attacks(
    signals: xr.Dataset, names: Sequence[str] | None, logits: WithLogits | None
) -> dict[str, Attack]:
    """Those named, or every one whose signals are there."""
    table = attacks_over("model", choose_attacks(names), named=names)
    if names is not None:
        return table
    there = {str(name) for name in signals.data_vars} | ({"logits"} if logits else set())
    possible = {name: attack for name, attack in table.items() if set(attack.needs) <= there}
    if not possible:
        needed = sorted({need for attack in table.values() for need in attack.needs})
        raise UserError(
            f"no attack can run on these signals ({', '.join(sorted(there))}); attacks on models "
            f"read {', '.join(needed)}. `seepage list attacks` says which reads what."
        )
    return possible


def _blind(
    scored: Sequence[Scored], member: np.ndarray, ids: np.ndarray, asked: list[int], seed: int
) -> Blind:
    first = [
        Scored(name=s.name, attack=s.attack, values=s.values[:1], seconds=s.seconds[:1])
        for s in scored
    ]
    order = np.argsort(ids)
    owner = np.where(member[asked[0]], asked[0], HELD_OUT).astype(np.int64)
    truth = Truth(ids=ids[order].astype(np.int64), owner=owner[order])
    first = [
        Scored(name=s.name, attack=s.attack, values=s.values[:, order], seconds=s.seconds)
        for s in first
    ]
    found = blind_rows(first, truth, asked[:1], candidates=None, seed=seed)
    rows = [row for row in found.rows if row.block == "held_out"]
    return found.model_copy(update={"rows": rows})


def _fingerprint(scored: Sequence[Scored], member: np.ndarray) -> str:
    digest = hashlib.sha256(json.dumps([one.name for one in scored]).encode())
    for one in scored:
        digest.update(np.ascontiguousarray(one.values).tobytes())
    digest.update(np.ascontiguousarray(member).tobytes())
    return digest.hexdigest()[:12]
