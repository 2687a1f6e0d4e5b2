"""A made-up sweep over labels: victims with 1, 2, 3 and 5, an insider that listens or injects."""

import numpy as np
from made_up_sweep import point, sweep

DEALS = [[1, 1, 2, 3, 3], [1, 5, 1, 1, 2]]
ATTACKS = {  # name: share marked of a one-label victim, its fall with every label more, false
    "declared_label": (1.0, 0.0, 0.0),
    "declared_label_global": (0.98, 0.01, 0.01),
    "own_data_only": (0.2, 0.0, 0.2),
    "source_inference": (0.45, 0.02, 0.3),
    "user_level_gan": (0.7, 0.05, 0.04),
    "global_loss_series": (0.55, 0.0, 0.4),
}


def curve(auc, n=20):
    """A concave curve with about this area: TPR = FPR^(1/k), whose area is k / (k + 1)."""
    fpr = np.linspace(0.0, 1.0, n) ** 2
    return list(zip(fpr.tolist(), (fpr ** (1 / auc - 1)).tolist(), strict=True))


def user(name, victim, labels, marked, false, auc=0.9, **over):
    return {
        "name": name,
        "victim": victim,
        "labels": labels,
        "paper_accuracy": marked,
        "false_alarms": false,
        "auc": auc,
        "auc_interval": (max(0.0, auc - 0.02), min(1.0, auc + 0.02)),
        "curve": curve(auc),
    } | over


def users(deal, seed, more=0.0):
    rows = []
    for name, (marked, falls, false) in ATTACKS.items():
        for victim, labels in list(enumerate(deal))[1:]:
            wobble = np.random.default_rng([seed, victim, labels, len(name)]).normal()
            plain = name == "declared_label"
            found = marked - falls * (labels - 1) + (0.0 if plain else 0.01 * wobble)
            found += more * (name == "user_level_gan")
            found = float(np.clip(found, 0.0, 1.0))
            auc = 0.5 + 0.5 * max(0.0, found - false)
            rows.append(user(name, victim, labels, found, false, auc))
    return rows


def rounds(seed, cost):
    return [
        {
            "round": r,
            "train_accuracy": min(1.0, 0.98 - 0.5 * 0.93**r),
            "test_accuracy": 0.96 - cost - 0.5 * 0.94**r + 0.002 * seed,
        }
        for r in range(10, 81, 10)
    ]


def user_sweep(seeds=(0, 1), series=("listening", "injecting"), **over):
    points = []
    for name in series:
        injects = name == "injecting"
        for strength, deal in enumerate(DEALS):
            for seed in seeds:
                settings = {"data.labels_per_client": deal}
                made = point(name, settings, strength, seed, 0.95 - 0.01 * injects, 0.5)
                points.append(
                    made
                    | {
                        "users": users(deal, seed, 0.15 * injects),
                        "rounds": rounds(seed, 0.01 * injects),
                    }
                )
    grid = {name: {"data.labels_per_client": DEALS} for name in series}
    raw = {"name": "user_level", "recipe": "user_level", "dataset": "mnist", "grid": grid}
    plain = {"seeds": list(seeds), "failures": [], "fronts": []}
    return sweep(points, **(raw | plain | over))
