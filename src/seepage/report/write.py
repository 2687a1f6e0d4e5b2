"""Writing a report into a run's folder."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from seepage.report.curves import check_scores
from seepage.report.figures import all_figures
from seepage.report.page import page
from seepage.report.reading import lead

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import xarray as xr

    from seepage.results import Results


def write_report(
    folder: Path,
    results: Results,
    scores: pd.DataFrame,
    *,
    signals: xr.Dataset | None = None,
    pictures: Mapping[int, np.ndarray] | None = None,
    labels: Mapping[int, str] | None = None,
) -> list[Path]:
    """Write ``report.html`` and its charts as ``figures/*.svg`` and ``figures/*.pdf``.

    Guarantees:
        * self-contained: the page holds its scripts, styles and pictures and asks the network
          for nothing; its content security policy makes the browser see to that.
        * atomic: everything is written beside its place and renamed when all of it stands, the
          page last. A failure leaves what was there before.

    Args:
        folder: The run's folder; made if need be.
        results: What ``results.json`` holds.
        scores: One row a sample, attack and target: columns ``sample, attack, target, score,
            owner``. A row is a member's if its owner is its target; -1 owns what is held out.
        signals: With ``loss`` over ``sample, round, client`` there is a histogram of losses.
        pictures: Raw images by sample id, shape ``(h, w)`` or ``(h, w, 3)``, in [0, 1];
            :func:`most_exposed` names the ids that are shown.
        labels: What to call each sample's label, by sample id.

    Returns:
        The files written.

    Raises:
        UserError: A column is missing, a score is not a number, or a picture is not one.
    """
    check_scores(scores)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".report-", dir=folder))
    try:
        _draft(draft, results, scores, signals, pictures, labels)
        return _move(draft, folder)
    finally:
        shutil.rmtree(draft)


def _draft(
    draft: Path,
    results: Results,
    scores: pd.DataFrame,
    signals: xr.Dataset | None,
    pictures: Mapping[int, np.ndarray] | None,
    labels: Mapping[int, str] | None,
) -> None:
    import vl_convert

    leading = lead(results)
    figures = all_figures(results, leading, scores, signals) if leading else []
    (draft / "figures").mkdir()
    drawn = {figure.name: (figure, figure.svg()) for figure in figures}
    for name, (_, svg) in drawn.items():
        (draft / "figures" / f"{name}.svg").write_text(svg, encoding="utf-8")
        (draft / "figures" / f"{name}.pdf").write_bytes(vl_convert.svg_to_pdf(svg))
    html = page(results, scores, drawn, pictures, labels)
    (draft / "report.html").write_text(html, encoding="utf-8")


def _move(draft: Path, folder: Path) -> list[Path]:
    """Rename every file into its place; the page, which stands for the whole, last."""
    files = [*sorted((draft / "figures").iterdir()), draft / "report.html"]
    (folder / "figures").mkdir(exist_ok=True)
    placed = [folder / file.relative_to(draft) for file in files]
    for file, place in zip(files, placed, strict=True):
        _sync(file)
        os.replace(file, place)
    return placed


def _sync(file: Path) -> None:
    with file.open("rb") as handle:
        os.fsync(handle.fileno())
