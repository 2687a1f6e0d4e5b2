"""What an audit returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from seepage.records import Truth
from seepage.results import Results

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


@dataclass(frozen=True, kw_only=True)
class Result:
    """The result of an audit, in memory.

    Attributes:
        results: Everything in ``results.json``.
        scores: One row a sample, attack and target: ``sample, attack, target, score, owner``.
        signals: What was measured, over dims ``sample, round, client``, or ``model, sample`` for
            a black-box audit; None for a result read back from a folder that holds none.
        truth: Who trained on each candidate; None for a black-box audit, where each model has
            members of its own (``member`` in ``signals``).
        folder: The run folder; None where nothing was written.
        left_out: Attacks that were not named and could not be run, with the reason.
        note: What the reader of these numbers should know about their input, if anything.
    """

    results: Results
    scores: pd.DataFrame
    signals: xr.Dataset | None
    truth: Truth | None
    folder: Path | None
    left_out: dict[str, str] = field(default_factory=dict)
    note: str | None = None

    @property
    def table(self) -> pd.DataFrame:
        """The rows of ``results.attacks`` as a table: one row an attack, target and block."""
        import pandas as pd

        return pd.DataFrame([_flat(row.model_dump()) for row in self.results.attacks])

    def __str__(self) -> str:
        from seepage.report import verdicts

        return "\n".join(verdicts(self.results))


def _flat(row: dict) -> dict:
    for name in ("tpr_at_fpr", "tnr_at_fnr"):
        row |= {f"{name[:3]}@{at}": rate["value"] for at, rate in row.pop(name).items()}
    return row
