"""The run folder: what is committed is whole, what is not committed does not count."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr

from seepage._files import write_atomically
from seepage.observe import Recorder, RunStore, Trace
from seepage.records import UserError

MANIFEST = {"fingerprint": "abc", "study": {}}


def signals_of(what):
    clients = sorted(what.uploads)
    loss = np.arange(4.0)[:, None] + what.number + np.array(clients)
    return xr.Dataset(
        {
            "loss": (("sample", "client"), loss.astype(np.float32)),
            "squared_gradient_norm": ("sample", np.arange(4.0) * what.number),
        },
        coords={"sample": [3, 5, 8, 9], "client": clients},
    )


def record(folder, rounds, **options):
    store = RunStore(folder)
    store.begin(MANIFEST)
    numbers = [what.number for what in rounds]
    recorder = Recorder(store, observed=numbers, measure=signals_of, **options)
    for what in rounds:
        recorder(what)
    return recorder


def test_signals_come_back_with_ids_rounds_and_clients(tmp_path, make_round):
    rounds = [make_round(2), make_round(4)]
    stored = record(tmp_path, rounds).signals()
    kept = Recorder(None, observed=[2, 4], measure=signals_of)
    for what in rounds:
        kept(what)
    xr.testing.assert_identical(stored, kept.signals())
    assert stored.loss.sel(sample=8, round=4, client=1) == 2 + 4 + 1
    assert stored.loss.dtype == np.float32


def test_a_client_that_took_no_part_is_nan_there(tmp_path, make_round):
    stored = record(tmp_path, [make_round(1, clients=2), make_round(2, clients=3)]).signals()
    assert np.isnan(stored.loss.sel(round=1, client=2)).all()
    assert not np.isnan(stored.loss.sel(round=2)).any()


def test_a_round_without_its_line_does_not_count(tmp_path, make_round):
    record(tmp_path, [make_round(1), make_round(2)])
    path = tmp_path / "rounds.jsonl"
    first, second = path.read_text().splitlines(keepends=True)
    path.write_text(first + second[: len(second) // 2])  # killed while the line was written
    store = RunStore(tmp_path)
    assert [line["round"] for line in store.rounds()] == [1]
    store.commit(2, {})
    assert [line["round"] for line in store.rounds()] == [1, 2]


def test_a_damaged_file_is_refused(tmp_path, make_round):
    record(tmp_path, [make_round(1)])
    path = tmp_path / "signals" / "r00001.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(UserError, match="not what round 1 committed"):
        RunStore(tmp_path).signals()


def test_the_checkpoint_is_the_state_after_the_last_committed_round(tmp_path, make_round):
    rounds = [make_round(1), make_round(2)]
    record(tmp_path, rounds)
    number, state = RunStore(tmp_path).checkpoint()
    assert number == 2
    assert all(torch.equal(state[name], rounds[1].after[name]) for name in state)
    assert [p.name for p in (tmp_path / "checkpoint").iterdir()] == ["r00002.safetensors"]


def test_what_everyone_keeps_comes_back_and_old_memory_goes(tmp_path, make_round):
    kept = {"c003": {"a/w": torch.arange(3.0)}, "server": {"clip": torch.tensor(0.5)}}
    later = {"server": {"clip": torch.tensor(0.25)}}
    rounds = [replace(make_round(1), memory=kept), replace(make_round(2), memory=later)]
    record(tmp_path, rounds[:1])
    found = RunStore(tmp_path).memory()
    assert found.keys() == kept.keys()
    assert torch.equal(found["c003"]["a/w"], kept["c003"]["a/w"])
    record(tmp_path, rounds[1:])
    assert RunStore(tmp_path).memory() == later
    assert len(list((tmp_path / "checkpoint").iterdir())) == 2
    record(tmp_path, [make_round(3)])
    assert RunStore(tmp_path).memory() == {}


def test_an_empty_folder_has_no_checkpoint_and_no_signals(tmp_path):
    store = RunStore(tmp_path)
    assert store.checkpoint() is None
    with pytest.raises(UserError, match="holds no signals yet"):
        store.signals()


def test_another_run_is_not_written_over(tmp_path, make_round):
    record(tmp_path, [make_round(1)])
    with pytest.raises(UserError, match="holds another run"):
        RunStore(tmp_path).begin({"fingerprint": "xyz", "study": {}})
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "results.json").write_text("{}")
    with pytest.raises(UserError, match="results of other signals"):
        RunStore(tmp_path / "other").begin(MANIFEST)


def test_a_claim_with_no_round_is_taken_over_and_swept(tmp_path):
    RunStore(tmp_path).begin(MANIFEST)
    (tmp_path / "signals").mkdir()
    (tmp_path / "signals" / ".r00001.safetensors.9.partial").write_text("killed")
    RunStore(tmp_path).begin({"fingerprint": "xyz", "study": {}})
    assert RunStore(tmp_path).manifest()["fingerprint"] == "xyz"
    assert not list((tmp_path / "signals").iterdir())


def test_a_place_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        RunStore(tmp_path / "file" / "run").begin(MANIFEST)


def test_a_damaged_line_is_said(tmp_path, make_round):
    record(tmp_path, [make_round(1)])
    with (tmp_path / "rounds.jsonl").open("a") as file:
        file.write("garbage\n")
    with pytest.raises(UserError, match="a line in it is damaged"):
        RunStore(tmp_path).rounds()


def test_small_updates_survive_half_precision(tmp_path, make_round):
    """Float16 ends at 6e-8; an update of 1e-7 keeps its direction all the same."""
    what = make_round(1)
    small = {
        k: {n: what.start[n] * 0 + 1e-7 * v for n, v in u.items()} for k, u in what.uploads.items()
    }
    start = {name: value * 0 for name, value in what.start.items()}
    record(tmp_path, [replace(what, start=start, uploads=small)], weights="half")
    (view,) = Trace(tmp_path).seen_by("server")
    for client, upload in small.items():
        for name, value in upload.items():
            assert (view.models[client][name] - value).norm() <= 1e-3 * value.norm()


def test_a_folder_of_a_newer_version_is_refused(tmp_path):
    (tmp_path / "manifest.json").write_text(json.dumps({"schema": 99, "fingerprint": "abc"}))
    with pytest.raises(UserError, match="newer Seepage"):
        RunStore(tmp_path).manifest()


def test_a_failed_write_leaves_nothing_behind(tmp_path):
    def fail(path):
        path.write_text("half")
        raise RuntimeError("killed")

    (tmp_path / "kept").write_text("old")
    with pytest.raises(RuntimeError, match="killed"):
        write_atomically(tmp_path / "kept", fail)
    assert [p.name for p in tmp_path.iterdir()] == ["kept"]
    assert (tmp_path / "kept").read_text() == "old"


@pytest.mark.parametrize(("weights", "error"), [("full", 1e-6), ("half", 1e-3)])
def test_a_trace_gives_the_uploads_back(tmp_path, make_round, weights, error):
    rounds = [make_round(1), make_round(2)]
    record(tmp_path, rounds, weights=weights)
    trace = Trace(tmp_path)
    assert trace.rounds == [1, 2]
    for view, what in zip(trace.seen_by("server"), rounds, strict=True):
        assert list(view.models) == [0, 1, 2]
        for client, upload in what.uploads.items():
            for name, value in upload.items():
                change = value - what.start[name]
                kept = view.models[client][name] - view.start[name]
                assert (kept - change).norm() <= error * change.norm()


def test_a_querier_sees_the_last_round_of_a_trace_alone(tmp_path, make_round):
    record(tmp_path, [make_round(1), make_round(2)], weights="half")
    (view,) = Trace(tmp_path).seen_by("querier")
    assert view.number == 2
    assert view.start is None


def test_a_run_without_parameters_is_no_trace(tmp_path, make_round):
    record(tmp_path, [make_round(1)])
    with pytest.raises(UserError, match=r"observe\.weights=half"):
        Trace(tmp_path)
