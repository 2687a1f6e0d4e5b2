"""Leak nothing → chance, through the whole pipeline.

Seeds 0 to 9 were written here before any outcome was seen.
"""

import numpy as np
import pytest
from scipy.stats import norm

import seepage
from seepage.attacks import ATTACKS
from seepage.audit.inside import WHAT_IT_TAKES

OVER_CLIENTS = [
    name
    for name, attack in ATTACKS.items()
    if attack.over != "model" and not attack.adapts and not set(attack.needs) & set(WHAT_IT_TAKES)
]
"""Those that need no insider."""

SEEDS = range(10)


@pytest.fixture(scope="module")
def placebos():
    """Placebo rows of ten small federations that do leak, one for each seed and attack."""
    study = {
        "data": {"clients": 5, "per_client": 60},
        "federation": {"rounds": 10, "local_epochs": 5, "batch_size": 20},
        "observe": {"every": 2},
    }
    results = [seepage.run({**study, "seed": seed}).results for seed in SEEDS]
    return {
        name: [row for r in results for row in r.blind.rows if row.of == name]
        for name in OVER_CLIENTS
    }


@pytest.mark.parametrize("name", OVER_CLIENTS)
def test_no_attack_tells_placebo_members(name, placebos):
    """The mean AUC over ten seeds is within the simultaneous 95 % interval around one half."""
    rows = placebos[name]
    assert len(rows) == len(SEEDS)
    times = 1 if ATTACKS[name].over == "round" else 5  # five targets share the records
    m, n = rows[0].n_members / times, rows[0].n_nonmembers / times
    # Scores of a record for its five targets are at most perfectly dependent: the variance of
    # one target's Mann-Whitney statistic bounds that of the pooled one.
    error = np.sqrt((m + n + 1) / (12 * m * n) / len(SEEDS))
    bound = norm.isf(0.025 / len(OVER_CLIENTS)) * error
    assert abs(np.mean([row.auc for row in rows]) - 0.5) < bound
    assert bound < 0.03
