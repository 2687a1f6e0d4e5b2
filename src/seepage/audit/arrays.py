"""Arrays in, verdict out: attacks on signals that were measured anywhere."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from seepage import __version__
from seepage.audit.anyone import answerable, ask_anyone, on_sums, score_anyone
from seepage.audit.blind import blind_rows
from seepage.audit.choice import attacks_over, choose_attacks
from seepage.audit.folder import refuse_audit_folder, save_result
from seepage.audit.rehearsal import noise_like, rehearse
from seepage.audit.result import Result
from seepage.audit.score import (
    NOTHING_SHARED,
    align,
    attack_rows,
    questions,
    score_attacks,
    scores_frame,
)
from seepage.audit.victim import declared_classes
from seepage.observe import read_signals, read_truth
from seepage.records import UserError
from seepage.results import Results, Seconds

if TYPE_CHECKING:
    import xarray as xr

    from seepage.protocols import Attack
    from seepage.records import Truth


def attack_signals(
    signals: xr.Dataset | str | Path,
    truth: Truth | str | Path,
    *,
    attacks: Sequence[str] | None = None,
    targets: Sequence[int] | None = None,
    out: str | Path | None = None,
    seed: int = 0,
) -> Result:
    """Run attacks on a signals file and score them against the truth.

    Args:
        signals: A Dataset over dims out of ``sample, round, client``, or a file of one.
        truth: Who owns each sample, or a CSV or Parquet file with columns ``sample, owner``.
        attacks: Names of attacks; None runs every one whose signals are there.
        targets: Clients to ask about; None asks about every owner that has signals.
        out: Folder for ``results.json``, ``scores.parquet``, report and figures; None writes none.
        seed: Seed of the placebo.

    Raises:
        UserError: A file is wrong, an attack's signal is missing, or a target owns no sample.
    """
    began = time.perf_counter()
    refuse_audit_folder(out)
    measured = read_signals(signals) if isinstance(signals, str | Path) else signals
    owners = read_truth(truth) if isinstance(truth, str | Path) else truth
    asked = sorted(set(targets)) if targets is not None else _targets(measured, owners)
    measured, owners = align(measured, owners, asked)
    chosen, left_out = _attacks(measured, attacks, asked)
    chosen, unasked = answerable(chosen, owners, named=attacks is not None)
    loaded = time.perf_counter()
    scored = score_attacks(chosen, measured, owners, asked)
    everyone = score_anyone(chosen, scored, measured, owners, asked)
    said = declared_classes(measured)
    rows = attack_rows(scored, list(questions(owners, asked)), owners.ids, seed=seed, declared=said)
    rows += attack_rows(everyone, ask_anyone(owners), owners.ids, seed=seed)
    scored += on_sums(everyone)
    results = Results(
        seepage=__version__,
        fingerprint=_fingerprint(scored, owners.owner),
        study={"signals": _said(signals), "truth": _said(truth), "targets": asked, "seed": seed},
        utility=None,
        attacks=rows,
        blind=blind_rows(scored, owners, asked, candidates=None, seed=seed),
        seconds=Seconds(
            data=loaded - began,
            training=0.0,
            signals=0.0,
            attacks=time.perf_counter() - loaded,
            report=0.0,
        ),
    )
    result = Result(
        results=results,
        scores=scores_frame(scored, owners, asked),
        signals=measured,
        truth=owners,
        folder=None if out is None else Path(out),
        left_out=left_out | unasked,
    )
    return save_result(result, None, lambda *_: None) if out is not None else result


def truth_beside(signals: Path) -> Path | None:
    """The truth in the run folder of a federation; None where models hold their own truth.

    Raises:
        UserError: These are a federation's signals and their truth is not there, or it is a folder
            of several runs: saying what to give.
    """
    if (signals / "truth.parquet").exists():
        return signals / "truth.parquet"
    if (signals / "assignment.npz").exists():
        return None
    if (signals / "manifest.json").exists() and (signals / "results.json").exists():
        raise UserError(
            f"{signals} holds an inversion, which measures no signals. Give the folder of an audit "
            "of membership."
        )
    if (signals / "manifest.json").exists():
        raise UserError(
            f"{signals} is not finished, so its truth is not written yet. Run the same "
            "`seepage audit` again, which goes on where it was."
        )
    runs = sorted(found.parent for found in signals.glob("**/manifest.json"))
    if runs:
        raise UserError(f"{signals} holds several runs. Give the folder of one, such as {runs[0]}.")
    if "model" in read_signals(signals).dims:
        return None
    raise UserError("these are a federation's signals: add --truth FILE, which says who owns what.")


def _attacks(
    signals: xr.Dataset, names: Sequence[str] | None, targets: Sequence[int]
) -> tuple[dict[str, Attack], dict[str, str]]:
    table = attacks_over("client", choose_attacks(names), named=names)
    if names is not None:
        return table, {}  # what is missing is then the attack's own complaint, by name
    possible = {n: a for n, a in table.items() if set(a.needs) <= set(signals.data_vars)}
    if not possible:
        needed = sorted({name for attack in table.values() for name in attack.needs})
        there = ", ".join(map(str, signals.data_vars))
        raise UserError(
            f"no attack can run on these signals ({there}); attacks read {', '.join(needed)}. "
            "`seepage list attacks` says which reads what."
        )
    return rehearse(possible, noise_like(signals), targets=targets, named=False)


def _targets(signals: xr.Dataset, truth: Truth) -> list[int]:
    """Every owner that has both samples and signals; every owner where no signal has a client."""
    shared = np.isin(truth.ids, signals.indexes["sample"].to_numpy())
    if not shared.any():
        raise UserError(NOTHING_SHARED)
    owners = {int(k) for k in np.unique(truth.owner[shared]) if k >= 0}
    if "client" in signals.indexes:
        owners &= set(signals.indexes["client"].to_numpy().tolist())
    if not owners:
        raise UserError(
            "no client both owns samples and has signals, so there is no target. Check that the "
            "owners in the truth are the client numbers of the signals."
        )
    return sorted(owners)


def _said(where: object) -> str:
    return str(where) if isinstance(where, str | Path) else "in memory"


def _fingerprint(scored: Sequence, owner: np.ndarray) -> str:
    digest = hashlib.sha256(owner.tobytes())
    for one in scored:
        digest.update(json.dumps([one.name, __version__]).encode())
        digest.update(np.ascontiguousarray(one.values).tobytes())
    return digest.hexdigest()[:12]
