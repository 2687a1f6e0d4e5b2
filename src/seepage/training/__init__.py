"""Local training: K ≥ 1 models trained as one program. The only training loop there is."""

from seepage.training.accountant import Guarantee, claim, epsilon, noise_for, over_rounds
from seepage.training.cohort import train
from seepage.training.local import LocalTraining, Samples
from seepage.training.memory import keep_freed_memory
from seepage.training.plan import (
    Plan,
    choose_plan,
    cores,
    cores_limited,
    cpu_threads,
    forward_threads,
)
from seepage.training.spread import Executor, Spread
from seepage.training.trainer import Softened, Trainer
from seepage.training.worker import end_with_parent

__all__ = [
    "Executor",
    "Guarantee",
    "LocalTraining",
    "Plan",
    "Samples",
    "Softened",
    "Spread",
    "Trainer",
    "choose_plan",
    "claim",
    "cores",
    "cores_limited",
    "cpu_threads",
    "end_with_parent",
    "epsilon",
    "forward_threads",
    "keep_freed_memory",
    "noise_for",
    "over_rounds",
    "train",
]
