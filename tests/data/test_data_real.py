"""The published files themselves; skipped where SEEPAGE_DATA does not name them."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from seepage.data import DATASETS, load
from seepage.data.idx import FILES, _content


def test_digits():
    data = load("digits")
    assert data.inputs.shape == (1797, 1, 8, 8)
    counts = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert torch.bincount(data.labels).tolist() == counts
    raw = data.inputs * data.std[0] + data.mean[0]  # in sixteenths
    torch.testing.assert_close(raw * 16, (raw * 16).round(), atol=1e-4, rtol=0)
    assert (raw.min().item(), raw.max().item()) == (pytest.approx(0, abs=1e-6), pytest.approx(1))
    # the constants are the mean and deviation of all pixels, to four decimals
    assert raw.double().mean().item() == pytest.approx(data.mean[0], abs=5e-5)
    assert raw.double().std(correction=0).item() == pytest.approx(data.std[0], abs=5e-5)


def test_mnist(real):
    data = load("mnist", root=real("mnist"))
    assert data.inputs.shape == (70_000, 1, 28, 28)
    assert data.n_train == 60_000
    assert data.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert data.labels[60_000:60_005].tolist() == [7, 2, 1, 0, 4]
    # published: the training part has mean 0.1307 and deviation 0.3081 before normalisation
    assert data.inputs[:60_000].mean().item() == pytest.approx(0, abs=2e-4)
    assert data.inputs[:60_000].std().item() == pytest.approx(1, abs=2e-4)


def test_mnist_content_is_the_published_one(real):
    # MD5 of the unpacked training images, as other libraries list it beside that of the .gz
    content = _content(real("mnist") / "mnist" / f"{FILES[0]}.gz")
    assert hashlib.md5(content).hexdigest() == "6bbc9ace898e44ae57da46a324031adb"


def test_cifar10(real):
    data = load("cifar10", root=real("cifar10"))
    assert data.inputs.shape == (60_000, 3, 32, 32)
    assert data.n_train == 50_000
    assert torch.bincount(data.labels[:50_000]).tolist() == [5_000] * 10
    assert torch.bincount(data.labels[50_000:]).tolist() == [1_000] * 10
    # the channel means that everyone uses for CIFAR-10 belong to these pictures
    means = data.inputs[:50_000].mean(dim=(0, 2, 3)) * torch.tensor(data.std)
    assert means.abs().max().item() < 2e-3


def test_location30(real):
    data = load("location30", root=real("location30"))
    assert data.inputs.shape == (5_010, 446)
    counts = torch.bincount(data.labels).tolist()
    assert len(counts) == data.classes == 30
    assert (counts[0], min(counts), counts[7], counts[29]) == (169, 97, 308, 179)
    assert int(data.inputs.sum()) == 269_047
    assert set(np.unique(data.inputs)) == {0.0, 1.0}
    assert data.labels[0] == 12  # the first row says "13"


def test_location30_is_the_file_whose_checksum_is_listed(real):
    content = (real("location30") / "location30" / "dataset_location.tgz").read_bytes()
    listed = DATASETS["location30"].remotes[0].checksum
    assert f"sha256:{hashlib.sha256(content).hexdigest()}" == listed


@pytest.mark.parametrize("name", DATASETS)
def test_the_table_is_complete(name):
    source = DATASETS[name]
    assert list(DATASETS) == sorted(DATASETS)
    assert source.summary
    assert source.paper[-4:].isdigit()
    assert source.obtained.endswith(".")
    assert source.classes is not None
    assert len(source.mean) == len(source.std) == (source.shape[0] if len(source.shape) == 3 else 1)
    assert bool(source.forms) != bool(source.embedded)
    assert all(remote.url.startswith("https://") for remote in source.remotes)
    if source.remotes:  # what is downloaded is a form that can be read
        files = {remote.file for remote in source.remotes}
        assert any(files == set(form.files) for form in source.forms)


def test_the_table_costs_no_heavy_import():
    heavy = "torch, sklearn, pyarrow, PIL, pooch, datasets, pandas"
    code = (
        f"import sys, seepage.data; print([m for m in '{heavy}'.split(', ') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_the_page_lists_every_data_set():
    page = (Path(__file__).parents[2] / "docs" / "reference" / "data.md").read_text()
    rows = [line.split("|")[1:-1] for line in page.splitlines() if line.startswith("| `")]
    listed = {row[0].strip(" `"): [cell.strip() for cell in row] for row in rows if len(row) == 7}
    assert list(listed) == list(DATASETS)
    for name, source in DATASETS.items():
        shape = "×".join(f"{x:,}" for x in source.shape)
        assert listed[name][2:4] == [shape, str(source.classes)]
        assert source.n is None or listed[name][4] == f"{source.n:,}"
