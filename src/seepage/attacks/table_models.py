"""The rows of the table of attacks that are over models: they need answers alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seepage.attacks.calibrated import calibrated_loss
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
from seepage.protocols import Attack

if TYPE_CHECKING:
    from seepage.protocols import Score


def _black_box(
    score: Score,
    needs: tuple[str, ...],
    summary: str,
    paper: str,
    *,
    also: tuple[str, ...] = (),
    only_by_name: bool = False,
) -> Attack:
    """An attack on the final answers of a model, by one who can only ask."""
    return Attack(
        score=score,
        adversary="querier",
        needs=needs,
        summary=summary,
        paper=paper,
        over="model",
        also=also,
        only_by_name=only_by_name,
    )


OVER_MODELS: dict[str, Attack] = {
    "calibrated_loss": _black_box(
        calibrated_loss,
        ("loss", "member"),
        "loss below that of models without the record",
        "Watson et al., 2022",
    ),
    "confidence": _black_box(
        confidence,
        ("confidence",),
        "probability of the true class",
        "Song and Mittal, 2021",
    ),
    "confidence_per_class": _black_box(
        confidence_per_class,
        ("confidence", "label", "member"),
        "confidence less a threshold of its class",
        "Song and Mittal, 2021",
    ),
    "correctness": _black_box(
        correctness,
        ("correct",),
        "whether the target's answer is right",
        "Yeom et al., 2018",
    ),
    "correctness_per_class": _black_box(
        correctness_per_class,
        ("correct", "label", "member"),
        "right or wrong, less a threshold of its class",
        "Song and Mittal, 2021",
    ),
    "entropy": _black_box(
        entropy,
        ("entropy",),
        "entropy of the target's answer",
        "Salem et al., 2019",
    ),
    "entropy_per_class": _black_box(
        entropy_per_class,
        ("entropy", "label", "member"),
        "entropy less a threshold of its class",
        "Song and Mittal, 2021",
    ),
    "label_only": _black_box(
        label_only,
        ("correct", "member"),
        "likelihood ratio of right and wrong answers alone",
        "Seepage, 2026, after Choquette-Choo et al., 2021",
    ),
    "lira_offline": _black_box(
        lira_offline,
        ("scaled_logit", "member"),
        "how improbable the answer is for models without the record",
        "Carlini et al., 2022",
    ),
    "lira_offline_faithful": _black_box(
        lira_offline_faithful,
        ("scaled_logit", "member"),
        "two-sided density under models without the record",
        "released code of Chen and Pattabiraman, 2024",
        only_by_name=True,
    ),
    "lira_offline_fixed": _black_box(
        lira_offline_fixed,
        ("scaled_logit", "member"),
        "the same, one deviation for all records",
        "Carlini et al., 2022",
    ),
    "lira_offline_fixed_faithful": _black_box(
        lira_offline_fixed_faithful,
        ("scaled_logit", "member"),
        "the same, one deviation for all records",
        "released code of Chen and Pattabiraman, 2024",
        only_by_name=True,
    ),
    "lira_online": _black_box(
        lira_online,
        ("scaled_logit", "member"),
        "likelihood ratio of reference models with and without the record",
        "Carlini et al., 2022",
    ),
    "lira_online_fixed": _black_box(
        lira_online_fixed,
        ("scaled_logit", "member"),
        "the same, one deviation for all records",
        "Carlini et al., 2022",
    ),
    "lira_online_fixed_faithful": _black_box(
        lira_online_fixed_faithful,
        ("scaled_logit", "member"),
        "likelihood ratio, both sides with the deviation of members",
        "released code of Chen and Pattabiraman, 2024",
        only_by_name=True,
    ),
    "loss": _black_box(
        loss,
        ("loss",),
        "loss of the target's answer",
        "Yeom et al., 2018",
    ),
    "loss_per_class": _black_box(
        loss_per_class,
        ("loss", "label", "member"),
        "loss less a threshold of its class",
        "Song and Mittal, 2021",
    ),
    "modified_entropy": _black_box(
        modified_entropy,
        ("modified_entropy",),
        "entropy that is large where the answer is sure and wrong",
        "Song and Mittal, 2021",
    ),
    "modified_entropy_per_class": _black_box(
        modified_entropy_per_class,
        ("modified_entropy", "label", "member"),
        "modified entropy less a threshold of its class",
        "Song and Mittal, 2021",
    ),
    "nn": _black_box(
        nn,
        ("logits", "loss", "label", "member"),
        "a network that learned from the reference models' answers",
        "Nasr et al., 2019",
    ),
    "quantile": _black_box(
        quantile,
        ("scaled_logit", "label", "member"),
        "deviations above a non-member with like input",
        "Bertran et al., 2023",
        also=("input", "public"),
    ),
    "rank": _black_box(
        rank,
        ("rank",),
        "rank of the true class",
        "Seepage, 2026, after Chen and Pattabiraman, 2024",
    ),
    "rmia_offline": _black_box(
        rmia_offline,
        ("scaled_logit", "member"),
        "the same, without models trained on the record",
        "Zarifzadeh et al., 2024",
    ),
    "rmia_online": _black_box(
        rmia_online,
        ("scaled_logit", "member"),
        "share of records that it beats in likelihood over the usual",
        "Zarifzadeh et al., 2024",
    ),
}
