"""The table of attacks: what stands in studies, tables and reports under which name."""

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
from seepage.attacks.fedmia import (
    fedmia_cosine,
    fedmia_loss,
)
from seepage.attacks.joint import fedmia_joint
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
from seepage.attacks.table_models import OVER_MODELS
from seepage.attacks.table_users import ON_USERS
from seepage.protocols import Attack

IN_FEDERATIONS: dict[str, Attack] = {
    "aggregate_cosine": Attack(
        score=aggregate_cosine,
        adversary="aggregate",
        needs=("aggregate_cosine",),
        summary="cosine of gradient and mean update: is the record anyone's? Mean over rounds",
        paper="Seepage, 2026, after Li et al., 2023",
        over="round",
    ),
    "aggregate_joint": Attack(
        score=aggregate_joint,
        adversary="aggregate",
        needs=("aggregate_cosine", "aggregate_loss", "squared_gradient_norm"),
        summary="cosines with mean updates, weighted by gradient size, and what is remembered",
        paper="Seepage, 2026, after Zhu et al., 2025",
        over="round",
    ),
    "aggregate_loss_series": Attack(
        score=aggregate_loss_series,
        adversary="aggregate",
        needs=("aggregate_loss",),
        summary="loss of the mean upload: is the record anyone's? Mean over rounds",
        paper="Seepage, 2026, after Zhu et al., 2025",
        over="round",
    ),
    "avg_cosine": Attack(
        score=avg_cosine,
        adversary="server",
        needs=("cosine",),
        summary="cosine of gradient and update, mean over rounds",
        paper="Li et al., 2023",
    ),
    "avg_cosine_adaptive": Attack(
        score=avg_cosine_adaptive,
        adversary="server",
        needs=("adaptive_cosine",),
        summary="avg_cosine, with gradients taken through the defense",
        paper="Seepage, 2026, after Tramèr et al., 2020",
        adapts="avg_cosine",
    ),
    "blackbox_loss": Attack(
        score=blackbox_loss,
        adversary="server",
        needs=("loss",),
        summary="loss of the target's upload, last round",
        paper="Yeom et al., 2018",
    ),
    "fedmia_cosine": Attack(
        score=fedmia_cosine,
        adversary="server",
        needs=("cosine",),
        summary="FedMIA-II: the target's cosine among the other clients', mean over rounds",
        paper="Zhu et al., 2025",
    ),
    "fedmia_cosine_adaptive": Attack(
        score=fedmia_cosine_adaptive,
        adversary="server",
        needs=("adaptive_cosine",),
        summary="FedMIA-II, with gradients taken through the defense",
        paper="Seepage, 2026, after Tramèr et al., 2020",
        adapts="fedmia_cosine",
    ),
    "fedmia_joint": Attack(
        score=fedmia_joint,
        adversary="server",
        needs=("cosine", "loss", "squared_gradient_norm"),
        summary="both FedMIA measures, weighted by gradient size, against every other owner",
        paper="Seepage, 2026, after Zhu et al., 2025",
    ),
    "fedmia_joint_adaptive": Attack(
        score=fedmia_joint_adaptive,
        adversary="server",
        needs=("adaptive_cosine", "adaptive_loss", "adaptive_squared_gradient_norm"),
        summary="fedmia_joint, measured through the defense",
        paper="Seepage, 2026, after Tramèr et al., 2020",
        adapts="fedmia_joint",
    ),
    "fedmia_loss": Attack(
        score=fedmia_loss,
        adversary="server",
        needs=("loss",),
        summary="FedMIA-I: the target's loss among the other clients', mean over rounds",
        paper="Zhu et al., 2025",
    ),
    "fedmia_loss_adaptive": Attack(
        score=fedmia_loss_adaptive,
        adversary="server",
        needs=("adaptive_loss",),
        summary="FedMIA-I, with the defense's own loss and inputs",
        paper="Seepage, 2026, after Tramèr et al., 2020",
        adapts="fedmia_loss",
    ),
    "grad_cosine": Attack(
        score=grad_cosine,
        adversary="server",
        needs=("cosine",),
        summary="cosine of gradient and update, last round",
        paper="Li et al., 2023",
    ),
    "grad_diff": Attack(
        score=grad_diff,
        adversary="server",
        needs=("gradient_difference",),
        summary="how much a sample's gradient explains of the update, last round",
        paper="Li et al., 2023",
    ),
    "grad_norm": Attack(
        score=grad_norm,
        adversary="aggregate",
        needs=("squared_gradient_norm",),
        summary="size of a sample's gradient at the global model, last round",
        paper="Nasr et al., 2019",
    ),
    "loss_series": Attack(
        score=loss_series,
        adversary="server",
        needs=("loss",),
        summary="loss of the target's uploads, mean over rounds",
        paper="Zhu et al., 2025",
    ),
    "loss_series_adaptive": Attack(
        score=loss_series_adaptive,
        adversary="server",
        needs=("adaptive_loss",),
        summary="loss_series, with the defense's own loss and inputs",
        paper="Seepage, 2026, after Tramèr et al., 2020",
        adapts="loss_series",
    ),
}

ATTACKS: dict[str, Attack] = dict(sorted((IN_FEDERATIONS | ON_USERS | OVER_MODELS).items()))
