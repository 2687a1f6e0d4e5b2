"""A made-up black-box audit: many models on halves of one pool, attacks of known strength."""

import numpy as np
import pandas as pd
from made_up_study import auc_span, naive_auc
from scipy.stats import beta

from seepage.results import Results

FPRS = ("0.1", "0.01", "0.001", "0.0001")
STRENGTH = {"lira": 1.3, "rmia": 1.2, "attack_r": 0.7, "loss": 0.4, "confidence": 0.38} | {
    "label_only": 0.2
}


def pool(models=8, records=2400, seed=0):
    """Who was trained on what: models 2j and 2j + 1 are complements."""
    coins = np.random.default_rng(seed).random((models // 2, records)) < 0.5
    return np.stack([coins, ~coins], axis=1).reshape(models, records)


def make_scores(member, strength=None, seed=1):
    """The table of scores; a row's owner is its target where that model was trained on it."""
    rng = np.random.default_rng(seed)
    models, records = member.shape
    hard = rng.exponential(1.0, records)
    tables = []
    for name, shift in (STRENGTH if strength is None else strength).items():
        for target in range(models):
            own = shift * (1 + 0.04 * target)
            score = rng.normal(size=records) + own * hard * member[target]
            owner = np.where(member[target], target, -1)
            columns = {"attack": name, "target": target, "score": score, "owner": owner}
            tables.append(pd.DataFrame({"sample": np.arange(records) * 3, **columns}))
    return pd.concat(tables, ignore_index=True)


def rate(judged, setting, at, distinct):
    allowed = int(float(at) * len(setting) + 1e-9)
    bar = np.sort(setting)[::-1][allowed]
    value = float(np.mean(judged > bar))
    k = value * distinct
    low = float(beta.ppf(0.025, k, distinct - k + 1)) if k > 0 else 0.0
    high = float(beta.ppf(0.975, k + 1, distinct - k)) if k < distinct else 1.0
    span = (min(low, value), max(high, value))
    resolved = float(at) * distinct >= 1
    return {"value": value, "interval": span, "joint_interval": span, "resolved": resolved}


def attack_row(rows, name, target, block, distinct):
    member = (rows["owner"] == rows["target"]).to_numpy()
    score = rows["score"].to_numpy()
    inside, outside = score[member], score[~member]
    auc = naive_auc(inside, outside)
    return {
        "name": name,
        "adversary": "querier",
        "target": target,
        "block": block,
        "n_members": len(inside),
        "n_nonmembers": len(outside),
        "auc": auc,
        "auc_interval": auc_span(auc, distinct, distinct),
        "balanced_accuracy": 0.6,
        "tpr_at_fpr": {at: rate(inside, outside, at, distinct) for at in FPRS},
        "tnr_at_fnr": {at: rate(-outside, -inside, at, distinct) for at in FPRS},
        "epsilon_lower_bound": 0.4 if block == "held_out" else None,
        "seconds": 0.1,
    }


def attack_rows(scores, canaries=600):
    rows = []
    for name, of in scores.groupby("attack", sort=False):
        for block, few in (("held_out", of), ("canaries", of[of["sample"] < 3 * canaries])):
            distinct = len(few["sample"].unique()) // 2
            rows.append(attack_row(few, name, "all", block, distinct))
            if block == "held_out":
                for target, own in few.groupby("target"):
                    distinct = int((own["owner"] == -1).sum())
                    rows.append(attack_row(own, name, int(target), block, distinct))
    return rows


def best_rows(rows, chosen="lira", chosen_tnr="rmia"):
    """One row a metric and point: the given attack as chosen, the truly best as oracle."""
    found = []
    pooled = [row for row in rows if row["target"] == "all" and row["block"] == "held_out"]
    for metric, name in (("tpr_at_fpr", chosen), ("tnr_at_fnr", chosen_tnr)):
        for at in FPRS:
            by_name = {row["name"]: row[metric][at] for row in pooled}
            oracle = max(by_name, key=lambda each: by_name[each]["value"])
            place = {"metric": metric, "at": at, "target": "all", "block": "held_out"}
            taken = {"chosen": name, "rate": by_name[name]}
            found.append(place | taken | {"oracle": oracle, "oracle_rate": by_name[oracle]})
    return found


def blind_rows(models, off=()):
    rows = []
    for target in [*range(models), "all"]:
        for name, of in (("blind_label", None), ("blind_input", None), ("placebo", "lira")):
            bad = (name, target) in off
            auc = 0.71 if bad else 0.502
            place = {"target": target, "block": "held_out", "n_members": 600, "n_nonmembers": 600}
            span = (auc - 0.04, auc + 0.04)
            rows.append(
                {"name": name, "of": of, "auc": auc, "auc_interval": span, "ok": not bad} | place
            )
    return {"ok": not off, "rows": rows}


def claim(epsilon=4.0, lower_bound=1.2, one_run=8):
    runs = [
        {"target": i, "attack": "lira", "canaries": 600, "guesses": 120, "correct": 80 + i}
        | {"epsilon": 0.1 * i}
        for i in range(one_run)
    ]
    return {
        "epsilon": epsilon,
        "delta": 1e-5,
        "accountant": "rdp",
        "sampling": "poisson",
        "noise": 1.1,
        "steps": 3000,
        "lower_bound": lower_bound,
        "one_run": runs,
        "ok": epsilon is None or lower_bound <= epsilon,
    }


STUDY = {
    "schema_version": 1,
    "name": "cifar100-hamp",
    "seed": 0,
    "data": {"name": "cifar100", "clients": 1},
    "model": {"name": "resnet18", "options": {}},
    "federation": {"algorithm": "fedavg", "rounds": 100},
    "defense": {"name": "hamp", "options": {"entropy": 0.95}},
    "reference": {"models": 8, "targets": "all", "records": 2400, "canaries": 600},
    "metrics": {"fpr": None, "confidence": 0.95},
}


def make_results(scores, **over):
    models = scores["target"].nunique()
    rows = attack_rows(scores)
    raw = {
        "schema": 1,
        "seepage": "0.2.0",
        "fingerprint": "2ced0eb3e874",
        "study": STUDY | {"reference": STUDY["reference"] | {"models": models}},
        "utility": {
            "train_accuracy": 0.972,
            "test_accuracy": 0.601,
            "test_deviation": 0.0042,
            "per_round": [],
        },
        "attacks": rows,
        "blind": blind_rows(models),
        "best": best_rows(rows),
        "seconds": {
            "data": 1.2,
            "training": 4321.0,
            "signals": 75.0,
            "attacks": 2.0,
            "report": 3.1,
        },
    }
    return Results.model_validate(raw | over)
