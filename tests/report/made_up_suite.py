"""A made-up suite: ten runs of known accuracy and leak, one that failed."""

from made_up_models import claim

from seepage.results import SuiteResults

RUNS = [  # label, defense, options, test accuracy, TPR, AUC
    ("none", "none", {}, 0.601, 0.214, 0.79),
    ("early stopping 10", "early_stopping", {"epochs": 10}, 0.42, 0.0025, 0.55),
    ("early stopping 40", "early_stopping", {"epochs": 40}, 0.58, 0.051, 0.68),
    ("early stopping 20", "early_stopping", {"epochs": 20}, 0.51, 0.009, 0.6),
    ("hamp", "hamp", {"entropy": 0.95, "weight": 0.001}, 0.597, 0.0121, 0.61),
    ("label smoothing", "label_smoothing", {"smoothing": 0.2}, 0.607, 0.33, 0.84),
    ("selena", "selena", {"models": 25}, 0.561, 0.0043, 0.56),
    ("dmp", "dmp", {}, 0.545, 0.0, 0.53),
    ("adversarial regularisation", "adv_reg", {"weight": 3.0}, 0.533, 0.034, 0.63),
    ("dp-sgd ε=8", "dp_sgd", {"noise": 0.6}, 0.412, 0.0013, 0.51),
]
ABOUT = {
    "hamp": (
        "Trains on soft labels of high entropy and shuffles what the model says of its confidence.",
        "Overconfidence is a dangerous thing (Chen and Pattabiraman, 2024)",
    ),
    "selena": ("Distils an ensemble of models on overlapping subsets.", "Tang et al., 2022"),
}


def rate(value, width=0.15, resolved=True):
    low, high = max(0.0, value * (1 - width) - 4e-4), min(1.0, value * (1 + width) + 6e-4)
    span = (low, high)
    return {"value": value, "interval": span, "joint_interval": span, "resolved": resolved}


def best(metric, value, chosen="lira", oracle="lira", more=1.0, resolved=True):
    return {
        "metric": metric,
        "at": "0.001",
        "target": "all",
        "block": "held_out",
        "chosen": chosen,
        "rate": rate(value, resolved=resolved),
        "oracle": oracle,
        "oracle_rate": rate(value * more, resolved=resolved),
    }


def suite_row(label, defense, options, accuracy, tpr, auc, **over):
    luckier = {"oracle": "rmia", "more": 1.3} if defense in ("hamp", "selena") else {}
    plain = {
        "label": label,
        "defense": defense,
        "options": options,
        "fingerprint": "2ced0eb3e874",
        "models": 16,
        "train_accuracy": min(1.0, accuracy + 0.3),
        "test_accuracy": accuracy,
        "test_deviation": 0.005,
        "tpr": best("tpr_at_fpr", tpr, **luckier),
        "tnr": best("tnr_at_fnr", tpr / 3, chosen="label_only", oracle="label_only"),
        "auc_attack": "lira",
        "auc": auc,
        "auc_interval": (auc - 0.01, auc + 0.01),
        "claim": claim(8.0, 0.6) if defense == "dp_sgd" else None,
        "blind_ok": True,
        "seconds": 600.0,
    }
    return plain | over


def suite(rows=None, **over):
    raw = {
        "schema": 1,
        "seepage": "0.2.0",
        "recipe": "defenses",
        "scale": "paper",
        "preset": "cifar100",
        "dataset": "cifar100",
        "at": "0.001",
        "rows": [suite_row(*run) for run in RUNS] if rows is None else rows,
        "failures": [
            {"label": "memguard", "defense": "memguard", "reason": "memguard needs 200 records."}
        ],
        "seconds": 7230.0,
    }
    return SuiteResults.model_validate(raw | over)
