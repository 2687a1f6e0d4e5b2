"""Local training: K ≥ 1 models trained as one program. The only training loop there is."""

from seepage.training.cohort import train
from seepage.training.local import LocalTraining, Samples
from seepage.training.memory import keep_freed_memory
from seepage.training.plan import (
    Plan,
    choose_plan,
    cpu_threads,
    forward_threads,
    refuse_running_statistics,
)
from seepage.training.spread import Executor, Spread

__all__ = [
    "Executor",
    "LocalTraining",
    "Plan",
    "Samples",
    "Spread",
    "choose_plan",
    "cpu_threads",
    "forward_threads",
    "keep_freed_memory",
    "refuse_running_statistics",
    "train",
]
