"""Reference models: many models trained on known halves of the records, each a target in turn."""

from seepage.reference.assignment import complement, paired, shuffled
from seepage.reference.bench import Bench, Measuring
from seepage.reference.run import share_of, train_models
from seepage.reference.store import ModelStore

__all__ = [
    "Bench",
    "Measuring",
    "ModelStore",
    "complement",
    "paired",
    "share_of",
    "shuffled",
    "train_models",
]
