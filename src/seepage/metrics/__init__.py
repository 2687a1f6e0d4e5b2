"""What the scores of an attack say about leakage, with how sure one can be of it.

Arrays in, numbers out; free of torch. The only stage that sees who was a member.
"""

from seepage.metrics.epsilon import epsilon_lower_bound
from seepage.metrics.intervals import auc_interval, clopper_pearson
from seepage.metrics.one_run import one_run_epsilon
from seepage.metrics.roc import (
    auc,
    balanced_accuracy,
    placements,
    roc_curve,
    tnr_at_fnr,
    tpr_at_fpr,
)
from seepage.metrics.summary import summarise
from seepage.metrics.tradeoff import hypervolume, pareto_front

__all__ = [
    "auc",
    "auc_interval",
    "balanced_accuracy",
    "clopper_pearson",
    "epsilon_lower_bound",
    "hypervolume",
    "one_run_epsilon",
    "pareto_front",
    "placements",
    "roc_curve",
    "summarise",
    "tnr_at_fnr",
    "tpr_at_fpr",
]
