"""Per-sample signals: what each is, and how the answers and gradients of models give them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from seepage.signals.gradient import (
    GradientProducts,
    cosine,
    gradient_difference,
    gradient_products,
)

__all__ = [
    "SIGNALS",
    "GradientProducts",
    "Signal",
    "cosine",
    "gradient_difference",
    "gradient_products",
]

Dim = Literal["sample", "round", "client"]
EACH: tuple[Dim, ...] = ("sample", "round", "client")


@dataclass(frozen=True, kw_only=True)
class Signal:
    """What a signal is.

    Attributes:
        description: What is measured, in one line, in its natural sense.
        unit: Its unit; ``""`` where it has none.
        dims: What it depends on, as dims of the array.
        source: Where it was used first.
    """

    description: str
    unit: str
    dims: tuple[Dim, ...]
    source: str


SIGNALS: dict[str, Signal] = {
    "confidence": Signal(
        description="probability that the client's model gives the true class",
        unit="",
        dims=EACH,
        source="Song and Mittal, Systematic evaluation of privacy risks (2021)",
    ),
    "cosine": Signal(
        description="cosine of the sample's gradient and the client's update",
        unit="",
        dims=EACH,
        source="Li, Li and Ribeiro, Effective passive membership inference in FL (2023)",
    ),
    "entropy": Signal(
        description="entropy of the client's model's answer",
        unit="nat",
        dims=EACH,
        source="Salem et al., ML-Leaks (2019)",
    ),
    "gradient_difference": Signal(
        description="‖u‖² - ‖u - g‖² = 2⟨u, g⟩ - ‖g‖²",
        unit="",
        dims=EACH,
        source="Li, Li and Ribeiro, Effective passive membership inference in FL (2023)",
    ),
    "inner_product": Signal(
        description="inner product ⟨g, u⟩ of the sample's gradient and the client's update",
        unit="",
        dims=EACH,
        source="Li, Li and Ribeiro, Effective passive membership inference in FL (2023)",
    ),
    "loss": Signal(
        description="cross-entropy of the client's model",
        unit="nat",
        dims=EACH,
        source="Yeom et al., Privacy risk in machine learning (2018)",
    ),
    "margin": Signal(
        description="true logit less the largest other logit of the client's model",
        unit="",
        dims=EACH,
        source="Carlini et al., Membership inference attacks from first principles (2022)",
    ),
    "scaled_logit": Signal(
        description="log p - log(1 - p) of the true class under the client's model",
        unit="",
        dims=EACH,
        source="Carlini et al., Membership inference attacks from first principles (2022)",
    ),
    "squared_gradient_norm": Signal(
        description="‖g‖² of the sample's gradient at the round's starting model",
        unit="",
        dims=("sample", "round"),
        source="Nasr et al., Comprehensive privacy analysis of deep learning (2019)",
    ),
    "squared_update_norm": Signal(
        description="‖u‖² of the client's update",
        unit="",
        dims=("round", "client"),
        source="the denominator of the cosine",
    ),
}
"""Every signal :func:`seepage.signals.measure.measure` can take, by name."""
