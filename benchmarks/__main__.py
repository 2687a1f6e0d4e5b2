"""Every benchmark, one after another, into RESULTS.md with the machine it ran on.

Run: make bench
"""

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

import torch

from benchmarks import (
    black_box,
    federated_round,
    gradient_signals,
    reference_models,
    startup,
)

BENCHMARKS = {
    "Gradient signals": gradient_signals,
    "A federated round": federated_round,
    "Reference models": reference_models,
    "A black-box audit": black_box,
    "The command line": startup,
}


def machine() -> str:
    processor = platform.processor() or platform.machine()
    for line in (
        Path("/proc/cpuinfo").read_text().splitlines() if os.path.exists("/proc/cpuinfo") else []
    ):
        if line.startswith("model name"):
            processor = line.split(":", 1)[1].strip()
            break
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return (
        f"{processor}, {os.cpu_count()} cores, {device}; Python {platform.python_version()}, "
        f"torch {torch.__version__}; {datetime.now(UTC):%Y-%m-%d}"
    )


def main() -> None:
    text = [
        "# Benchmark results",
        "",
        "`make bench` wrote this page. Ratios are of medians measured side by side in one run.",
        "",
        machine(),
        "",
    ]
    for title, module in BENCHMARKS.items():
        print(f"{title} …", flush=True)
        text += [f"## {title}", "", module.main(), ""]
    path = Path(__file__).with_name("RESULTS.md")
    path.write_text("\n".join(text))
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
