"""How much leakage does redrawing the non-members manufacture where there is none?

Run:      python examples/redrawn_candidates.py     (about half a minute on a laptop CPU)
Expect:   on one fixed pool every attack is at chance, AUC near 0.5 and TPR at 1 % FPR near 1 %.
          Redrawn for every client and round, attacks that average over rounds find tens of
          per cent of "members" that nobody ever trained on.
"""

import numpy as np
import pandas as pd

import seepage
from seepage._rng import child
from seepage.attacks.redraw import redraw

STUDY = {
    "data": {"clients": 10, "per_client": 80},
    "federation": {"rounds": 60, "local_epochs": 2, "momentum": 0.9, "learning_rate": 0.05},
    "observe": {"every": 2},
}
SEEDS = range(5)


def placebo_rows(seed: int) -> list[dict]:
    """AUC and TPR at 1 % FPR of every attack on records that were held out, half called members."""
    run = seepage.run({**STUDY, "seed": seed})
    assert run.truth is not None  # one federation has one truth
    held_out = run.truth.ids[run.truth.owner == -1]
    called = child(seed, "called").permutation(len(held_out)) < len(held_out) // 2
    truth = seepage.Truth(ids=held_out, owner=np.where(called, 0, -1))
    assert run.signals is not None  # a run that has just been made holds them
    signals = run.signals.sel(sample=held_out)
    pools = {
        "fixed pool": signals,
        "redrawn": redraw(signals, truth.owner, 0, child(seed, "redraw")),
    }
    return [
        {"pool": pool, "attack": row.name, "auc": row.auc, "tpr": row.tpr_at_fpr["0.01"].value}
        for pool, seen in pools.items()
        for row in seepage.attack_signals(seen, truth, targets=[0]).results.attacks
        if row.block == "held_out"
    ]


def main() -> None:
    rows = pd.DataFrame([row for seed in SEEDS for row in placebo_rows(seed)])
    table = rows.pivot_table(index="attack", columns="pool", values=["auc", "tpr"])
    print(f"placebo members, means over {len(SEEDS)} seeds")
    print(table.round(3).to_string())


if __name__ == "__main__":
    main()
