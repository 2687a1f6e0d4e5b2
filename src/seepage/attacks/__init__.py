"""Membership scores: pure functions of signals, one method (or one paper) a file.

Every score is higher for members. ``ATTACKS`` gives each a name; the same name stands in studies,
tables and reports.
"""

from __future__ import annotations

from seepage.attacks.adaptive import (
    avg_cosine_adaptive,
    fedmia_cosine_adaptive,
    fedmia_joint_adaptive,
    fedmia_loss_adaptive,
    loss_series_adaptive,
)
from seepage.attacks.aggregate import (
    aggregate_cosine,
    aggregate_joint,
    aggregate_loss_series,
)
from seepage.attacks.calibrated import calibrated_loss
from seepage.attacks.fedmia import (
    fedmia_cosine,
    fedmia_loss,
)
from seepage.attacks.global_models import (
    global_loss_series,
    global_update_cosine,
)
from seepage.attacks.gradient_ascent import (
    gradient_ascent,
    gradient_ascent_isolating,
)
from seepage.attacks.joint import fedmia_joint
from seepage.attacks.label_only import label_only
from seepage.attacks.lira import (
    lira_offline,
    lira_offline_fixed,
    lira_online,
    lira_online_fixed,
)
from seepage.attacks.lira_faithful import (
    lira_offline_faithful,
    lira_offline_fixed_faithful,
    lira_online_fixed_faithful,
)
from seepage.attacks.nn import nn
from seepage.attacks.per_class import (
    confidence_per_class,
    correctness_per_class,
    entropy_per_class,
    loss_per_class,
    modified_entropy_per_class,
)
from seepage.attacks.quantile import quantile
from seepage.attacks.rank import rank
from seepage.attacks.rmia import (
    rmia_offline,
    rmia_online,
)
from seepage.attacks.scores import (
    confidence,
    correctness,
    entropy,
    loss,
    modified_entropy,
)
from seepage.attacks.series import (
    avg_cosine,
    loss_series,
)
from seepage.attacks.single_round import (
    blackbox_loss,
    grad_cosine,
    grad_diff,
    grad_norm,
)
from seepage.attacks.source_inference import source_inference
from seepage.attacks.table import ATTACKS
from seepage.attacks.unmixing import unmixed_cosine
from seepage.attacks.users import (
    declared_label,
    declared_label_global,
    own_data_only,
    user_level_gan,
)

__all__ = [
    "ATTACKS",
    "aggregate_cosine",
    "aggregate_joint",
    "aggregate_loss_series",
    "avg_cosine",
    "avg_cosine_adaptive",
    "blackbox_loss",
    "calibrated_loss",
    "confidence",
    "confidence_per_class",
    "correctness",
    "correctness_per_class",
    "declared_label",
    "declared_label_global",
    "entropy",
    "entropy_per_class",
    "fedmia_cosine",
    "fedmia_cosine_adaptive",
    "fedmia_joint",
    "fedmia_joint_adaptive",
    "fedmia_loss",
    "fedmia_loss_adaptive",
    "global_loss_series",
    "global_update_cosine",
    "grad_cosine",
    "grad_diff",
    "grad_norm",
    "gradient_ascent",
    "gradient_ascent_isolating",
    "label_only",
    "lira_offline",
    "lira_offline_faithful",
    "lira_offline_fixed",
    "lira_offline_fixed_faithful",
    "lira_online",
    "lira_online_fixed",
    "lira_online_fixed_faithful",
    "loss",
    "loss_per_class",
    "loss_series",
    "loss_series_adaptive",
    "modified_entropy",
    "modified_entropy_per_class",
    "nn",
    "own_data_only",
    "quantile",
    "rank",
    "rmia_offline",
    "rmia_online",
    "source_inference",
    "unmixed_cosine",
    "user_level_gan",
]
