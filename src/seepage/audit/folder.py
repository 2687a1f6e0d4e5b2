"""The last files of a run folder: scores, truth, figures, page, and ``results.json`` at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from seepage._files import write_atomically
from seepage.attacks import ATTACKS
from seepage.audit.result import Result
from seepage.audit.users import pictures_of
from seepage.observe import RunStore, read_truth
from seepage.records import Dataset, Truth, UserError
from seepage.report import write_report
from seepage.results import Results

if TYPE_CHECKING:
    import pandas as pd
    from pydantic import BaseModel

    from seepage.protocols import Attack


class Pictures(Mapping[int, np.ndarray]):
    """Raw pictures by sample id, made when asked for; empty where samples are not images."""

    def __init__(self, dataset: Dataset | None) -> None:
        self.dataset = dataset
        image = (
            dataset is not None and dataset.inputs.ndim == 4 and dataset.inputs.shape[1] in (1, 3)
        )
        self._length = len(dataset) if dataset is not None and image else 0

    def __getitem__(self, sample: int) -> np.ndarray:
        if self.dataset is None or not 0 <= sample < self._length:
            raise KeyError(sample)
        image = self.dataset.inputs[sample].cpu().numpy()
        mean, std = (np.reshape(v, (-1, 1, 1)) for v in (self.dataset.mean, self.dataset.std))
        raw = np.clip(image * std + mean, 0, 1)
        return raw[0] if len(raw) == 1 else np.moveaxis(raw, 0, -1)

    def __iter__(self) -> Iterator[int]:
        return iter(range(self._length))

    def __len__(self) -> int:
        return self._length


def refuse_audit_folder(out: str | Path | None) -> None:
    """Results of attacks on arrays may not take the place of an audit's.

    Raises:
        UserError: ``out`` holds an audit.
    """
    if out is not None and (Path(out) / "manifest.json").exists():
        raise UserError(f"{out} holds an audit, whose results would be lost. Choose another --out.")


def save_result(
    result: Result,
    dataset: Dataset | None,
    tell: Callable[[str, int, int], None],
    *,
    draw: bool = True,
) -> Result:
    """Write scores, truth, report and figures into ``result.folder``; ``results.json`` last.

    Whoever finds ``results.json`` finds the rest whole. Without ``draw`` there is no report and no
    figure until :func:`~seepage.audit.redraw_report` makes them.
    """
    folder = result.folder
    if folder is None:
        raise ValueError("the result has no folder to be written to")
    tell("report", 0, 1)
    began = time.perf_counter()
    write_parquet(folder / "scores.parquet", result.scores)
    if result.truth is not None:
        write_parquet(folder / "truth.parquet", truth_frame(result.truth))
    if draw:
        render(result, dataset)
    spent = time.perf_counter() - began
    seconds = result.results.seconds.model_copy(update={"report": spent})
    result = replace(result, results=result.results.model_copy(update={"seconds": seconds}))
    write_results(folder, result.results)
    tell("report", 1, 1)
    return result


def write_results(folder: Path, results: BaseModel) -> None:
    """Write ``results.json`` by rename."""
    text = results.model_dump_json(by_alias=True, indent=1) + "\n"
    write_atomically(folder / "results.json", lambda path: path.write_text(text, encoding="utf-8"))


def render(result: Result, dataset: Dataset | None) -> list[Path]:
    """Write ``report.html`` and the figures of a result; its pictures need the data set."""
    if result.folder is None:
        raise ValueError("the result has no folder to be written to")
    labels = None
    if dataset is not None:
        names = dataset.class_names or tuple(str(c) for c in range(dataset.classes))
        samples = result.scores["sample"].to_numpy(np.int64)
        asked = np.unique(samples) if result.truth is None else result.truth.ids
        known = asked[asked < len(dataset)]
        classes = dataset.labels[known].cpu().numpy()
        labels = {int(i): names[c] for i, c in zip(known, classes, strict=True)}
    return write_report(
        result.folder,
        result.results,
        result.scores,
        signals=result.signals,
        pictures=Pictures(dataset),
        labels=labels,
        reconstructions=_reconstructions(result),
    )


def _reconstructions(result: Result) -> dict[int, np.ndarray] | None:
    """The images that an insider kept, where there is one and its memory is still there."""
    users, folder = result.results.users, result.folder
    if users is None or users.generated is None or folder is None:
        return None
    try:
        return pictures_of(RunStore(folder).memory().get("insider", {}))
    except UserError:  # the page says all the rest
        return None


def load_result(folder: Path, fingerprint: str | None = None) -> Result | None:
    """The finished result in a run folder, or None where there is none (or another run's).

    Raises:
        UserError: Its files cannot be read.
    """
    if not (folder / "results.json").exists():
        return None
    results = read_results(folder)
    if fingerprint is not None and results.fingerprint != fingerprint:
        return None
    return Result(
        results=results,
        scores=read_scores(folder / "scores.parquet"),
        signals=RunStore(folder).signals() if (folder / "signals").exists() else None,
        truth=read_truth(truth) if (truth := folder / "truth.parquet").exists() else None,
        folder=folder,
    )


def read_results(folder: Path) -> Results:
    """``results.json`` of a finished audit.

    Raises:
        UserError: It cannot be read.
    """
    path = folder / "results.json"
    try:
        return Results.model_validate_json(path.read_bytes())
    except (ValueError, OSError) as error:
        raise UserError(
            f"{path}: not results this version of Seepage can read ({error}). "
            "Install a newer Seepage, or remove the folder and run the audit again."
        ) from None


def read_scores(path: Path) -> pd.DataFrame:
    """``scores.parquet`` of a finished audit.

    Raises:
        UserError: It cannot be read.
    """
    import pandas as pd

    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path}: cannot be read ({error}). Remove {path.parent / 'results.json'} and run the "
            "same command again: nothing is trained anew."
        ) from None


def finished(folder: Path | None, fingerprint: str, attacks: Mapping[str, Attack]) -> Result | None:
    """The result of the same run where it stands already, or None.

    An attack of the user's may have changed behind its name: then only the training is reused.
    """
    own = [name for name, attack in attacks.items() if attack is not ATTACKS.get(name)]
    return load_result(folder, fingerprint) if folder is not None and not own else None


def truth_frame(truth: Truth) -> pd.DataFrame:
    """Truth as a table with columns ``sample, owner``."""
    import pandas as pd

    return pd.DataFrame({"sample": truth.ids, "owner": truth.owner})


def write_parquet(path: Path, table: pd.DataFrame) -> None:
    """Write a table by rename."""
    write_atomically(path, lambda part: table.to_parquet(part, index=False))
