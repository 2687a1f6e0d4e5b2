"""Defenses by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from seepage.defenses.compose import compose
from seepage.defenses.mixup import label_mixup, mixup
from seepage.defenses.perturbation import perturbation
from seepage.defenses.quantization import quantization
from seepage.defenses.sparsification import sparsification
from seepage.defenses.weight_noise import weight_noise
from seepage.protocols import Defense
from seepage.records import UserError, suggestion


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A defense of the table.

    Attributes:
        factory: Makes it from its options.
        summary: One line for tables.
        paper: Where it comes from, with its year.
        options: What each option means.
    """

    factory: Callable[..., Defense]
    summary: str
    paper: str
    options: Mapping[str, str]


DEFENSES: dict[str, Entry] = {
    "label_mixup": Entry(
        factory=label_mixup,
        summary="mixes the targets of a batch, not its inputs (the FedMIA code's mixup)",
        paper="FedMIA code (Zhu et al., 2025)",
        options={"alpha": "concentration of the mixing weight, >= 0"},
    ),
    "mixup": Entry(
        factory=mixup,
        summary="trains on mixtures of two samples, inputs and targets",
        paper="mixup (Zhang et al., 2018)",
        options={"alpha": "concentration of the mixing weight, >= 0"},
    ),
    "none": Entry(factory=compose, summary="no defense", paper="", options={}),
    "perturbation": Entry(
        factory=perturbation,
        summary="clips what a client sends and adds Gaussian noise",
        paper="DP-FedAvg (McMahan et al., 2018)",
        options={
            "clip": "largest 2-norm of a client's change, > 0",
            "sigma": "noise deviation in units of clip, >= 0",
        },
    ),
    "quantization": Entry(
        factory=quantization,
        summary="sends changes on a grid of 2^bits steps",
        paper="FedMIA (Zhu et al., 2025)",
        options={"bits": "bits of an element, 1 to 23"},
    ),
    "sparsification": Entry(
        factory=sparsification,
        summary="sends only the largest changes of each large tensor",
        paper="FedMIA (Zhu et al., 2025)",
        options={"drop": "share of the elements that is dropped, in [0, 1]"},
    ),
    "weight_noise": Entry(
        factory=weight_noise,
        summary="adds Gaussian noise to every weight, without clipping",
        paper="FedMIA code (Zhu et al., 2025)",
        options={"sigma": "noise deviation in parameter units, >= 0"},
    ),
}
"""Every defense of the package, by the name that studies, tables and reports use."""


def build(name: str, options: Mapping[str, Any] | None = None) -> Defense:
    """The defense called ``name``, made with ``options``.

    Raises:
        UserError: No such defense or option, with the nearest name there is; or an option's value
            is of the wrong kind or out of range.
    """
    if name not in DEFENSES:
        raise UserError(f"there is no defense {name!r}; {suggestion(name, DEFENSES)}")
    entry, options = DEFENSES[name], dict(options or {})
    for key, value in options.items():
        if key not in entry.options:
            raise UserError(
                f"defense {name!r} has no option {key!r}; {suggestion(key, entry.options)}"
            )
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UserError(f"{name}.{key} must be a number ({entry.options[key]}), got {value!r}")
    return entry.factory(**options)
