from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seepage.data import load
from seepage.records import UserError

CLASSES = ("acne", "eczema", "warts")


def write(folder, colours, mode="RGB", size=(9, 7), suffix="png"):
    """One class folder a name; picture i of a class is of one colour all over."""
    for name, shades in colours.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i, shade in enumerate(shades):
            colour = shade if mode == "L" else (shade, 0, 255 - shade)
            Image.new(mode, size, colour).save(folder / name / f"{i}.{suffix}")


COLOURS = {"warts": [30], "acne": [10, 11], "eczema": [20]}


def expected(shades, size):
    raw = np.stack([np.stack([np.full((size, size), c) for c in (s, 0, 255 - s)]) for s in shades])
    mean = np.array((0.4914, 0.4822, 0.4465)).reshape(3, 1, 1)
    std = np.array((0.2023, 0.1994, 0.2010)).reshape(3, 1, 1)
    return (raw / 255 - mean) / std


@pytest.mark.parametrize("form", ["folder:{}", "{}"])
@pytest.mark.parametrize("size", [None, 5])
def test_a_folder_of_class_folders(tmp_path, form, size):
    write(tmp_path / "mine", COLOURS)
    (tmp_path / "mine" / "acne" / "notes.txt").write_text("not a picture")
    (tmp_path / "mine" / ".hidden").mkdir()
    options = {} if size is None else {"size": size}
    data = load(form.format(tmp_path / "mine"), options=options)
    shades = expected([10, 11, 20, 30], size or 64)  # classes, then files, in alphabetical order
    np.testing.assert_allclose(data.inputs.numpy(), shades, atol=2e-6)
    assert data.labels.tolist() == [0, 0, 1, 2]
    assert (data.classes, data.class_names, data.n_train) == (3, CLASSES, None)


def test_train_and_test_are_kept_as_the_split(tmp_path):
    write(tmp_path / "train", COLOURS)
    write(tmp_path / "test", {name: [40 + i] for i, name in enumerate(CLASSES)})
    data = load(f"folder:{tmp_path}", options={"size": 2})
    shades = expected([10, 11, 20, 30, 40, 41, 42], 2)
    np.testing.assert_allclose(data.inputs.numpy(), shades, atol=2e-6)
    assert data.labels.tolist() == [0, 0, 1, 2, 0, 1, 2]
    assert data.n_train == 4


def test_dermnet_is_read_with_and_without_a_split(tmp_path, smaller):
    smaller("dermnet", classes=3)
    write(tmp_path / "a" / "dermnet", COLOURS)
    assert load("dermnet", root=tmp_path / "a").n_train is None
    for part in ("train", "test"):
        write(tmp_path / "b" / "dermnet" / part, COLOURS)
        write(tmp_path / "c" / part, COLOURS)
    for place in ("b", "c"):
        data = load("dermnet", root=tmp_path / place)
        assert data.n_train == 4
        assert data.inputs.shape == (8, 3, 64, 64)


def test_dermnet_with_other_classes_is_named(tmp_path):
    write(tmp_path / "dermnet", COLOURS)
    with pytest.raises(UserError, match="23 classes, got 3"):
        load("dermnet", root=tmp_path)


def test_dermnet_says_how_to_get_it(tmp_path):
    with pytest.raises(UserError, match=r"cannot be downloaded automatically.*kaggle.*--data"):
        load("dermnet", root=tmp_path)


def test_grey_pictures_become_three_equal_channels(tmp_path):
    write(tmp_path / "mine", {"a": [7], "b": [9]}, mode="L")
    inputs = load(f"folder:{tmp_path / 'mine'}", options={"size": 4}).inputs
    raw = inputs.numpy() * np.array((0.2023, 0.1994, 0.2010)).reshape(3, 1, 1)
    raw = 255 * (raw + np.array((0.4914, 0.4822, 0.4465)).reshape(3, 1, 1))
    np.testing.assert_allclose(
        raw, np.array([7, 9])[:, None, None, None] * np.ones(raw.shape), atol=1e-3
    )


def test_what_is_kept_follows_size_and_files(tmp_path):
    mine = tmp_path / "mine"
    write(mine, COLOURS)
    name = f"folder:{mine}"
    first = load(name, options={"size": 4})
    assert load(name, options={"size": 4}).checksum == first.checksum
    assert load(name, options={"size": 5}).inputs.shape[-1] == 5
    (mine / "acne" / "0.png").rename(mine / "acne" / "9.png")  # the order changes
    assert load(name, options={"size": 4}).checksum != first.checksum


def test_what_is_kept_follows_the_class_of_a_picture(tmp_path):
    mine = tmp_path / "mine"
    write(mine, COLOURS)
    load(f"folder:{mine}", options={"size": 2})
    (mine / "acne" / "1.png").rename(mine / "eczema" / "+.png")  # the same pictures, in order
    assert load(f"folder:{mine}", options={"size": 2}).labels.tolist() == [0, 1, 1, 2]


def test_a_folder_without_classes_is_named(tmp_path):
    write(tmp_path, {".": [3]})
    with pytest.raises(UserError, match="one folder for each class"):
        load(f"folder:{tmp_path}")


def test_an_empty_class_is_named(tmp_path):
    write(tmp_path, COLOURS | {"empty": []})
    data = load(f"folder:{tmp_path}")
    assert data.class_names == CLASSES
    assert data.notes[0] == "1 of 4 classes has no picture left and was left out: empty."


def test_files_outside_the_class_folders_are_named(tmp_path):
    mine = tmp_path / "mine"
    write(mine, COLOURS | {".": [1]})
    assert load(f"folder:{mine}").notes[0] == (
        "1 file outside the class folders was left out: 0.png (a picture is of the class whose "
        "folder it lies in)."
    )
    (mine / "README.md").write_text("of whom")
    (mine / ".hidden").write_text("")
    (mine / "Thumbs.db").write_text("")
    assert (
        load(f"folder:{mine}")
        .notes[0]
        .startswith("2 files outside the class folders were left out, the first is 0.png")
    )
    whole = load(f"folder:{mine}", options={"classes": False})
    assert not any("outside" in note for note in whole.notes)


def test_files_outside_the_class_folders_of_a_split_are_named(tmp_path):
    for part in ("train", "test"):
        write(tmp_path / part, {name: [1, 2] for name in CLASSES})
    assert load(f"folder:{tmp_path}").notes == ()
    (tmp_path / "test" / "list.txt").write_text("")
    (note,) = load(f"folder:{tmp_path}").notes
    assert "left out: test/list.txt" in note
    (tmp_path / "README.md").write_text("")
    (note,) = load(f"folder:{tmp_path}").notes
    assert note.startswith("2 files outside the class folders were left out, the first is README")


def test_classes_of_train_and_test_must_agree(tmp_path):
    write(tmp_path / "train", COLOURS)
    write(tmp_path / "test", {name: [1] for name in CLASSES[:2]})
    with pytest.raises(UserError, match=r"same classes; differ: warts"):
        load(f"folder:{tmp_path}")


def test_a_damaged_picture_is_named(tmp_path):
    write(tmp_path, COLOURS)
    path = tmp_path / "eczema" / "0.png"
    path.write_bytes(path.read_bytes()[:40])
    data = load(f"folder:{tmp_path}")
    assert data.class_names == ("acne", "warts")
    assert data.notes[0].startswith("1 picture could not be decoded and was left out: eczema/0.png")


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(UserError, match="there is no folder"):
        load(f"folder:{tmp_path / 'nowhere'}")


@pytest.mark.parametrize("size", [0, -3, "64", 2.5, True])
def test_a_wrong_size_is_refused(tmp_path, size):
    write(tmp_path, COLOURS)
    with pytest.raises(UserError, match=r"data\.options\.size"):
        load(f"folder:{tmp_path}", options={"size": size})


def test_home_is_understood(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "expanduser", lambda path: tmp_path / str(path)[2:])
    write(tmp_path / "mine", COLOURS)
    assert len(load("~/mine", options={"size": 2})) == 4
