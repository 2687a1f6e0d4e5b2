import io
import tarfile

import numpy as np
import pytest

from seepage.data import load
from seepage.records import UserError

CLASSES, ROWS, WIDTH = 4, 40, 6


@pytest.fixture(params=["location30", "purchase100", "texas100"])
def name(request, smaller):
    smaller(request.param, n=ROWS, classes=CLASSES, shape=(WIDTH,))
    return request.param


@pytest.fixture
def table(noise):
    features = noise.integers(0, 2, (ROWS, WIDTH))
    return features, noise.permutation(np.arange(ROWS) % CLASSES)


FILES = {
    "location30": ("dataset_location.tgz", "bangkok"),
    "purchase100": ("dataset_purchase.tgz", "dataset_purchase"),
    "texas100": ("dataset_texas.tgz", "texas/100/feats", "texas/100/labels"),
}


def texts(name, features, labels):
    """The CSV files as published: classes from 1, in quotes for Location30."""
    rows = [",".join(map(str, row)) for row in features]
    classes = [f'"{k + 1}"' if name == "location30" else str(k + 1) for k in labels]
    if name == "texas100":
        return ["\n".join(rows) + "\n", "\n".join(classes) + "\n"]
    return ["\n".join(f"{k},{row}" for k, row in zip(classes, rows, strict=True)) + "\n"]


def write(folder, name, contents, form="archive"):
    archive, *names = FILES[name]
    if form == "files":
        for member, text in zip(names, contents, strict=True):
            (folder / member).parent.mkdir(parents=True, exist_ok=True)
            (folder / member).write_text(text)
        return folder / names[0]
    with tarfile.open(folder / archive, "w:gz") as packed:
        for member, text in zip(reversed(names), reversed(contents), strict=True):
            info = tarfile.TarInfo(member)
            info.size = len(text.encode())
            packed.addfile(info, io.BytesIO(text.encode()))
    return folder / archive


def check(data, features, labels):
    np.testing.assert_array_equal(data.inputs.numpy(), features)
    np.testing.assert_array_equal(data.labels.numpy(), labels)
    assert (data.classes, data.n_train, data.mean, data.std) == (CLASSES, None, (0.0,), (1.0,))


@pytest.mark.parametrize("form", ["archive", "files"])
def test_the_published_files_are_read(tmp_path, name, table, form):
    write(tmp_path, name, texts(name, *table), form)
    check(load(name, root=tmp_path), *table)


def test_labels_are_read_without_quotes_too(tmp_path, name, table):
    write(tmp_path, name, [text.replace('"', "") for text in texts(name, *table)])
    check(load(name, root=tmp_path), *table)


@pytest.mark.parametrize("base", [0, 1])
@pytest.mark.parametrize("form", ["numbers", "column", "one_hot"])
def test_npz_is_read(tmp_path, name, table, base, form):
    features, labels = table
    written = {
        "numbers": labels + base,
        "column": (labels + base)[:, None],
        "one_hot": np.eye(CLASSES)[labels],
    }[form]
    np.savez(tmp_path / f"{name}.npz", features=features.astype(float), labels=written)
    check(load(name, root=tmp_path), *table)


def test_every_form_has_the_same_checksum(tmp_path, name, table):
    sums = set()
    for form in ("archive", "files"):
        (tmp_path / form).mkdir()
        write(tmp_path / form, name, texts(name, *table), form)
        sums.add(load(name, root=tmp_path / form).checksum)
    (tmp_path / "npz").mkdir()
    np.savez(tmp_path / "npz" / f"{name}.npz", features=table[0], labels=table[1])
    sums.add(load(name, root=tmp_path / "npz").checksum)
    assert len(sums) == 1


def refused(tmp_path, name):
    with pytest.raises(UserError) as caught:
        load(name, root=tmp_path)
    return str(caught.value)


@pytest.mark.parametrize("value", ["nan", "", "0.5", "-1", "256"])
def test_other_values_are_named(tmp_path, name, table, value):
    contents = texts(name, *table)
    lines = contents[0].splitlines()
    lines[7] = lines[7][: lines[7].rindex(",") + 1] + value
    contents[0] = "\n".join(lines) + "\n"
    path = write(tmp_path, name, contents)
    message = refused(tmp_path, name)
    assert str(path) in message
    assert "whole numbers from 0 to 255" in message


def test_a_value_that_is_not_binary_is_named(tmp_path, name, table):
    features, labels = table
    write(tmp_path, name, texts(name, features + 2 * (features == features.max()), labels))
    assert "features that are 0 or 1, got values up to 3" in refused(tmp_path, name)


def test_text_is_named(tmp_path, name, table):
    contents = texts(name, *table)
    write(tmp_path, name, ["<html>no</html>\n" + contents[0], *contents[1:]])
    assert "numbers in every row" in refused(tmp_path, name)


def test_rows_of_another_width_are_named(tmp_path, name, table):
    features, labels = table
    write(tmp_path, name, texts(name, features[:, 1:], labels))
    assert f"{WIDTH + (name != 'texas100')} numbers in every row" in refused(tmp_path, name)


@pytest.mark.parametrize("shift", [-1, 1])
def test_labels_out_of_range_are_named(tmp_path, name, table, shift):
    features, labels = table
    labels = np.where(labels == (0 if shift < 0 else CLASSES - 1), labels + 2 * shift, labels)
    if labels.min() < 0:
        labels = labels + 1  # the text of a class below 0 has another shape
    write(tmp_path, name, texts(name, features, labels))
    assert f"classes from 1 to {CLASSES}" in refused(tmp_path, name)


def test_a_missing_row_is_named(tmp_path, name, table):
    features, labels = table
    write(tmp_path, name, texts(name, features[1:], labels[1:]))
    assert f"{ROWS} samples, got {ROWS - 1}" in refused(tmp_path, name)


def test_the_wrong_archive_is_named(tmp_path, name, table):
    archive, member, *_ = FILES[name]
    with tarfile.open(tmp_path / archive, "w:gz") as packed:
        packed.addfile(tarfile.TarInfo("other/file"))
    message = refused(tmp_path, name)
    assert f"an archive that holds {member}" in message
    assert "other/file" in message


def test_a_page_instead_of_an_archive_is_named(tmp_path, name):
    (tmp_path / FILES[name][0]).write_text("<html>404</html>")
    assert "whole tar archive" in refused(tmp_path, name)


def test_npz_with_objects_is_refused(tmp_path, name):
    np.savez(tmp_path / f"{name}.npz", features=np.array([object()]), labels=np.array([0]))
    assert "npz file of plain arrays" in refused(tmp_path, name)


def test_npz_without_labels_is_named(tmp_path, name, table):
    np.savez(tmp_path / f"{name}.npz", features=table[0], y=table[1])
    assert "arrays features and labels, got features, y" in refused(tmp_path, name)


def test_npz_with_nan_names_the_row(tmp_path, name, table):
    features = table[0].astype(float)
    features[9, 2] = np.nan
    np.savez(tmp_path / f"{name}.npz", features=features, labels=table[1])
    assert "1 rows, first in row 9" in refused(tmp_path, name)


def test_npz_with_two_hot_labels_is_named(tmp_path, name, table):
    hot = np.eye(CLASSES)[table[1]]
    hot[3] = 1
    np.savez(tmp_path / f"{name}.npz", features=table[0], labels=hot)
    assert "one-hot rows" in refused(tmp_path, name)


def test_a_text_file_named_npz_is_refused(tmp_path, name):
    (tmp_path / f"{name}.npz").write_text("hello")
    assert "npz file of plain arrays" in refused(tmp_path, name)


def test_texas_counts_must_agree(tmp_path, table, smaller):
    smaller("texas100", n=ROWS, classes=CLASSES, shape=(WIDTH,))
    features, labels = table
    write(tmp_path, "texas100", texts("texas100", features, labels[:-1]))
    assert f"one label for each of {ROWS} samples" in refused(tmp_path, "texas100")
