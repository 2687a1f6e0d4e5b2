import sys
import types
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image as Pictures

from seepage.data import load
from seepage.records import Dataset, UserError

INPUTS = torch.linspace(-1, 1, 12).reshape(4, 3)
LABELS = torch.tensor([0, 2, 1, 0])


@pytest.fixture
def mine(monkeypatch):
    """A module of the user's whose function returns what it is told to."""
    module = types.ModuleType("my_data")
    monkeypatch.setitem(sys.modules, "my_data", module)

    def returns(answer):
        module.give = lambda **options: answer(**options) if callable(answer) else answer
        return "my_data:give"

    return returns


@pytest.mark.parametrize("kind", ["tensors", "arrays", "double", "lists"])
def test_pairs_are_taken_as_they_are(mine, kind):
    answer = {
        "tensors": (INPUTS, LABELS),
        "arrays": (INPUTS.numpy(), LABELS.numpy()),
        "double": (INPUTS.double(), LABELS.int()),
        "lists": (INPUTS.tolist(), LABELS.tolist()),
    }[kind]
    data = load(mine(answer))
    assert data.inputs.dtype == torch.float32
    assert data.labels.dtype == torch.int64
    torch.testing.assert_close(data.inputs, INPUTS)
    assert data.labels.tolist() == LABELS.tolist()
    assert (data.classes, data.n_train, data.name) == (3, None, "my_data:give")


def test_options_are_keywords(mine):
    data = load(mine(lambda shift: (INPUTS + shift, LABELS)), options={"shift": 5.0})
    torch.testing.assert_close(data.inputs, INPUTS + 5)


def test_the_checksum_names_the_content(mine):
    first = load(mine((INPUTS, LABELS))).checksum
    assert load(mine((INPUTS.clone(), LABELS.clone()))).checksum == first
    assert load(mine((INPUTS + 1e-3, LABELS))).checksum != first
    assert load(mine((INPUTS, LABELS.flip(0)))).checksum != first


def record(**changes):
    whole = Dataset(
        name="x", inputs=INPUTS, labels=LABELS, classes=5, n_train=3,
        mean=(0.5,), std=(2.0,), checksum="", class_names=("a", "b", "c", "d", "e"),
    )  # fmt: skip
    return replace(whole, **changes)


def test_a_dataset_keeps_what_it_says(mine):
    data = load(mine(record()))
    assert (data.classes, data.n_train, data.mean, data.std) == (5, 3, (0.5,), (2.0,))
    assert data.class_names == ("a", "b", "c", "d", "e")
    assert len(data.checksum) == 64


def test_the_device_is_honoured(mine):
    assert load(mine((INPUTS, LABELS)), device="meta").inputs.device.type == "meta"


nan = INPUTS.clone()
nan[2, 1] = float("nan")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (3, "expected it to return .* got int"),
        ((INPUTS, LABELS, LABELS), "got 3 values"),
        ((INPUTS, LABELS[:3]), r"labels of shape \(4,\), one an input, got \(3,\)"),
        ((INPUTS, LABELS[:, None]), r"got \(4, 1\)"),
        ((INPUTS, LABELS.float()), "whole-number labels, got float32"),
        ((INPUTS, LABELS - 1), "labels begin at 0, got labels from -1 to 1"),
        ((INPUTS, -LABELS - 1), "labels from -3 to -1"),
        ((INPUTS[:, 0], LABELS), r"inputs of shape \(n, ...\), got shape \(4,\)"),
        ((INPUTS[:0], LABELS[:0]), "there are no records"),
        ((INPUTS.byte(), LABELS), "floating point inputs.*got uint8"),
        ((nan, LABELS), "1 rows, first in row 2"),
        (record(classes=2), "labels from 0 to 1, got labels from 0 to 2"),
        (record(n_train=4), "n_train between 1 and 3"),
        (record(n_train=0), "n_train between 1 and 3"),
        (record(inputs=nan), "NaN"),
    ],
)
def test_what_is_wrong_is_said(mine, answer, said):
    with pytest.raises(UserError, match=f"^my_data:give.*{said}"):
        load(mine(answer))


def test_an_error_in_the_function_is_the_users_to_mend(mine):
    said = (
        r"^my_data:give failed while it was called: IndexError: .* \(test_data_user\.py, line \d+\)"
    )
    with pytest.raises(UserError, match=said) as refused:
        load(mine(lambda: INPUTS[:, 9]))
    assert isinstance(refused.value.__cause__, IndexError)


def test_a_missing_module_or_function_is_named(mine):
    mine(None)
    with pytest.raises(UserError, match="no module 'no_such'"):
        load("no_such.module:f")
    with pytest.raises(UserError, match="my_data has no function 'other'"):
        load("my_data:other")


class Image:
    def __init__(self, decode=True):
        self.decode = decode


class ClassLabel:
    def __init__(self, names):
        self.names = names


class Value:
    pass


class Table:
    """As much of a split as the library gives: features, columns, rows."""

    def __init__(self, features, columns):
        self.features, self.columns = features, columns

    def __len__(self):
        return len(next(iter(self.columns.values())))

    def __iter__(self):
        return ({k: v[i] for k, v in self.columns.items()} for i in range(len(self)))

    def __getitem__(self, column):
        return self.columns[column]

    def cast_column(self, column, feature):
        assert not feature.decode
        return Table(self.features | {column: feature}, self.columns)


def picture(shade, mode="RGB", size=(5, 4)):
    out = BytesIO()
    Pictures.new(mode, size, shade if mode == "L" else (shade, 0, 0)).save(out, "PNG")
    return {"bytes": out.getvalue(), "path": None}


def table(shades, labels, mode="RGB", size=(5, 4), **more):
    features = {"img": Image(), "kind": ClassLabel(["no", "yes"]), "note": Value()} | more
    cells = [picture(shade, mode, size) for shade in shades]
    columns = {"img": cells, "kind": labels, "note": [""] * len(labels)}
    return Table(features, columns | dict.fromkeys(more, labels))


@pytest.fixture
def hub(monkeypatch):
    """A stand-in for the library, which is not needed to run the tests."""
    module = types.ModuleType("datasets")
    monkeypatch.setitem(sys.modules, "datasets", module)

    def holds(splits):
        def load_dataset(path, config, *, revision):
            if isinstance(splits, Exception):
                raise splits
            assert (path, config) == ("owner/name", None)
            return splits

        module.load_dataset, module.Image = load_dataset, Image
        return "hub:owner/name"

    return holds


def test_the_hubs_pictures_are_read(hub):
    data = load(hub({"train": table([10, 20], [0, 1]), "test": table([30], [1])}))
    assert data.inputs.shape == (3, 3, 4, 5)
    red = (np.array([10, 20, 30]) / 255 - 0.4914) / 0.2023
    np.testing.assert_allclose(data.inputs[:, 0, 0, 0].numpy(), red, atol=1e-6)
    assert data.labels.tolist() == [0, 1, 1]
    assert (data.classes, data.class_names, data.n_train) == (2, ("no", "yes"), 2)


def test_grey_pictures_of_the_hub_keep_one_channel(hub):
    data = load(hub({"train": table([0, 255], [0, 1], mode="L")}), options={"size": 6})
    assert data.inputs.shape == (2, 1, 6, 6)
    assert data.inputs[:, 0, 0, 0].tolist() == [-1.0, 1.0]
    assert data.n_train is None


def test_the_column_can_be_named(hub):
    given = {"train": table([1, 2], [0, 1], other=ClassLabel(["a", "b"]))}
    with pytest.raises(UserError, match=r"one ClassLabel column.*got 2.*other \(ClassLabel\)"):
        load(hub(given))
    assert load(hub(given), options={"label": "other"}).class_names == ("a", "b")


@pytest.mark.parametrize(
    ("splits", "options", "said"),
    [
        ({"train": table([1], [0])}, {"label": "note"}, "got note; its columns: img"),
        ({"train": table([1], [0])}, {"colour": 1}, "no such option; it takes config"),
        ({"validation": table([1], [0])}, {}, "a split train, got validation"),
        ({"train": table([1, 1], [0, -1])}, {}, "labels from -1 to 0"),
        (FileNotFoundError("no such\n data set"), {}, "did not give it.*no such data set"),
        (ConnectionError("offline"), {}, "ConnectionError: offline"),
    ],
)
def test_what_the_hub_lacks_is_said(hub, splits, options, said):
    with pytest.raises(UserError, match=said):
        load(hub(splits), options=options)


def test_hub_pictures_of_two_sizes_ask_for_a_size(hub):
    mixed = table([1], [0])
    mixed.columns = {k: v * 2 for k, v in mixed.columns.items()}
    mixed.columns["img"][1] = picture(9, size=(8, 8))
    with pytest.raises(UserError, match="4×5 pixels, got 8×8"):
        load(hub({"train": mixed}))
    assert load(hub({"train": mixed}), options={"size": 3}).inputs.shape == (2, 3, 3, 3)


def test_without_the_library_one_is_told_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UserError, match=r"pip install 'seepage\[hub\]'"):
        load("hub:owner/name")
