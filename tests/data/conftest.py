import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pooch
import pytest

from seepage.data import DATASETS

REAL = os.environ.get("SEEPAGE_DATA")


@pytest.fixture(autouse=True)
def away(monkeypatch, tmp_path):
    """No test reads the user's own folders, and none downloads."""

    def refuse(url, *_, **__):
        raise AssertionError(f"a test tried to download {url}")

    monkeypatch.delenv("SEEPAGE_DATA", raising=False)
    monkeypatch.setenv("SEEPAGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(pooch, "retrieve", refuse)


@pytest.fixture
def real(monkeypatch):
    """The folder of a data set as published, or a skip that says so."""

    def folder(name):
        if not REAL or not (Path(REAL) / name).is_dir():
            pytest.skip(f"SEEPAGE_DATA names no folder that holds {name}")
        return Path(REAL)

    return folder


@pytest.fixture
def smaller(monkeypatch):
    """Make the table expect a small copy of a data set: same formats, other counts."""

    def change(name, **expected):
        monkeypatch.setitem(DATASETS, name, replace(DATASETS[name], **expected))

    return change


@pytest.fixture
def noise():
    return np.random.default_rng(5)
