"""Made-up sweeps: defenses of known accuracy and leak at several strengths, with three seeds."""

import zlib

import numpy as np

from seepage.metrics import hypervolume, pareto_front
from seepage.results import SweepResults

SEEDS = (0, 1, 2)
ATTACKS = {  # name: share of the strongest rate, adversary
    "fedmia_cosine": (1.0, "server"),
    "fedmia_loss": (0.8, "server"),
    "avg_cosine": (0.72, "server"),
    "loss_series": (0.3, "server"),
    "grad_diff": (0.2, "server"),
    "grad_cosine": (0.12, "server"),
    "grad_norm": (0.01, "server"),
    "blackbox_loss": (0.006, "querier"),
    "label_only": (0.004, "querier"),
}
NONE = ("none", [({}, 0.42, 0.60)])
SERIES = {  # key, then (value, test accuracy, rate of the strongest attack)
    "perturbation": (
        "defense.noise.sigma",
        [(0.01, 0.42, 0.55), (0.02, 0.405, 0.4), (0.05, 0.36, 0.12), (0.1, 0.29, 0.01)],
    ),
    "sparsification": (
        "defense.drop",
        [(0.1, 0.418, 0.59), (0.5, 0.41, 0.58), (0.9, 0.38, 0.575), (0.99, 0.3, 0.572)],
    ),
    "mixup": (
        "defense.alpha",
        [
            (1e-5, 0.42, 0.61),
            (0.1, 0.425, 0.5),
            (1, 0.415, 0.24),
            (10, 0.4, 0.15),
            (1e5, 0.38, 0.13),
        ],
    ),
    "sampling": ("defense.share", [(0.8, 0.41, 0.35), (0.5, 0.395, 0.11), (0.1, 0.31, 0.004)]),
    "augmentation": ("defense.strength", [(1, 0.44, 0.12), (2, 0.43, 0.05)]),
    "augmentation+sampling": (
        "defense.parts",
        [
            ([{"name": "augmentation"}, {"name": "sampling", "share": 0.8}], 0.435, 0.06),
            ([{"name": "augmentation"}, {"name": "sampling", "share": 0.3}], 0.39, 0.008),
        ],
    ),
}
MORE = {
    f"{name} {half}": (key, [(v, a - 0.02 * i - 0.01, r * (1 - 0.15 * i)) for v, a, r in points])
    for i, half in ((1, "late"),)
    for name, (key, points) in SERIES.items()
    if name != "sparsification"
}
ABOUT = {
    "mixup": ("Trains on mixtures of two records and of their labels.", "Zhang et al., 2018"),
    "sampling": ("Trains each local epoch on a share of its mini-batches.", "Zhu et al., 2025"),
}


def rate(name, strongest, share, adversary, *, resolved=True, within=None, auc=None):
    value = min(1.0, strongest * share)
    area = 0.5 + 0.45 * value**0.5 if auc is None else auc
    width = 0.1 * value + 3e-4
    span = (max(0.0, value - width), min(1.0, value + width))
    return {
        "name": name,
        "adversary": adversary,
        "auc": area,
        "auc_interval": (max(0.0, area - 0.01), min(1.0, area + 0.01)),
        "tpr": {"value": value, "interval": span, "joint_interval": span, "resolved": resolved},
        "within_auc": within,
        "matched_tpr": None if within is None else value / 2,
    }


def point(series, settings, strength, seed, accuracy, strongest, *, resolved=True, **over):
    wobble = np.random.default_rng([seed, strength, len(series)]).normal(size=2)
    accuracy, strongest = accuracy + 0.003 * wobble[0], max(0.0, strongest * (1 + 0.03 * wobble[1]))
    plain = {
        "series": series,
        "settings": settings,
        "strength": strength,
        "seed": seed,
        "fingerprint": f"{zlib.crc32(f'{series} {strength} {seed}'.encode()):012x}",
        "folder": f"runs/{series}-{strength}-{seed}",
        "train_accuracy": min(1.0, accuracy + 0.4),
        "test_accuracy": accuracy,
        "attacks": [
            rate(name, strongest, share, who, resolved=resolved)
            for name, (share, who) in ATTACKS.items()
        ],
        "blind_ok": True,
        "seconds": 60.0,
    }
    return plain | over


def series_points(name, key, values, seeds=SEEDS, **over):
    return [
        point(name, {} if key is None else {key: value}, strength, seed, accuracy, leak, **over)
        for strength, (value, accuracy, leak) in enumerate(values)
        for seed in seeds
    ]


def undefended_points(seeds=SEEDS, **over):
    return series_points("none", None, [(None, 0.42, 0.60)], seeds, **over)


def fronts(points):
    """As an audit would make them: hypervolume a seed, front of the means."""
    found = []
    for name in dict.fromkeys(p["series"] for p in points if p["series"] != "none"):
        own = [p for p in points if p["series"] in (name, "none")]
        for attack in [*(row["name"] for row in own[0]["attacks"]), "strongest"]:
            found.append(front(name, attack, own))
    return found


def cost(p, attack):
    values = {row["name"]: row["tpr"]["value"] for row in p["attacks"]}
    return 1.0 - p["test_accuracy"], max(values.values()) if attack == "strongest" else values[
        attack
    ]


def front(name, attack, own):
    seeds = sorted({p["seed"] for p in own})
    volumes = [hypervolume([cost(p, attack) for p in own if p["seed"] == s]) for s in seeds]
    groups = {}
    for p in own:
        groups.setdefault((p["series"], p["strength"]), []).append(p)
    means = [
        (np.mean([cost(p, attack) for p in g], axis=0), g[0]["settings"]) for g in groups.values()
    ]
    kept = []
    for error, tpr in pareto_front([m for m, _ in means]):
        settings = next(s for m, s in means if (m[0], m[1]) == (error, tpr))
        kept.append({"settings": settings, "error": error, "tpr": tpr})
    return {
        "series": name,
        "attack": attack,
        "hypervolume": float(np.mean(volumes)),
        "deviation": float(np.std(volumes, ddof=1)) if len(seeds) > 1 else None,
        "points": kept,
    }


def sweep(points=None, **over):
    """Six defenses and none, three seeds; one run failed."""
    if points is None:
        points = undefended_points()
        for name, (key, values) in SERIES.items():
            points += series_points(name, key, values)
    raw = {
        "schema": 1,
        "seepage": "0.2.0",
        "name": "fedmia_defenses",
        "recipe": "fedmia",
        "scale": "paper",
        "dataset": "cifar100",
        "grid": {
            name: {key: [value for value, _, _ in values]} for name, (key, values) in SERIES.items()
        },
        "seeds": list(SEEDS),
        "at": "0.001",
        "target": "all",
        "block": "held_out",
        "points": points,
        "failures": [
            {"label": "instahide k=4", "defense": "instahide", "reason": "batch of 3 is too small."}
        ],
        "seconds": 7230.0,
    }
    if "fronts" not in over:
        over["fronts"] = fronts(points)
    return SweepResults.model_validate(raw | over)


def small():
    """Three defenses and three attacks: quickly drawn."""
    points = undefended_points()
    for name in ("mixup", "sparsification", "sampling"):
        points += series_points(name, *SERIES[name])
    kept = list(ATTACKS)[:3]
    points = [p | {"attacks": [r for r in p["attacks"] if r["name"] in kept]} for p in points]
    return sweep(points)


def eleven():
    """Eleven series besides the undefended runs."""
    points = undefended_points()
    for name, (key, values) in (SERIES | MORE).items():
        points += series_points(name, key, values)
    return sweep(points)


def ablation(seeds=SEEDS):
    """Labels dealt out ever more evenly: without skew labels tell nothing."""
    points = []
    for strength, (beta, leak, label) in enumerate(
        [(0.1, 0.97, 0.97), (1, 0.8, 0.8), (10, 0.66, 0.55), (float("inf"), 0.65, 0.5)]
    ):
        for seed in seeds:
            made = point("beta", {"data.beta": beta}, strength, seed, 0.42, leak, label_auc=label)
            found = leak * (1 + 0.01 * seed)
            rates = [
                rate(name, found, share, who, within=0.25 + 0.5 * (leak * share) ** 0.5)
                for name, (share, who) in ATTACKS.items()
            ]
            points.append(made | {"attacks": rates, "label_tpr": label / 3})
    grid = {"beta": {"data.beta": [0.1, 1, 10, float("inf")]}}
    return sweep(points, grid=grid, seeds=list(seeds), failures=[], fronts=[])
