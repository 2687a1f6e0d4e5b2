"""Folders of pictures that nobody tidied: any size and kind, broken ones among them."""

import re
import tempfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from seepage.data import images, load
from seepage.data.folder import read_folder
from seepage.data.loading import FOLDER
from seepage.records import UserError

MEAN = np.array((0.4914, 0.4822, 0.4465)).reshape(3, 1, 1)
STD = np.array((0.2023, 0.1994, 0.2010)).reshape(3, 1, 1)


def raw(data):
    """Pixels in 0..255 of what was loaded."""
    return np.rint(255 * (data.inputs.numpy().astype(float) * STD + MEAN)).astype(int)


def save(path, image, **settings):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **settings)


def plain(path, shade=7, size=(3, 3)):
    save(path, Image.new("L", size, shade))


@pytest.fixture
def mine(tmp_path):
    """A folder with a class ``z`` of two pictures, to which a test adds."""
    for i in range(2):
        plain(tmp_path / "mine" / "z" / f"{i}.png", 200 + i)
    return tmp_path / "mine"


def read(folder, **options):
    return load(f"folder:{folder}", options={"size": 2} | options)


def one_colour(mode, colour):
    return Image.new(mode, (5, 3), colour)


def palette():
    image = one_colour("P", 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    return image


def deep(kind):
    return Image.fromarray(np.full((3, 5), 257 * 90, kind))


def clear(colour):
    """One colour all over that is meant to be seen through."""
    image = one_colour("RGB", colour)
    image.info["transparency"] = colour
    return image


KINDS = {
    "colour.png": (lambda: one_colour("RGB", (10, 20, 30)), (10, 20, 30)),
    "colour.bmp": (lambda: one_colour("RGB", (10, 20, 30)), (10, 20, 30)),
    "colour.webp": (lambda: one_colour("RGB", (90, 90, 90)), (90, 90, 90)),
    "grey.png": (lambda: one_colour("L", 40), (40, 40, 40)),
    "bits.png": (lambda: one_colour("1", 1), (255, 255, 255)),
    "palette.gif": (palette, (10, 20, 30)),
    "palette.png": (palette, (10, 20, 30)),
    "CAPITALS.PNG": (lambda: one_colour("L", 41), (41, 41, 41)),
    "print.tif": (lambda: one_colour("CMYK", (255, 0, 0, 0)), (0, 255, 255)),
    "deep.png": (lambda: deep(np.uint16), (90, 90, 90)),
    "deep.tif": (lambda: deep(np.uint16), (90, 90, 90)),
    "deep_motorola.tiff": (lambda: deep(">u2"), (90, 90, 90)),
    "half.png": (lambda: one_colour("RGBA", (255, 0, 0, 51)), (255, 204, 204)),
    "nothing.png": (lambda: one_colour("RGBA", (9, 9, 9, 0)), (255, 255, 255)),
    "grey_half.png": (lambda: one_colour("LA", (0, 51)), (204, 204, 204)),
    "one_clear_colour.png": (lambda: clear((1, 2, 3)), (255, 255, 255)),
}


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_picture_is_read(mine, name):
    make, colour = KINDS[name]
    save(mine / "a" / name, make(), **({"lossless": True} if name.endswith("webp") else {}))
    data = read(mine)
    expected = np.broadcast_to(np.reshape(colour, (3, 1, 1)), (3, 2, 2))
    np.testing.assert_array_equal(raw(data)[0], expected)


def test_of_an_animation_the_first_frame_is_taken(mine):
    frames = [Image.new("L", (4, 4), shade) for shade in (60, 90, 120)]
    save(mine / "a" / "x.gif", frames[0], save_all=True, append_images=frames[1:])
    assert np.unique(raw(read(mine))[0]).tolist() == [60]


def test_grey_of_16_bits_is_rounded(tmp_path):
    deep_grey = np.array([[0, 128, 129, 23260, 65406, 65407, 65535]], np.uint16)
    save(tmp_path / "x.png", Image.fromarray(deep_grey))
    pixels, *_ = images.decode_any([tmp_path / "x.png"], deep_grey.shape, mode="L")
    assert pixels.ravel().tolist() == [0, 0, 1, 91, 254, 255, 255]  # 128.5 = 257 / 2


ASYMMETRIC = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40

# Where the file's first row and first column belong, by the EXIF standard (tag 0x0112).
UPRIGHT = {
    1: ASYMMETRIC,  # top, left
    2: ASYMMETRIC[:, ::-1],  # top, right
    3: ASYMMETRIC[::-1, ::-1],  # bottom, right
    4: ASYMMETRIC[::-1],  # bottom, left
    5: ASYMMETRIC.T,  # left, top
    6: ASYMMETRIC[::-1].T,  # right, top
    7: ASYMMETRIC[::-1, ::-1].T,  # right, bottom
    8: ASYMMETRIC[:, ::-1].T,  # left, bottom
}


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_pictures_are_turned_upright(tmp_path, orientation, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"x.{suffix}"
    save(path, Image.fromarray(ASYMMETRIC), exif=exif)
    upright = UPRIGHT[orientation]
    pixels, broken, small = images.decode_any([path], upright.shape, mode="L")
    np.testing.assert_array_equal(pixels[0, 0], upright)
    assert not broken
    assert not small


def test_deep_pictures_are_turned_too(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    save(tmp_path / "x.png", Image.fromarray(ASYMMETRIC.astype(np.uint16) * 257), exif=exif)
    pixels, *_ = images.decode_any([tmp_path / "x.png"], (3, 2), mode="L")
    np.testing.assert_array_equal(pixels[0, 0], UPRIGHT[6])


def celeba(noise, shape=(218, 178)):
    return noise.integers(0, 256, (*shape, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("crop", "part", "size"),
    [
        ([55, 35, 108, 108], np.s_[55:163, 35:143], 108),  # as usual for CelebA's aligned faces
        (128, np.s_[45:173, 25:153], 128),
        (True, np.s_[20:198, :], 178),
        (177, np.s_[20:197, 0:177], 177),
        ([0, 0, 218, 178], np.s_[:, :], None),
        (False, np.s_[:, :], None),
    ],
)
def test_a_crop_is_that_part_and_no_more(mine, noise, crop, part, size):
    content = celeba(noise)
    for name in ("a", "z"):
        save(mine / name / "0.png", Image.fromarray(content))
    (mine / "z" / "1.png").unlink()
    data = read(mine, crop=crop, size=size or 64)
    expected = Image.fromarray(np.ascontiguousarray(content[part]))
    if size is None:
        expected = expected.resize((64, 64), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(raw(data)[0], np.asarray(expected).transpose(2, 0, 1))
    assert data.notes[0].startswith("2 of 2 classes have a single picture")


def test_pictures_that_do_not_hold_the_crop_are_named(mine):
    plain(mine / "a" / "narrow.png", size=(3, 9))
    plain(mine / "a" / "wide.png", size=(9, 3))
    plain(mine / "a" / "right.png", 33, size=(4, 4))
    for name in ("0", "1"):
        plain(mine / "z" / f"{name}.png", size=(4, 4))
    for crop in (4, [0, 0, 4, 4]):
        data = read(mine, crop=crop)
        assert np.unique(raw(data)[0]).tolist() == [33]
        assert data.notes[0] == (
            "2 pictures could not be cropped and were left out, the first is a/narrow.png "
            "(9×3 pixels)."
        )
    assert read(mine, crop=[0, 1, 1, 2]).notes == ()


def test_grey_is_one_channel(mine):
    save(mine / "a" / "0.png", one_colour("RGB", (255, 0, 0)))
    save(mine / "a" / "1.png", deep(np.uint16))
    data = read(mine, grey=True)
    assert data.inputs.shape == (4, 1, 2, 2)
    assert (data.mean, data.std) == ((0.5,), (0.5,))
    found = 255 * (data.inputs.numpy() * 0.5 + 0.5)
    red = 0.299 * 255  # ITU-R BT.601
    np.testing.assert_allclose(found[:, 0, 0, 0], [red, 90, 200, 201], atol=0.5)


def damage(path, how):
    plain(path, size=(40, 40))
    whole = path.read_bytes()
    if how == "link":
        path.unlink()
        path.symlink_to("nowhere.png")
    else:
        path.write_bytes(
            {"empty": b"", "text": b"404 Not Found", "cut": whole[: len(whole) // 2]}[how]
        )


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("empty", "cannot identify image file"),
        ("text", "cannot identify image file"),
        ("cut", ".+"),
        ("link", "No such file or directory"),
    ],
)
def test_a_broken_picture_is_left_out_and_named(mine, how, why):
    plain(mine / "a" / "0.png", 11)
    plain(mine / "a" / "2.png", 12)
    damage(mine / "a" / "1.png", how)
    data = read(mine)
    assert raw(data)[:, 0, 0, 0].tolist() == [11, 12, 200, 201]
    assert data.labels.tolist() == [0, 0, 1, 1]
    (note,) = data.notes
    said = rf"1 picture could not be decoded and was left out: a/1\.png \({why}\)\."
    assert re.fullmatch(said, note)
    assert str(mine) not in note, "a note names no place on this machine"


@given(
    suffix=st.sampled_from(["png", "jpg", "gif", "bmp", "tif", "webp"]),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=9),
    kept=st.floats(0, 1),
)
def test_no_damage_stops_the_others(suffix, changes, kept):
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{i}.{suffix}" for i in range(3)]
        for path in paths:
            plain(path, 77, size=(12, 10))
        content = bytearray(paths[1].read_bytes())
        for place, value in changes:
            content[int(place * len(content))] = value
        paths[1].write_bytes(content[: int(kept * len(content))])
        pixels, broken, small = images.decode_any(paths, (10, 12), mode="L")
    assert set(broken) <= {1}
    assert not small
    assert (abs(pixels[[0, 2]].astype(int) - 77) <= 2).all()  # JPEG and WebP are lossy


def test_pixels_without_a_known_range_are_named(mine):
    save(mine / "z" / "2.tif", Image.fromarray(np.ones((2, 2), np.float32)))
    assert read(with_class(mine)).notes == (
        "1 picture could not be decoded and was left out: z/2.tif (pixels of 32 bits, whose range "
        "it does not say).",
    )


def with_class(folder, name="a", count=2):
    for i in range(count):
        plain(folder / name / f"{i}.png")
    return folder


def test_a_class_left_without_pictures_is_named(mine):
    damage(mine / "gone" / "0.png", "text")
    damage(mine / "gone" / "1.png", "text")
    (mine / "empty").mkdir()
    data = read(with_class(mine))
    assert data.class_names == ("a", "z")
    assert data.labels.tolist() == [0, 0, 1, 1]
    assert data.notes == (
        "2 pictures could not be decoded and were left out, the first is gone/0.png (cannot "
        "identify image file).",
        "2 of 4 classes have no picture left and were left out: the first is empty.",
    )


def test_a_class_without_a_part_of_the_split_is_left_out(tmp_path):
    for part in ("train", "test"):
        for i, name in enumerate("abc"):
            plain(tmp_path / part / name / "0.png", 10 * i + (part == "test"))
    damage(tmp_path / "test" / "a" / "0.png", "text")
    data = read(tmp_path)
    assert (data.class_names, data.n_train) == (("b", "c"), 2)
    assert raw(data)[:, 0, 0, 0].tolist() == [10, 20, 11, 21]
    assert data.notes == (
        "1 picture could not be decoded and was left out: test/a/0.png (cannot identify image "
        "file).",
        "1 of 3 classes has no picture in train or in test left and was left out: a.",
    )


def test_classes_with_few_pictures_are_left_out_on_demand(mine):
    with_class(mine, "a", 3)
    with_class(mine, "b", 1)
    damage(mine / "c" / "0.png", "text")
    with_class(mine, "c", 1)
    damage(mine / "c" / "1.png", "text")
    plain(mine / "a" / "deeper" / "0.png")
    assert read(mine).notes[-1] == (
        "2 of 4 classes have a single picture: they cannot be both trained on and held out."
    )
    data = read(mine, min_pictures=2)
    assert data.class_names == ("a", "z")
    assert len(data) == 6
    assert data.notes[-1] == (
        "2 of 4 classes have fewer than 2 pictures (data.options.min_pictures) left and were left "
        "out: the first is b."
    )
    with pytest.raises(UserError, match=r"at least two classes, got a\. .*fewer than 3 pictures"):
        read(mine, min_pictures=3)


@given(
    plan=st.lists(st.lists(st.booleans(), max_size=4), min_size=1, max_size=5),
    fewest=st.integers(1, 3),
)
@settings(max_examples=40)
def test_what_is_left_is_every_good_picture_of_classes_with_enough(plan, fewest):
    left = [k for k, good in enumerate(plan) if sum(good) >= fewest]
    with tempfile.TemporaryDirectory() as folder:
        for k, goods in enumerate(plan):
            (Path(folder) / str(k)).mkdir()
            for i, good in enumerate(goods):
                path = Path(folder) / str(k) / f"{i}.bmp"
                Image.new("L", (1, 1), 10 * k + i).save(path)
                if not good:
                    path.write_bytes(b"")
        if len(left) < 2:
            with pytest.raises(UserError, match="at least two classes"):
                read_folder(FOLDER, [Path(folder)], min_pictures=fewest)
            return
        found = read_folder(FOLDER, [Path(folder)], min_pictures=fewest)
    shades = [10 * k + i for k in left for i, good in enumerate(plan[k]) if good]
    assert found.inputs[:, 0, 0, 0].tolist() == shades
    assert found.class_names == tuple(map(str, left))
    assert [left[label] for label in found.labels] == [shade // 10 for shade in shades]


def test_nothing_left_is_an_error_that_says_why(tmp_path):
    for name in "ab":
        damage(tmp_path / name / "0.jpg.png", "text")
    with pytest.raises(UserError, match=r"got none\. 2 pictures could not be decoded .*first is a"):
        read(tmp_path)


def test_hidden_files_are_passed_over(mine):
    with_class(mine)
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._0.png"):
        (mine / "a" / name).write_bytes(b"?")
    (mine / "__MACOSX" / "a").mkdir(parents=True)
    (mine / "__MACOSX" / "a" / "0.png").write_bytes(b"?")
    (mine / "a" / ".thumbnails").mkdir()
    plain(mine / "a" / ".thumbnails" / "0.png")
    data = read(mine)
    assert (len(data), data.class_names, data.notes) == (4, ("a", "z"), ())


def test_files_with_another_ending_are_named(mine):
    (with_class(mine) / "a" / "notes.txt").write_text("seen")
    (note,) = read(mine).notes
    assert note.startswith("1 file with another ending was left out: a/notes.txt (pictures end in")
    assert ".jpeg" in note


def test_a_hidden_place_is_no_hindrance(tmp_path):
    plain(tmp_path / ".cache" / "faces" / "a" / "0.png")
    plain(tmp_path / ".cache" / "faces" / "b" / "0.png")
    assert len(read(tmp_path / ".cache" / "faces")) == 2


def test_links_are_followed_but_not_in_circles(mine, tmp_path):
    plain(tmp_path / "elsewhere" / "0.png", 77)
    (mine / "a").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "again").symlink_to(tmp_path / "elsewhere")
    assert raw(read(mine))[:, 0, 0, 0].tolist() == [77, 200, 201]
    plain(tmp_path / "elsewhere" / "0.png", 78)  # what a link leads to is looked at anew
    assert raw(read(mine))[:, 0, 0, 0].tolist() == [78, 200, 201]


def test_every_picture_is_opened_once_and_then_kept_with_its_notes(mine, monkeypatch):
    damage(with_class(mine) / "a" / "broken.png", "text")
    opened, really = [], Image.open
    monkeypatch.setattr(Image, "open", lambda file: opened.append(file) or really(file))
    first = read(mine, crop=True)
    assert len(opened) == len(list(mine.rglob("*.png"))) == 5
    again = read(mine, crop=True)
    assert len(opened) == 5
    assert first.notes == again.notes != ()
    assert first.checksum == again.checksum


def test_what_is_kept_follows_options_and_what_is_left_out(mine, noise):
    with_class(mine, "one", 1)
    for i in range(2):
        save(mine / "z" / f"{i}.png", Image.fromarray(celeba(noise, (9, 5))))
    plain(mine / "one" / "0.png", size=(9, 5))
    sums = [read(mine, **options).checksum for options in ({}, {"crop": True}, {"crop": 1})]
    assert len(set(sums)) == 3
    with pytest.raises(UserError, match="two classes"):
        read(mine, min_pictures=2)
    (mine / "none").mkdir()
    assert "1 of 3 classes has no picture left and was left out: none." in read(mine).notes
    (mine / "z" / "notes.txt").write_text("")
    assert any("z/notes.txt" in note for note in read(mine).notes)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"grey": 1}, "grey = 1: expected true or false"),
        ({"grey": "yes"}, "grey = 'yes'"),
        ({"crop": 0}, "crop = 0: expected true"),
        ({"crop": -5}, "crop = -5"),
        ({"crop": "middle"}, "crop = 'middle'"),
        ({"crop": 1.5}, "crop = 1.5"),
        ({"crop": [1, 2, 3]}, r"crop = \[1, 2, 3\]: .*\[top, left, height, width\]"),
        ({"crop": [0, 0, 0, 5]}, r"crop = \[0, 0, 0, 5\]"),
        ({"crop": [-1, 0, 5, 5]}, r"crop = \[-1, 0, 5, 5\]"),
        ({"crop": [0, 0, True, 5]}, r"crop = \[0, 0, True, 5\]"),
        ({"min_pictures": 0}, "min_pictures = 0: expected a number, at least 1"),
        ({"min_pictures": True}, "min_pictures = True"),
        ({"channels": 1}, "no such option; it takes size, grey, crop, min_pictures, classes"),
    ],
)
def test_wrong_options_are_refused(mine, options, said):
    with pytest.raises(UserError, match=said):
        read(mine, **options)


def test_dermnet_keeps_to_its_size(tmp_path):
    with pytest.raises(UserError, match="it takes size"):
        load("dermnet", root=tmp_path, options={"crop": True})


def test_encoded_pictures_are_still_refused_when_broken():
    whole = BytesIO()
    Image.new("L", (3, 3)).save(whole, "PNG")
    with pytest.raises(UserError, match="here, row 1: expected a picture"):
        images.decode([whole.getvalue(), b"404"], (3, 3), "here")


def test_pictures_without_labels_are_one_class_wherever_they_lie(mine):
    """Beside folders, in folders of folders, in train and test; a broken one is left out."""
    for i, place in enumerate((".", "deep/deeper", "train", "test")):
        plain(mine / place / "picture.png", 10 + i)
    damage(mine / "broken.png", "text")
    (mine / "read.me").write_text("")
    data = read(mine, classes=False)
    assert data.classes == 1
    assert data.class_names == ("mine",)
    assert data.n_train is None
    assert sorted(raw(data)[:, 0, 0, 0].tolist()) == [10, 11, 12, 13, 200, 201]
    assert data.labels.tolist() == [0] * 6
    assert [note.split(" left out")[0] for note in data.notes] == [
        "1 file with another ending was",
        "1 picture could not be decoded and was",
    ]
    with pytest.raises(UserError, match="expected pictures, got none"):
        read(mine / "deep" / "deeper", classes=False, crop=50)
    with pytest.raises(UserError, match=r"set data\.options\.classes = false"):
        read(mine / "deep" / "deeper")
    with pytest.raises(UserError, match="classes = 0: expected true or false"):
        read(mine, classes=0)
    with pytest.raises(UserError, match="Leave one of them out"):
        read(mine, classes=False, min_pictures=2)
