"""Defenses: what clients and server do so that less leaks. One method a file."""

from seepage.defenses.compose import compose
from seepage.defenses.mixup import label_mixup, mixup
from seepage.defenses.perturbation import perturbation
from seepage.defenses.quantization import quantization
from seepage.defenses.sparsification import sparsification
from seepage.defenses.table import DEFENSES, Entry, build
from seepage.defenses.weight_noise import weight_noise

__all__ = [
    "DEFENSES",
    "Entry",
    "build",
    "compose",
    "label_mixup",
    "mixup",
    "perturbation",
    "quantization",
    "sparsification",
    "weight_noise",
]
