"""How long a sweep of small audits takes, one after another and side by side.

Run: python -m benchmarks.sweep     (some ten minutes; needs no data)

Twelve points of the digits: sparsification, from 5 % dropped to 60 %. Both ways in turn, each time
into an empty folder, so that whatever else the machine does meets both.
"""

import os
import statistics
import tempfile
import time
from pathlib import Path

from seepage.audit import Sweep, keep_freed_memory, resolve_sweep, run_sweep

REPEATS = 3
DROPS = [round(0.05 * step, 2) for step in range(1, 13)]


def points() -> Sweep:
    """The sweep: the digits recipe, each point some five seconds of one core."""
    return resolve_sweep(
        recipe="fedmia_defenses",
        dataset="digits",
        grid={"defense.drop": DROPS},
        overrides={"defense.name": "sparsification"},
    )


def seconds(jobs: int) -> float:
    """Wall-clock seconds of the whole sweep, workers' start and page included."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        results = run_sweep(points(), out=Path(folder) / "run", jobs=jobs)
        taken = time.perf_counter() - began
    assert len(results.points) == len(DROPS)
    return taken


def main() -> str:
    keep_freed_memory()
    jobs = os.cpu_count() or 1
    taken: dict[int, list[float]] = {1: [], jobs: []}
    for _ in range(REPEATS):
        for each in taken:
            taken[each].append(seconds(each))
    medians = {each: statistics.median(found) for each, found in taken.items()}
    lines = ["| runs side by side | median seconds | range | ratio |", "|---|---|---|---|"]
    lines += [
        f"| {each} | {medians[each]:.1f} | {min(found):.1f} to {max(found):.1f} "
        f"| {medians[1] / medians[each]:.2f} |"
        for each, found in taken.items()
    ]
    return "\n".join([f"{len(DROPS)} points, {REPEATS} times each way.", "", *lines])


if __name__ == "__main__":
    print(main())
