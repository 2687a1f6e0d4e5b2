"""Signals and truth as files: what goes in comes out, what is wrong is refused in a sentence."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from seepage.observe import read_signals, read_truth, write_signals
from seepage.records import UserError

AXES = ("sample", "round", "client")
BOTH = ("model", "sample")
SUBSETS = st.sampled_from([("sample",), ("sample", "round"), ("sample", "client"), AXES[1:], AXES])


@st.composite
def datasets(draw):
    ids = sorted(draw(st.sets(st.integers(0, 10**6), min_size=1, max_size=4)))
    coords = {
        "sample": np.array(ids, dtype=np.int64),
        "round": np.array(sorted(draw(st.sets(st.integers(1, 300), min_size=1, max_size=3)))),
        "client": np.arange(draw(st.integers(1, 3))),
    }
    variables = {}
    for name in draw(st.sets(st.sampled_from(["loss", "cosine", "margin"]), min_size=1)):
        dims = draw(SUBSETS)
        shape = [len(coords[dim]) for dim in dims]
        values = np.array(draw(st.lists(st.floats(-9, 9, width=32), min_size=64, max_size=64)))
        variables[name] = (dims, np.resize(values, shape).astype(np.float32))
    return xr.Dataset(variables, coords=coords)


@st.composite
def datasets_of_models(draw):
    ids = sorted(draw(st.sets(st.integers(0, 10**6), min_size=1, max_size=4)))
    coords = {
        "model": np.array(sorted(draw(st.sets(st.integers(0, 300), min_size=1, max_size=3)))),
        "sample": np.array(ids, dtype=np.int64),
        "query": np.arange(draw(st.integers(1, 3))),
    }
    sizes = {dim: len(numbers) for dim, numbers in coords.items()}
    sizes |= {"class": draw(st.integers(1, 3)), "feature": draw(st.integers(1, 3))}
    if draw(st.booleans()):
        coords["class"] = np.arange(sizes["class"]) + 5

    def of(dims, kind):
        values = np.array(draw(st.lists(st.floats(-9, 9, width=32), min_size=64, max_size=64)))
        return dims, np.resize(values, [sizes[dim] for dim in dims]).astype(kind)

    variables = {
        "loss": of(draw(st.sampled_from([BOTH, (*BOTH, "query"), BOTH[::-1]])), np.float32),
        "member": of(BOTH, bool),
        "label": of(("sample",), np.int64),
        "public": of(("sample",), bool),
        "logits": of((*BOTH, "class"), np.float32),
        "input": of(("sample", "feature"), np.float32),
    }
    left_out = draw(st.sets(st.sampled_from(sorted(variables)), max_size=5))
    return xr.Dataset({k: v for k, v in variables.items() if k not in left_out}, coords=coords)


@pytest.mark.parametrize("suffix", [".npz", ".nc"])
@settings(max_examples=20, deadline=None)
@given(dataset=st.one_of(datasets(), datasets_of_models()))
def test_round_trip(tmp_path_factory, suffix, dataset):
    path = tmp_path_factory.mktemp("signals") / f"signals{suffix}"
    write_signals(path, dataset)
    xr.testing.assert_identical(read_signals(path), dataset)


def test_axes_of_an_npz_stand_in_order(tmp_path):
    path = tmp_path / "signals.npz"
    loss = np.arange(24.0).reshape(4, 3, 2)
    np.savez(
        path,
        loss=loss,
        squared_gradient_norm=loss[:, :, 0],
        cosine=loss[:, 0],
        cosine__dims=np.array(["sample", "client"]),
        sample=np.array([7, 5, 3, 1]),
    )
    signals = read_signals(path)
    assert signals.loss.dims == ("sample", "round", "client")
    assert signals.squared_gradient_norm.dims == ("sample", "round")
    assert signals.cosine.dims == ("sample", "client")
    assert signals.loss.sel(sample=5, round=3, client=1) == loss[1, 2, 1]


def test_an_array_of_models_puts_them_first(tmp_path):
    path = tmp_path / "signals.npz"
    loss, logits = np.arange(24.0).reshape(2, 3, 4), np.arange(30.0).reshape(2, 3, 5)
    np.savez(
        path,
        model=np.array([4, 5]),
        sample=np.array([7, 5, 3]),
        loss=loss,
        margin=loss[..., 0],
        member=loss[..., 0] % 2 == 0,
        label=np.array([2, 0, 1]),
        public=np.array([False, False, True]),
        logits=logits,
        input=np.ones((3, 6)),
        rank=logits,
        rank__dims=np.array(["model", "sample", "query"]),
    )
    with pytest.raises(UserError, match="conflicting sizes for dimension 'query'"):
        read_signals(path)
    kept = dict(np.load(path))
    del kept["rank"], kept["rank__dims"]
    np.savez(path, **kept)
    signals = read_signals(path)
    assert {str(name): values.dims for name, values in signals.items()} == {
        "loss": ("model", "sample", "query"),
        "margin": ("model", "sample"),
        "member": ("model", "sample"),
        "label": ("sample",),
        "public": ("sample",),
        "logits": ("model", "sample", "class"),
        "input": ("sample", "feature"),
    }
    assert signals.loss.sel(model=5, sample=3, query=1) == loss[1, 2, 1]
    assert signals.member.dtype == signals.public.dtype == bool
    assert signals.member.sel(model=5).values.tolist() == [True, True, True]
    assert "class" not in signals.coords


def test_models_of_a_netcdf_without_numbers_count_from_zero(tmp_path):
    path = tmp_path / "signals.nc"
    loss = xr.DataArray(np.ones((3, 2)), dims=("model", "sample"), coords={"sample": [4, 6]})
    xr.Dataset({"loss": loss}).to_netcdf(path, engine="h5netcdf")
    assert read_signals(path).model.values.tolist() == [0, 1, 2]


def test_signals_of_models_need_no_membership_to_be_read(tmp_path):
    path = save(tmp_path / "s.npz", model=np.arange(2), sample=np.arange(3), loss=np.zeros((2, 3)))
    assert list(read_signals(path)) == ["loss"]


def save(path, **arrays):
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"loss": np.zeros(3)}, "has no sample ids"),
        ({"sample": np.arange(3)}, "holds no signal"),
        ({"sample": np.arange(3), "loss": np.zeros(4)}, "do not fit together"),
        ({"sample": np.array([1, 1]), "loss": np.zeros(2)}, "each once"),
        ({"sample": np.array([1.5, 2]), "loss": np.zeros(2)}, "whole numbers"),
        ({"sample": np.arange(1), "loss": np.zeros((1, 1, 1, 1))}, "loss__dims"),
        (
            {"sample": np.arange(1), "x": np.zeros((1, 1)), "x__dims": np.array(["sample", "z"])},
            "unknown dims",
        ),
        (
            {"sample": np.arange(2), "model": np.array([1, 1]), "loss": np.zeros((2, 2))},
            "models are whole numbers, each once",
        ),
        (
            {"sample": np.arange(2), "model": np.array([0.5, 1]), "loss": np.zeros((2, 2))},
            "models are whole numbers, each once",
        ),
        (
            {"sample": np.arange(3), "model": np.arange(2), "loss": np.zeros((3, 2))},
            "order model, sample, query",
        ),
        (
            {"sample": np.arange(3), "model": np.arange(2), "logits": np.zeros((2, 3))},
            "logits has 2 axes, expected 3",
        ),
        (
            {
                "sample": np.arange(3),
                "model": np.arange(2),
                "loss": np.zeros((2, 3)),
                "cosine": np.zeros((3, 4)),
                "cosine__dims": np.array(["sample", "client"]),
            },
            r"federation \(client\) and of final models \(model\) do not go into one file",
        ),
        ({"sample": np.array([{}], dtype=object), "loss": np.zeros(1)}, "plain arrays"),
    ],
)
def test_a_foreign_npz_is_refused(tmp_path, arrays, message):
    with pytest.raises(UserError, match=message):
        read_signals(save(tmp_path / "foreign.npz", **arrays))


def test_a_truncated_file_is_refused(tmp_path):
    path = save(tmp_path / "signals.npz", sample=np.arange(9), loss=np.arange(9.0))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match="not a whole"):
        read_signals(path)


def test_other_files_are_refused(tmp_path):
    (tmp_path / "signals.txt").write_text("loss")
    (tmp_path / "signals.nc").write_text("loss")
    with pytest.raises(UserError, match="not a signals file"):
        read_signals(tmp_path / "signals.txt")
    with pytest.raises(UserError, match="cannot be read as netCDF"):
        read_signals(tmp_path / "signals.nc")
    with pytest.raises(UserError, match="no such signals file"):
        read_signals(tmp_path / "nothing.npz")
    with pytest.raises(UserError, match="give one of these endings"):
        write_signals(tmp_path / "signals.txt", xr.Dataset())


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_truth_is_sorted_by_id(tmp_path, suffix):
    table = pd.DataFrame({"sample": [5, 2, 9], "owner": [0, -1, 3], "note": ["a", "b", "c"]})
    path = tmp_path / f"truth{suffix}"
    table.to_csv(path, index=False) if suffix == ".csv" else table.to_parquet(path)
    truth = read_truth(path)
    assert truth.ids.tolist() == [2, 5, 9]
    assert truth.owner.tolist() == [-1, 0, 3]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,owner\n1,0\n", "needs the columns sample and owner"),
        ("sample,owner\n1,0\n1,1\n", "sample 1 has two rows"),
        ("sample,owner\n1,-2\n", "got -2"),
        ("sample,owner\n1,a\n", "whole numbers"),
        ("sample,owner\n1,\n", "whole numbers"),
        ("", "not a CSV or Parquet table"),
    ],
)
def test_a_wrong_truth_is_refused(tmp_path, text, message):
    path = tmp_path / "truth.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        read_truth(path)


def test_a_missing_truth_is_refused(tmp_path):
    with pytest.raises(UserError, match="no such truth file"):
        read_truth(tmp_path / "truth.csv")
