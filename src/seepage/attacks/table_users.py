"""The rows of the table of attacks that ask whose record it is."""

from __future__ import annotations

from functools import partial

from seepage.attacks.decide import by_two_groups
from seepage.attacks.global_models import global_loss_series, global_update_cosine
from seepage.attacks.gradient_ascent import gradient_ascent, gradient_ascent_isolating
from seepage.attacks.source_inference import is_likeliest, source_inference
from seepage.attacks.unmixing import unmixed_cosine
from seepage.attacks.users import (
    declared_label,
    declared_label_global,
    label_is_declared,
    own_data_only,
    says_declared,
    user_level_gan,
)
from seepage.protocols import Attack

ON_USERS: dict[str, Attack] = {
    "declared_label": Attack(
        score=declared_label,
        adversary="participant",
        needs=("label", "declared"),
        summary="did the target declare the record's label, and who else did? Looks at no model",
        paper="Seepage, 2026, after Chen et al., 2020",
        decide=label_is_declared,
        stands_in="no model at all",
    ),
    "declared_label_global": Attack(
        score=declared_label_global,
        adversary="participant",
        needs=("global_answer", "declared"),
        summary="what the global model gives the classes that the target declared",
        paper="Seepage, 2026, after Chen et al., 2020",
        decide=partial(says_declared, answer="global_answer"),
        stands_in="no generator",
    ),
    "global_loss_series": Attack(
        score=global_loss_series,
        adversary="participant",
        needs=("global_loss",),
        summary="loss of the global models: is the record one of the others'? Mean over rounds",
        paper="Seepage, 2026, after Zhu et al., 2025",
        decide=partial(by_two_groups, score=global_loss_series),
    ),
    "global_update_cosine": Attack(
        score=global_update_cosine,
        adversary="participant",
        needs=("others_cosine",),
        summary="cosine of gradient and the others' update: one of the others'? Mean over rounds",
        paper="Seepage, 2026, after Li et al., 2023",
        decide=partial(by_two_groups, score=global_update_cosine),
    ),
    "gradient_ascent": Attack(
        score=gradient_ascent,
        adversary="participant",
        needs=("start_loss", "global_loss"),
        summary="how far the loss falls in rounds in which the insider raised it, mean",
        paper="Nasr et al., 2019",
        decide=partial(by_two_groups, score=gradient_ascent),
    ),
    "gradient_ascent_isolating": Attack(
        score=gradient_ascent_isolating,
        adversary="server",
        needs=("dealt_loss", "loss"),
        summary="loss of the target's upload after the server raised it, mean over rounds",
        paper="Nasr et al., 2019",
        decide=partial(by_two_groups, score=gradient_ascent_isolating),
    ),
    "own_data_only": Attack(
        score=own_data_only,
        adversary="participant",
        needs=("own_answer", "declared"),
        summary="what a model of the insider's own records gives the classes the target declared",
        paper="Seepage, 2026, after Chen et al., 2020",
        decide=partial(says_declared, answer="own_answer"),
        stands_in="no model but its own",
    ),
    "source_inference": Attack(
        score=source_inference,
        adversary="server",
        needs=("loss",),
        summary="posterior of the target among all clients, from their losses, mean over rounds",
        paper="Hu et al., 2021",
        decide=is_likeliest,
    ),
    "unmixed_cosine": Attack(
        score=unmixed_cosine,
        adversary="participant",
        needs=("others_projection", "attendance"),
        summary="the others' updates taken apart by who took part, along the record's gradient",
        paper="Seepage, 2026, after Lam et al., 2021",
        decide=partial(by_two_groups, score=unmixed_cosine),
    ),
    "user_level_gan": Attack(
        score=user_level_gan,
        adversary="participant",
        needs=("generated_answer", "declared"),
        summary="what a classifier of generated images gives the classes the target declared",
        paper="Chen et al., 2020",
        decide=partial(says_declared, answer="generated_answer"),
    ),
}
