"""How long the command line takes to answer, and the default audit to end.

Run: python -m benchmarks.startup     (about two minutes)
"""

import statistics
import subprocess
import sys
import tempfile
import time

REPEATS = 5


def seconds(*command: str) -> float:
    """Median wall-clock seconds of a command over ``REPEATS`` runs, after one that warms up."""
    taken = []
    for _ in range(REPEATS + 1):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken[1:])


def audit_seconds() -> float:
    """The same for the default audit, each time into an empty folder."""
    taken = []
    for _ in range(REPEATS + 1):
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            command = [sys.executable, "-m", "seepage", "audit", "--out", f"{folder}/run"]
            subprocess.run(command, check=True, capture_output=True)
            taken.append(time.perf_counter() - began)
    return statistics.median(taken[1:])


def main() -> str:
    rows = [
        ("`python -c 'pass'`", seconds(sys.executable, "-c", "pass"), "–"),
        ("`import seepage`", seconds(sys.executable, "-c", "import seepage"), "1 s"),
        ("`seepage --help`", seconds(sys.executable, "-m", "seepage", "--help"), "0.5 s"),
        ("`seepage audit`", audit_seconds(), "60 s"),
    ]
    lines = ["| command | median seconds | limit |", "|---|---|---|"]
    lines += [f"| {name} | {taken:.2f} | {limit} |" for name, taken, limit in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    print(main())
