"""What this machine has: versions, threads, device, and which data sets are at hand."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("seepage", "torch", "numpy", "xarray", "scikit-learn", "pydantic", "altair", "flwr")


def examine(data_root: Path | None = None) -> dict[str, dict[str, str]]:
    """Facts by heading: ``versions``, ``machine``, ``data``."""
    import torch

    from seepage.data import DATASETS, is_found

    versions = {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES}
    cuda = torch.cuda.is_available()
    machine = {
        "device": torch.cuda.get_device_name() if cuda else "cpu (no CUDA device)",
        "cores": str(os.cpu_count()),
        "torch threads": str(torch.get_num_threads()),
        "SEEPAGE_DATA": os.environ.get("SEEPAGE_DATA", "not set"),
    }
    data = {name: "found" if is_found(name, root=data_root) else "not found" for name in DATASETS}
    return {"versions": versions, "machine": machine, "data": data}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
