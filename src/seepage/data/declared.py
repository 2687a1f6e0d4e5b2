"""What clients tell of the data they hold before any training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from seepage.records import IntArray


def declared(labels: IntArray, clients: Sequence[IntArray], classes: int) -> NDArray[np.bool_]:
    """Which classes each client holds, as it declares to everyone.

    Source: Chen et al., "Beyond Model-Level Membership Privacy Leakage: an Adversarial Approach in
    Federated Learning" (2020), where participants declare their labels before training.

    Args:
        labels: Class of every sample of the data set, indexed by id.
        clients: Ids of each of *K* clients' samples.
        classes: Number of classes *C*.

    Returns:
        Whether client *k* holds at least one sample of class *c*, shape ``(K, C)``.
    """
    held = np.zeros((len(clients), classes), dtype=bool)
    for row, ids in zip(held, clients, strict=True):
        row[labels[ids]] = True
    return held
