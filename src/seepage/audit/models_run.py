"""A black-box audit from its first training to its report."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seepage import __version__
from seepage.audit.best import AT, best_rows
from seepage.audit.blind import blind_rows
from seepage.audit.claim import claim_of
from seepage.audit.folder import finished, save_result
from seepage.audit.models import PreparedModels
from seepage.audit.models_evidence import features, load_answers, with_logits
from seepage.audit.models_score import (
    choose_on_references,
    model_questions,
    model_scores_frame,
    score_models,
)
from seepage.audit.result import Result
from seepage.audit.score import DEFAULT_FPR, Scored, attack_rows
from seepage.observe import RunStore, write_signals
from seepage.records import HELD_OUT, Candidates, Truth, UserError
from seepage.reference import ModelStore, share_of, train_models
from seepage.results import Blind, Results, Seconds, Utility

if TYPE_CHECKING:
    from collections.abc import Iterator

    import xarray as xr

    from seepage.audit.prepare import Prepared
    from seepage.training import Executor

Progress = Callable[[str, int, int], None]


def run_models(
    prepared: PreparedModels,
    *,
    out: Path | None = None,
    store: Path | None = None,
    executor: Executor | None = None,
    progress: Progress | None = None,
    draw: bool = True,
) -> Result:
    """Train what is not yet trained, ask every model, attack the targets, report.

    Args:
        prepared: The study, made ready.
        out: The run folder; None writes nothing that stays.
        store: Where finished models are kept and looked for; ``out/models`` if None.
        executor: Anything with ``submit``, to train with instead of processes of our own.
        progress: Told how far the work is.
        draw: Whether the folder gets its report and figures.
    """
    tell = progress or (lambda stage, done, total: None)
    if done := finished(out, prepared.fingerprint, prepared.attacks):
        return done
    with _model_store(store, out) as models:
        began = time.perf_counter()
        begin_models(prepared, out, store)
        train_models(
            prepared.bench,
            models,
            workers=prepared.workers,
            executor=executor,
            tell=partial(tell, "training"),
        )
        training = time.perf_counter() - began
        began = time.perf_counter()
        signals = _signals(prepared, models)
        results, scored = _audit(prepared, models, signals, tell)
    spent = Seconds(
        data=prepared.seconds,
        training=training,
        signals=0.0,
        attacks=time.perf_counter() - began,
        report=0.0,
    )
    result = Result(
        results=results.model_copy(update={"seconds": spent}),
        scores=model_scores_frame(
            scored, prepared.member[prepared.targets], prepared.pool.ids, prepared.targets
        ),
        signals=signals,
        truth=None,
        folder=out,
    )
    return save_result(result, prepared.dataset, tell, draw=draw) if out is not None else result


def train_share(
    prepared: Prepared | PreparedModels,
    *,
    index: int,
    of: int,
    out: Path,
    store: Path | None = None,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> int:
    """Train and question one share of a study's models, and attack none.

    Returns:
        How many models the share has.

    Raises:
        UserError: The study has no reference models, or there is no such share.
    """
    if not isinstance(prepared, PreparedModels):
        raise UserError(
            "this study trains no reference models. Set reference.models, for example with "
            "--set reference.models=16."
        )
    numbers = share_of(prepared.bench.models, index, of)
    tell = progress or (lambda stage, done, total: None)
    begin_models(prepared, out, store)
    with _model_store(store, out) as models:
        train_models(
            prepared.bench,
            models,
            numbers=numbers,
            workers=prepared.workers,
            executor=executor,
            tell=partial(tell, "training"),
        )
    return len(numbers)


def begin_models(prepared: PreparedModels, out: Path | None, store: Path | None) -> None:
    """Claim the run folder and write the assignment down, before any training."""
    if out is None:
        return
    study, asked = prepared.study, prepared.bench.measuring
    RunStore(out).begin(
        {
            "fingerprint": prepared.fingerprint,
            "seepage": __version__,
            "seed": study.seed,
            "data_checksum": prepared.dataset.checksum,
            "plan": prepared.plan,
            "study": study.model_dump(),
            "models": list(prepared.bench.keys),
            "asked": {
                "names": asked.names,
                "queries": asked.queries,
                "logits": asked.logits,
                "respond": asked.respond,
                "store": os.path.relpath(store or out / "models", out),
            },
        }
    )
    write_signals(out / "assignment.npz", prepared.assignment)


@contextmanager
def _model_store(store: Path | None, out: Path | None) -> Iterator[ModelStore]:
    folder = store or (out / "models" if out is not None else None)
    if folder is not None:
        yield ModelStore(folder)
        return
    with tempfile.TemporaryDirectory(prefix="seepage-models-") as temporary:
        yield ModelStore(temporary)


def _signals(prepared: PreparedModels, models: ModelStore) -> xr.Dataset:
    read = prepared.attacks.values()
    needed = {name for attack in read for name in (*attack.needs, *attack.also)}
    bench = prepared.bench
    names = sorted(needed | {"correct"})
    signals = load_answers(models, bench.keys, bench.measuring, prepared.assignment, names)
    if "input" in needed:
        signals = signals.assign(input=(("sample", "feature"), features(bench)))
    return signals


def _audit(
    prepared: PreparedModels, models: ModelStore, signals: xr.Dataset, tell: Progress
) -> tuple[Results, list[Scored]]:
    study, ids, targets = prepared.study, prepared.pool.ids, prepared.targets
    attacks, bench, member = prepared.attacks, prepared.bench, prepared.member
    logits = partial(with_logits, store=models, keys=bench.keys, asked=bench.measuring)
    told = partial(tell, "attacks")
    scored = score_models(attacks, signals, ids, targets, with_logits=logits, tell=told)
    canary = np.isin(ids, prepared.pool.canaries)
    chosen = choose_on_references(
        attacks, signals, member, ids, targets, canaries=canary, with_logits=logits
    )
    asked = list(model_questions(member[targets], targets, canary))
    rows = attack_rows(
        scored,
        asked,
        ids,
        fprs=sorted({*(study.metrics.fpr or DEFAULT_FPR), float(AT)}, reverse=True),
        confidence=study.metrics.confidence,
        seed=study.seed,
    )
    results = Results(
        seepage=__version__,
        fingerprint=prepared.fingerprint,
        study=study.model_dump(),
        utility=utility(signals, prepared, canary),
        attacks=rows,
        blind=_blind(prepared, scored, canary),
        best=best_rows(rows, scored, asked, ids, chosen, confidence=study.metrics.confidence),
        claim=claim_of(prepared, scored, chosen, canary),
        seconds=Seconds(data=0.0, training=0.0, signals=0.0, attacks=0.0, report=0.0),
    )
    return results, scored


def utility(signals: xr.Dataset, prepared: PreparedModels, canary: np.ndarray) -> Utility:
    """Accuracy on what a model was and was not trained on, canaries left out; over the targets."""
    correct: Any = signals["correct"].sel(sample=prepared.pool.ids)
    if "query" in correct.dims:
        correct = correct.isel(query=0)
    right = correct.to_numpy()[prepared.targets][:, ~canary]
    member = prepared.member[prepared.targets][:, ~canary]
    inside = [float(row[mine].mean()) for row, mine in zip(right, member, strict=True)]
    outside = [float(row[~mine].mean()) for row, mine in zip(right, member, strict=True)]
    return Utility(
        train_accuracy=float(np.mean(inside)),
        test_accuracy=float(np.mean(outside)),
        test_deviation=float(np.std(outside, ddof=1)) if len(outside) > 1 else None,
        per_round=[],
    )


def _blind(prepared: PreparedModels, scored: list[Scored], canary: np.ndarray) -> Blind:
    """The checks on the first target: labels, inputs and placebos must tell nothing."""
    target, ids = prepared.targets[0], prepared.pool.ids
    plain, asked = ~canary, np.asarray(ids)
    owner = np.where(prepared.member[target], target, HELD_OUT)[plain]
    first = [
        Scored(
            name=one.name,
            attack=one.attack,
            values=one.values[:1, plain],
            seconds=one.seconds[:1],
        )
        for one in scored
    ]
    found = blind_rows(
        first,
        Truth(ids=asked[plain], owner=owner.astype(np.int64)),
        [target],
        candidates=Candidates(
            ids=asked[plain],
            inputs=prepared.dataset.inputs[asked[plain]],
            labels=prepared.dataset.labels[asked[plain]],
        ),
        seed=prepared.study.seed,
    )
    rows = [row for row in found.rows if row.block == "held_out"]  # the mix is the same records
    return found.model_copy(update={"rows": rows})
