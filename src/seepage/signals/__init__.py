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
from seepage.signals.output import scaled_logit

__all__ = [
    "SIGNALS",
    "GradientProducts",
    "Signal",
    "cosine",
    "gradient_difference",
    "gradient_products",
    "scaled_logit",
]

Dim = Literal["sample", "round", "client", "class"]
EACH: tuple[Dim, ...] = ("sample", "round", "client")


@dataclass(frozen=True, kw_only=True)
class Signal:
    """What a signal is.

    Attributes:
        description: What is measured, in one line, in its natural sense.
        unit: Its unit; ``""`` where it has none.
        dims: What it depends on in a federation, as dims of the array. Asked of final models
            instead, a signal of answers has ``model`` in the place of ``client``, no ``round``,
            and ``query`` where a record is asked about more than once.
        source: Where it was used first.
    """

    description: str
    unit: str
    dims: tuple[Dim, ...]
    source: str


SIGNALS: dict[str, Signal] = {
    "adaptive_cosine": Signal(
        description="cosine of the client's update and the gradient taken through its defense",
        unit="",
        dims=EACH,
        source="Seepage, 2026, after Tramèr et al., On adaptive attacks (2020)",
    ),
    "adaptive_loss": Signal(
        description="the defense's own loss on inputs passed through it, mean over draws",
        unit="nat",
        dims=EACH,
        source="Seepage, 2026, after Tramèr et al., On adaptive attacks (2020)",
    ),
    "adaptive_squared_gradient_norm": Signal(
        description="‖g‖² of the gradient taken through the defense, mean over draws",
        unit="",
        dims=("sample", "round"),
        source="Seepage, 2026, after Tramèr et al., On adaptive attacks (2020)",
    ),
    "aggregate_cosine": Signal(
        description="cosine of the sample's gradient and the update of the round's mean upload",
        unit="",
        dims=("sample", "round"),
        source="Li, Li and Ribeiro, Effective passive membership inference in FL (2023)",
    ),
    "aggregate_loss": Signal(
        description="cross-entropy of the round's mean upload",
        unit="nat",
        dims=("sample", "round"),
        source="Yeom et al., Privacy risk in machine learning (2018)",
    ),
    "attendance": Signal(
        description="weight of the client in the round's mean, 0 where it took no part",
        unit="",
        dims=("round", "client"),
        source="what everyone knows where cohorts are public",
    ),
    "confidence": Signal(
        description="probability that the model gives the true class",
        unit="",
        dims=EACH,
        source="Song and Mittal, Systematic evaluation of privacy risks (2021)",
    ),
    "correct": Signal(
        description="1 where the model's first choice is the true class, else 0",
        unit="",
        dims=EACH,
        source="Yeom et al., Privacy risk in machine learning (2018)",
    ),
    "cosine": Signal(
        description="cosine of the sample's gradient and the client's update",
        unit="",
        dims=EACH,
        source="Li, Li and Ribeiro, Effective passive membership inference in FL (2023)",
    ),
    "dealt_loss": Signal(
        description="cross-entropy of the model that the server gave an isolated client",
        unit="nat",
        dims=EACH,
        source="Nasr et al., Comprehensive privacy analysis of deep learning (2019)",
    ),
    "declared": Signal(
        description="1 where the client declared the class, else 0",
        unit="",
        dims=("client", "class"),
        source="Chen et al., Beyond model-level membership privacy leakage (2020)",
    ),
    "entropy": Signal(
        description="entropy of the model's answer",
        unit="nat",
        dims=EACH,
        source="Salem et al., ML-Leaks (2019)",
    ),
    "generated_answer": Signal(
        description="probabilities of a classifier trained on generated images alone",
        unit="",
        dims=("sample", "class"),
        source="Chen et al., Beyond model-level membership privacy leakage (2020)",
    ),
    "global_answer": Signal(
        description="probabilities of the final global model",
        unit="",
        dims=("sample", "class"),
        source="the plain baseline of attacks on users",
    ),
    "global_loss": Signal(
        description="cross-entropy of the global model after the round",
        unit="nat",
        dims=("sample", "round"),
        source="Nasr et al., Comprehensive privacy analysis of deep learning (2019)",
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
    "label": Signal(
        description="class of the record, as the adversary knows it",
        unit="",
        dims=("sample",),
        source="what everyone knows of a record that it asks about",
    ),
    "loss": Signal(
        description="cross-entropy of the model",
        unit="nat",
        dims=EACH,
        source="Yeom et al., Privacy risk in machine learning (2018)",
    ),
    "margin": Signal(
        description="true logit less the largest other logit",
        unit="",
        dims=EACH,
        source="Carlini et al., Membership inference attacks from first principles (2022)",
    ),
    "modified_entropy": Signal(
        description="entropy that knows the label: 0 where sure and right, large if sure and wrong",
        unit="nat",
        dims=EACH,
        source="Song and Mittal, Systematic evaluation of privacy risks (2021)",
    ),
    "others_cosine": Signal(
        description="cosine of the sample's gradient and the update of all but the insider",
        unit="",
        dims=("sample", "round"),
        source="Melis et al., Exploiting unintended feature leakage (2019)",
    ),
    "others_projection": Signal(
        description="⟨g, Σ w u⟩ / ‖g‖ over all but the insider, with their weights w",
        unit="",
        dims=("sample", "round"),
        source="Melis et al., Exploiting unintended feature leakage (2019)",
    ),
    "own_answer": Signal(
        description="probabilities of a classifier trained on the insider's records alone",
        unit="",
        dims=("sample", "class"),
        source="the plain baseline of attacks on users",
    ),
    "rank": Signal(
        description="classes the model prefers to the true one, ties counted half",
        unit="",
        dims=EACH,
        source="what a defense that keeps the order of the classes cannot hide",
    ),
    "scaled_logit": Signal(
        description="log p - log(1 - p) of the true class",
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
    "start_loss": Signal(
        description="cross-entropy of the global model that the insider's round began with",
        unit="nat",
        dims=("sample", "round"),
        source="Watson et al., On the importance of difficulty calibration (2022)",
    ),
}
"""Every signal there is, by name. Most are measured of uploads, by
:func:`seepage.signals.measure.measure`; those of answers are in
:data:`seepage.signals.output.OUTPUT`, and final models are asked for them too. What an insider
measures of a round is told in :mod:`seepage.signals.inside`."""
