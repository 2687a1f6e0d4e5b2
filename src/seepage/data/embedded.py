"""Data that comes with a library this package depends on: no file, no download."""

from __future__ import annotations

from typing import Any

import numpy as np

from seepage.data.source import Raw


def digits() -> Raw:
    """scikit-learn's 1,797 handwritten digits of 8×8 pixels with values 0 to 16, in its order."""
    from sklearn.datasets import load_digits

    content: Any = load_digits()
    return Raw(
        inputs=content.images.astype(np.uint8)[:, None],
        labels=content.target.astype(np.int64),
    )
