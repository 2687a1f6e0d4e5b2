"""A made-up study: three clients, eight attacks of known strength, three blocks."""

import numpy as np
import pandas as pd
import xarray as xr
from scipy.stats import beta, rankdata

from seepage.results import Results

ATTACKS = {  # name: (adversary, shift of the members, shift of the other clients' records)
    "fedmia_cosine": ("server", 1.0, -0.4),
    "fedmia_loss": ("server", 0.8, -0.3),
    "gradient_cosine": ("server", 0.55, 0.0),
    "gradient_norm": ("server", 0.2, 0.05),
    "loss_series": ("participant", 0.4, 0.2),
    "average_cosine": ("server", 0.7, 0.1),
    "gradient_difference": ("server", 0.15, 0.0),
    "final_loss": ("querier", 0.3, 0.25),
}
FPRS = (0.1, 0.01, 0.001, 0.0001)


def make_scores(seed=0, clients=3, members=300, held_out=600, strength=1.0, attacks=ATTACKS):
    rng = np.random.default_rng(seed)
    owner = np.repeat([*range(clients), -1], [members] * clients + [held_out])
    ids = np.arange(len(owner)) * 7 + 3
    hard = rng.exponential(1.0, len(owner))  # some records leak much more than others
    tables = []
    for name, (_, inside, elsewhere) in attacks.items():
        for target in range(clients):
            shift = np.where(owner == target, inside, np.where(owner == -1, 0.0, elsewhere))
            score = rng.normal(size=len(owner)) + strength * shift * hard
            tables.append(
                pd.DataFrame(
                    {
                        "sample": ids,
                        "attack": name,
                        "target": target,
                        "score": score,
                        "owner": owner,
                    }
                )
            )
    return pd.concat(tables, ignore_index=True)


def naive_auc(members, nonmembers):
    ranks = rankdata(np.concatenate([members, nonmembers]))[: len(members)]
    return float(
        (ranks.sum() - len(members) * (len(members) + 1) / 2) / len(members) / len(nonmembers)
    )


def naive_rate(members, nonmembers, fpr):
    thresholds = [*np.unique(nonmembers), -np.inf, np.inf]
    best = max(
        float(np.mean(members > t)) for t in thresholds if np.mean(nonmembers > t) <= fpr + 1e-12
    )
    k, n = round(best * len(members)), len(members)
    low = float(beta.ppf(0.025, k, n - k + 1)) if k else 0.0
    high = float(beta.ppf(0.975, k + 1, n - k)) if k < n else 1.0
    return {
        "value": best,
        "interval": (low, high),
        "joint_interval": (low, high),
        "resolved": len(nonmembers) * fpr >= 1,
    }


def auc_span(auc, m, n):
    q1, q2 = auc / (2 - auc), 2 * auc * auc / (1 + auc)
    var = (auc * (1 - auc) + (m - 1) * (q1 - auc**2) + (n - 1) * (q2 - auc**2)) / (m * n)
    half = 1.96 * np.sqrt(max(var, 0.0))
    return max(0.0, float(auc - half)), min(1.0, float(auc + half))


def sides(rows, block):
    member = rows["owner"] == rows["target"]
    outside = {"held_out": rows["owner"] == -1, "others": ~member & (rows["owner"] >= 0)}
    outside["mix"] = ~member
    return rows["score"][member].to_numpy(), rows["score"][outside[block]].to_numpy()


def attack_rows(scores, targets, blocks, attacks=ATTACKS):
    rows = []
    for name in scores["attack"].unique():
        of = scores[scores["attack"] == name]
        for target in targets:
            part = of if target == "all" else of[of["target"] == target]
            for block in blocks:
                members, nonmembers = sides(part, block)
                auc = naive_auc(members, nonmembers)
                rows.append(
                    {
                        "name": name,
                        "adversary": attacks[name][0],
                        "target": target,
                        "block": block,
                        "n_members": len(members),
                        "n_nonmembers": len(nonmembers),
                        "auc": auc,
                        "auc_interval": auc_span(auc, len(members), len(nonmembers)),
                        "balanced_accuracy": 0.5 + abs(auc - 0.5) * 0.7,
                        "tpr_at_fpr": {str(f): naive_rate(members, nonmembers, f) for f in FPRS},
                        "tnr_at_fnr": {},
                        "epsilon_lower_bound": max(0.0, 4 * (auc - 0.55)) if auc > 0.5 else None,
                        "seconds": 0.1,
                    }
                )
    return rows


def blind_rows(targets, blocks, off=()):
    rows = []
    for target in targets:
        for block in blocks:
            kinds = [("blind_label", None), ("blind_input", None)]
            if block == "held_out":
                kinds += [("placebo", "fedmia_cosine"), ("placebo", "loss_series")]
            for name, of in kinds:
                bad = (name, target, block) in off
                auc = 0.71 if bad else 0.503
                rows.append(
                    {
                        "name": name,
                        "of": of,
                        "target": target,
                        "block": block,
                        "n_members": 300,
                        "n_nonmembers": 600,
                        "auc": auc,
                        "auc_interval": (auc - 0.06, auc + 0.06),
                        "ok": not bad,
                    }
                )
    return {"ok": not off, "rows": rows}


STUDY = {
    "schema_version": 1,
    "name": "cifar100-iid",
    "seed": 0,
    "data": {"name": "cifar100", "clients": 10, "partition": "iid", "per_client": 500},
    "model": {"name": "resnet18", "options": {}},
    "federation": {"algorithm": "fedavg", "rounds": 300, "local_epochs": 1, "milestones": []},
    "defense": {"name": "none", "options": {}},
    "observe": {"every": 10, "rounds": None},
    "candidates": {"targets": [0, 1, 2], "redraw_candidates": False},
    "metrics": {"fpr": None, "confidence": 0.95},
    "compute": {"device": "auto", "plan": "auto", "workers": None},
}


def make_results(scores, *, targets=(0, 1, 2, "all"), blocks=("mix", "held_out", "others"), **over):
    rounds = [
        {"round": r, "train_accuracy": 1 - 0.9 * 0.98**r, "test_accuracy": 0.6 - 0.5 * 0.97**r}
        for r in range(10, 301, 10)
    ]
    raw = {
        "schema": 1,
        "seepage": "0.1.0",
        "fingerprint": "2ced0eb3e874",
        "study": STUDY,
        "utility": {"train_accuracy": 0.998, "test_accuracy": 0.6, "per_round": rounds},
        "attacks": attack_rows(scores, targets, blocks),
        "blind": blind_rows(targets, blocks),
        "seconds": {
            "data": 1.2,
            "training": 4321.0,
            "signals": 75.0,
            "attacks": 2.0,
            "report": 3.1,
        },
    }
    return Results.model_validate(raw | over)


def make_signals(scores, seed=1):
    owners = scores.drop_duplicates("sample").set_index("sample")["owner"]
    rng = np.random.default_rng(seed)
    loss = rng.lognormal(0.0, 1.0, (len(owners), 2, 3))
    for k in range(3):
        loss[(owners == k).to_numpy(), :, k] *= 0.2
    return xr.Dataset(
        {"loss": (("sample", "round", "client"), loss)},
        coords={"sample": owners.index.to_numpy(), "round": [290, 300], "client": [0, 1, 2]},
    )


def plain_results(rows, **over):
    """Results around hand-written attack rows, with no blind checks unless they are given."""
    raw = {
        "schema": 1,
        "seepage": "0.1.0",
        "fingerprint": "2ced0eb3e874",
        "study": STUDY,
        "utility": None,
        "attacks": rows,
        "blind": {"ok": True, "rows": []},
        "seconds": dict.fromkeys(("data", "training", "signals", "attacks", "report"), 0.0),
    }
    return Results.model_validate(raw | over)


def row(auc=0.6, interval=(0.55, 0.65), **over):
    plain = {
        "name": "loss",
        "adversary": "server",
        "target": "all",
        "block": "held_out",
        "n_members": 1000,
        "n_nonmembers": 1000,
        "auc": auc,
        "auc_interval": interval,
        "balanced_accuracy": 0.5,
        "tpr_at_fpr": {},
        "tnr_at_fnr": {},
        "epsilon_lower_bound": None,
        "seconds": 0.0,
    }
    return plain | over


def rate(value, low, high, resolved=True):
    interval = (low, high)
    return {
        "value": value,
        "interval": interval,
        "joint_interval": interval,
        "resolved": resolved,
    }
