"""Membership scores: pure functions of signals, one method (or one paper) a file.

Every score is higher for members. ``ATTACKS`` gives each a name; the same name stands in studies,
tables and reports.
"""

from __future__ import annotations

from seepage.attacks.fedmia import fedmia_cosine, fedmia_loss
from seepage.attacks.joint import fedmia_joint
from seepage.attacks.series import avg_cosine, loss_series
from seepage.attacks.single_round import blackbox_loss, grad_cosine, grad_diff, grad_norm
from seepage.protocols import Attack

__all__ = [
    "ATTACKS",
    "avg_cosine",
    "blackbox_loss",
    "fedmia_cosine",
    "fedmia_joint",
    "fedmia_loss",
    "grad_cosine",
    "grad_diff",
    "grad_norm",
    "loss_series",
]

ATTACKS: dict[str, Attack] = {
    "avg_cosine": Attack(
        score=avg_cosine,
        adversary="server",
        needs=("cosine",),
        summary="cosine of gradient and update, mean over rounds",
        paper="Li et al., 2023",
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
    "fedmia_joint": Attack(
        score=fedmia_joint,
        adversary="server",
        needs=("cosine", "loss", "squared_gradient_norm"),
        summary="both FedMIA measures, weighted by gradient size, against every other owner",
        paper="Seepage, 2026, after Zhu et al., 2025",
    ),
    "fedmia_loss": Attack(
        score=fedmia_loss,
        adversary="server",
        needs=("loss",),
        summary="FedMIA-I: the target's loss among the other clients', mean over rounds",
        paper="Zhu et al., 2025",
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
}
