import gzip
import shutil
import ssl
from pathlib import Path

import numpy as np
import pooch
import pytest
import requests
from test_data_mnist import idx

from seepage.data import DATASETS, load
from seepage.data.idx import FILES
from seepage.records import UserError


@pytest.fixture
def published(tmp_path, noise, smaller):
    """Where the download finds the files: a folder on this machine."""
    smaller("mnist", n=5, n_train=3)
    folder = tmp_path / "published"
    folder.mkdir()
    for name, n in zip(FILES, (3, 3, 2, 2), strict=True):
        shape = (n, 28, 28) if "images" in name else (n,)
        data = noise.integers(0, 10, shape, dtype=np.uint8)
        (folder / f"{name}.gz").write_bytes(gzip.compress(idx(data)))
    return folder


@pytest.fixture
def net(published, monkeypatch):
    """Downloads copy from ``published``; the addresses asked for are listed."""
    asked = []

    def copy(url, known_hash, *, fname, path):
        asked.append((url, known_hash))
        Path(path).mkdir(parents=True, exist_ok=True)
        shutil.copy(published / fname, path)

    monkeypatch.setattr(pooch, "retrieve", copy)
    return asked


def test_places_are_tried_in_order(tmp_path, published, net, monkeypatch):
    def marked(place, label):
        shutil.copytree(published, place)
        content = idx(np.full(2, label, np.uint8))
        (place / f"{FILES[3]}.gz").write_bytes(gzip.compress(content))

    def answer():
        return int(load("mnist", root=tmp_path / "root").labels[-1])

    (tmp_path / "root").mkdir()
    (tmp_path / "env").mkdir()
    monkeypatch.setenv("SEEPAGE_DATA", str(tmp_path / "env"))
    marked(tmp_path / "cache" / "mnist", 1)
    assert answer() == 1
    marked(tmp_path / "env" / "mnist", 2)
    assert answer() == 2
    shutil.copytree(published, tmp_path / "root", dirs_exist_ok=True)
    marked(tmp_path / "root" / "mnist", 3)
    assert answer() == 3
    assert net == []


def test_files_are_downloaded_once_with_their_checksum(net):
    first = load("mnist")
    assert net == [(remote.url, remote.checksum) for remote in DATASETS["mnist"].remotes]
    assert all(checksum and checksum.startswith("md5:") for _, checksum in net)
    assert load("mnist").checksum == first.checksum
    assert len(net) == 4


def test_an_empty_folder_does_not_stop_the_download(tmp_path, net):
    (tmp_path / "mnist").mkdir()
    assert len(load("mnist", root=tmp_path)) == 5
    assert len(net) == 4


FAILURES = [
    requests.exceptions.ConnectionError("no route"),
    requests.exceptions.HTTPError("404"),
    requests.exceptions.SSLError("certificate"),
    ssl.SSLError("certificate"),
    TimeoutError("slow"),
    ValueError("MD5 hash of downloaded file does not match"),
]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
def test_a_failed_download_says_what_to_do(tmp_path, monkeypatch, failure):
    def fail(*_, **__):
        raise failure

    monkeypatch.setattr(pooch, "retrieve", fail)
    with pytest.raises(UserError) as caught:
        load("mnist")
    message = str(caught.value)
    assert DATASETS["mnist"].remotes[0].url in message
    assert str(tmp_path / "cache" / "mnist") in message
    assert "by hand" in message
    assert ("checksum" in message) == (type(failure) is ValueError)


def test_a_download_cut_short_leaves_nothing(tmp_path, monkeypatch):
    """Through pooch itself, with a local server's place taken by a downloader that fails."""
    monkeypatch.undo()
    monkeypatch.setenv("SEEPAGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SEEPAGE_DATA", raising=False)

    class Broken:
        def __call__(self, url, output, _pooch):
            Path(output).write_bytes(b"half a fi")
            raise requests.exceptions.ChunkedEncodingError("cut")

    monkeypatch.setattr("pooch.core.choose_downloader", lambda *_, **__: Broken())
    with pytest.raises(UserError, match="ChunkedEncodingError"):
        load("mnist")
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_a_download_with_another_checksum_is_refused(tmp_path, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setenv("SEEPAGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SEEPAGE_DATA", raising=False)

    class Page:
        def __call__(self, url, output, _pooch):
            Path(output).write_bytes(b"<html>a portal</html>")

    monkeypatch.setattr("pooch.core.choose_downloader", lambda *_, **__: Page())
    with pytest.raises(UserError, match="checksum is not the published one"):
        load("location30")
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_a_download_that_is_not_the_data_is_removed(tmp_path, monkeypatch):
    """Purchase100 has no published checksum: what came is parsed, and refused."""

    def page(url, known_hash, *, fname, path):
        assert known_hash is None
        Path(path).mkdir(parents=True)
        (Path(path) / fname).write_text("<html>a portal</html>")

    monkeypatch.setattr(pooch, "retrieve", page)
    with pytest.raises(UserError, match="whole tar archive"):
        load("purchase100")
    assert list((tmp_path / "cache" / "purchase100").iterdir()) == []


@pytest.mark.parametrize("place", ["root", "cache/purchase100"])
def test_a_file_put_there_by_hand_is_never_removed(tmp_path, place):
    path = tmp_path / place / "dataset_purchase.tgz"
    (tmp_path / "root").mkdir()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("<html>a portal</html>")
    with pytest.raises(UserError, match="whole tar archive"):
        load("purchase100", root=tmp_path / "root")
    assert path.exists()


def test_a_root_that_is_no_folder_is_named(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"--data = .*nowhere: no such folder"):
        load("mnist", root=tmp_path / "nowhere")
    monkeypatch.setenv("SEEPAGE_DATA", str(tmp_path / "gone"))
    with pytest.raises(UserError, match=r"SEEPAGE_DATA = .*gone: no such folder"):
        load("mnist")


def test_an_unknown_name_gets_a_suggestion():
    with pytest.raises(UserError, match="did you mean mnist"):
        load("minst")
    with pytest.raises(UserError, match="known here: cifar10, cifar100"):
        load("zzz")


@pytest.mark.parametrize(("name", "takes"), [("digits", "no options"), ("dermnet", "takes size")])
def test_an_unknown_option_is_refused(name, takes):
    with pytest.raises(UserError, match=rf"data\.options\.colour: .*{takes}"):
        load(name, options={"colour": 1})
