"""Which client holds a record that one of them holds: source inference, counted over records."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from seepage import metrics
from seepage.attacks.source_inference import log_posterior
from seepage.results import Source

if TYPE_CHECKING:
    import xarray as xr

    from seepage.records import IntArray, Truth


def source(
    signals: xr.Dataset,
    truth: Truth,
    *,
    labels: IntArray | None = None,
    confidence: float = 0.95,
) -> Source | None:
    """How often the likeliest client is the one that holds the record.

    All clients that took part in an observed round with another one are compared, targets or not,
    and all records that one of these holds are asked about.

    Args:
        signals: With ``loss`` of every client's upload, for at least the samples of ``truth``.
        truth: Who holds each record.
        labels: Class of every record of ``truth``, where clients hold different ones.
        confidence: Of the interval, Clopper and Pearson's for independent records.

    Returns:
        The share of records whose holder is likelier than every other client; a tie is nobody's,
        and counts as wrong: such a record is in no column of ``confusion``. None where the loss of
        two clients was measured in no round, or none of these clients holds a record.

    Raises:
        UserError: ``loss`` has gaps.
    """
    if "loss" not in signals or "client" not in signals["loss"].dims:
        return None
    if not np.any(signals["loss"].notnull().any("sample").sum("client") > 1):
        return None
    found = log_posterior(signals).sel(sample=truth.ids)
    clients = found.get_index("client").to_numpy()
    held = np.isin(truth.owner, clients)
    if not held.any():
        return None
    values = found.to_numpy()[:, held]
    true = np.argmax(truth.owner[held] == clients[:, None], axis=0)
    said = values.argmax(axis=0)
    alone = np.sum(values == values.max(axis=0), axis=0) == 1
    confusion = np.zeros((len(clients), len(clients)), dtype=np.int64)
    np.add.at(confusion, (true[alone], said[alone]), 1)
    n, right = int(held.sum()), int(np.trace(confusion))
    return Source(
        attack="source_inference",
        clients=[int(client) for client in clients],
        n=n,
        accuracy=right / n,
        interval=metrics.clopper_pearson(right, n, confidence),
        chance=1 / len(clients),
        largest=float(np.bincount(true).max() / n),
        by_label=None if labels is None else _by_label(labels[held], true) / n,
        confusion=confusion.tolist(),
    )


def _by_label(labels: IntArray, holder: IntArray) -> int:
    """Records whose holder is the client with most records of their label."""
    return sum(int(np.bincount(holder[labels == one]).max()) for one in np.unique(labels))
