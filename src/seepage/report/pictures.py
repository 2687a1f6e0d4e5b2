"""The records that leak most, and what they look like."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from seepage.records import UserError
from seepage.report.curves import exposure
from seepage.report.reading import lead
from seepage.report.wording import count

if TYPE_CHECKING:
    import pandas as pd

    from seepage.results import Results

EXPOSED = 12


@dataclass(frozen=True, kw_only=True)
class Card:
    """One exposed record as the page shows it."""

    sample: int
    owner: int
    label: str | None
    picture: str | None
    standing: str
    percentile: str
    targets: int


def most_exposed(results: Results, scores: pd.DataFrame, n: int = EXPOSED) -> list[int]:
    """Ids of the ``n`` members that the best attack exposes most, the most exposed first.

    The best attack is the one of the verdict. A member's exposure is how few non-members reach
    its score for its true owner; see :func:`seepage.report.curves.exposure`.
    """
    leading = lead(results)
    if leading is None:
        return []
    table = exposure(scores, leading.best.name, leading.target, leading.block)
    return [int(i) for i in table.head(n)["sample"]] if len(table) else []


def cards(
    table: pd.DataFrame,
    pictures: Mapping[int, np.ndarray] | None,
    labels: Mapping[int, str] | None,
) -> list[Card]:
    """The first records of ``exposure``'s table, with pictures and labels where there are any."""
    pictures = {} if pictures is None else pictures  # a mapping may be lazy and have no length
    labels = {} if labels is None else labels
    found = []
    for row in table.head(EXPOSED).to_dict("records"):
        sample = int(row["sample"])
        found.append(
            Card(
                sample=sample,
                owner=int(row["owner"]),
                label=labels.get(sample),
                picture=png(pictures[sample]) if sample in pictures else None,
                standing=standing(math.ceil(row["above"] - 1e-9), round(row["nonmembers"])),
                targets=int(row["targets"]),
                percentile=f"{row['percentile']:.4g}",
            )
        )
    return found


def standing(above: int, nonmembers: int) -> str:
    """A record's rank among the non-members, in words."""
    if above == 0:
        return f"above all {count(nonmembers)} non-members"
    verb = "scores" if above == 1 else "score"
    return f"{count(above)} of {count(nonmembers)} non-members {verb} as high"


def png(image: np.ndarray) -> str:
    """A data address holding the picture as PNG, pixel for pixel.

    Args:
        image: Shape ``(h, w)`` or ``(h, w, 3)``, in [0, 1].

    Raises:
        UserError: Another shape, or values outside [0, 1].
    """
    from PIL import Image

    pixels = np.asarray(image, dtype=float)
    shaped = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)
    if not shaped or not np.all((pixels >= 0.0) & (pixels <= 1.0)):
        raise UserError(
            "a picture must be an array (h, w) or (h, w, 3) with values in [0, 1], got shape "
            f"{pixels.shape} and values from {pixels.min():.3g} to {pixels.max():.3g}. "
            "Undo the normalisation first."
        )
    buffer = io.BytesIO()
    Image.fromarray(np.round(pixels * 255.0).astype(np.uint8)).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
