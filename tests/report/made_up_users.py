"""A made-up curious participant: client 0 of five, four attacks that decide, and what it drew."""

import numpy as np
import pandas as pd
from made_up_study import auc_span, naive_auc, sides

from seepage.results import Results

DECLARED = [[8, 9], [0], [1, 2], [3, 4, 5], [6, 7]]
ATTACKS = {  # name: shift of the victim's records, share of confused classes
    "user_level_gan": 2.6,
    "declared_label_global": 4.5,
    "own_data_only": 0.4,
}
NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


def user_scores(seed=0, declared=None, members=150, held_out=300):
    """Scores of every attack on clients 1 to 4; only the label tells anything, as it is."""
    declared = DECLARED if declared is None else declared
    rng = np.random.default_rng(seed)
    victims = range(1, len(declared))
    owner = np.repeat([*victims, -1], [members] * len(victims) + [held_out])
    classes = [declared[k] if k >= 0 else range(10) for k in owner]
    label = np.array([rng.choice(list(each)) for each in classes])
    tables = []
    for target in victims:
        mine = np.isin(label, declared[target])
        plain = {"sample": np.arange(len(owner)), "target": target, "owner": owner}
        for name, shift in ATTACKS.items():
            score = rng.normal(size=len(owner)) + shift * mine
            marked = score > 2.0
            tables.append(pd.DataFrame({**plain, "attack": name, "score": score, "said": marked}))
        alone = {"attack": "declared_label", "score": mine.astype(float), "said": mine}
        tables.append(pd.DataFrame({**plain, **alone}))
    return pd.concat(tables, ignore_index=True)


def user_rows(scores, declared=None, blocks=("others", "held_out")):
    """Rows as an audit would write them, counted from the scores one by one."""
    declared = DECLARED if declared is None else declared
    rows = []
    for name in scores["attack"].unique():
        of = scores[scores["attack"] == name]
        for target in [*sorted(of["target"].unique().tolist()), "all"]:
            part = of if target == "all" else of[of["target"] == target]
            mine = part["owner"] == part["target"]
            for block in blocks:
                members, outside = sides(part, block)
                auc = naive_auc(members, outside)
                other = (part["owner"] == -1) if block == "held_out" else ~mine
                other &= (part["owner"] >= 0) if block == "others" else True
                rows.append(
                    {
                        "name": name,
                        "adversary": "participant",
                        "target": target,
                        "block": block,
                        "n_members": int(mine.sum()),
                        "n_nonmembers": int(other.sum()),
                        "auc": auc,
                        "auc_interval": auc_span(auc, len(members), len(outside)),
                        "balanced_accuracy": 0.5 + 0.5 * abs(2 * auc - 1),
                        "tpr_at_fpr": {},
                        "tnr_at_fnr": {},
                        "epsilon_lower_bound": None,
                        "seconds": 0.1,
                        "victim": None if target == "all" else target,
                        "victim_labels": None if target == "all" else declared[target],
                        "paper_accuracy": float(part["said"][mine].mean()),
                        "false_alarms": float(part["said"][other].mean()),
                    }
                )
    return rows


def generated(**over):
    classes = [
        {
            "label": label,
            "name": NAMES[label],
            "held": label in DECLARED[0],
            "n": 500,
            "agreement": 1.0 if label in DECLARED[0] else 0.9 + 0.01 * label,
            "diversity": 0.2 + 0.05 * label,
            "coverage": 0.04 * label,
        }
        for label in range(10)
    ]
    rounds = [{"round": r, "n": 200, "agreement": min(1.0, r / 100)} for r in range(10, 151, 10)]
    return {
        "active": True,
        "began": 3,
        "kept": 5000,
        "evaluator_accuracy": 0.977,
        "classifier_accuracy": 0.57,
        "frechet": 38.12,
        "frechet_real": 4.2,
        "classes": classes,
        "rounds": rounds,
        "seconds": 328.0,
    } | over


def users(**over):
    return {
        "clients": [0],
        "federation": 5,
        "declared": DECLARED,
        "attendance": False,
        "generated": generated(),
    } | over


STUDY = {
    "name": "curious-mnist",
    "data": {"name": "mnist", "clients": 5, "partition": "disjoint_labels"},
    "model": {"name": "conv"},
    "federation": {"rounds": 150},
    "insider": {"clients": [0], "gan": {"active": True, "start": 0.93}},
    "metrics": {"confidence": 0.95},
}


def user_results(rows, **over):
    per_round = [
        {"round": r, "train_accuracy": 1 - 0.6 * 0.9**r, "test_accuracy": 0.96 - 0.6 * 0.9**r}
        for r in range(2, 151, 4)
    ]
    raw = {
        "schema": 1,
        "seepage": "0.1.0",
        "fingerprint": "2ced0eb3e874",
        "study": STUDY,
        "utility": {"train_accuracy": 0.97, "test_accuracy": 0.953, "per_round": per_round},
        "attacks": rows,
        "blind": {"ok": True, "rows": []},
        "users": users(),
        "seconds": dict.fromkeys(("data", "training", "signals", "attacks", "report"), 1.0),
    }
    return Results.model_validate(raw | over)


def source(**over):
    confusion = [[70, 10, 20], [5, 60, 35], [15, 23, 62]]
    return {
        "attack": "source_loss",
        "clients": [1, 3, 4],
        "n": 300,
        "accuracy": 0.64,
        "interval": (0.583, 0.694),
        "chance": 1 / 3,
        "confusion": confusion,
    } | over
