import gzip
import struct

import numpy as np
import pytest

from seepage.data import load
from seepage.data.idx import FILES
from seepage.records import UserError

TRAIN, TEST = 7, 4


def idx(array):
    head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.tobytes()


def arrays(rng):
    def images(n):
        return rng.integers(0, 256, (n, 28, 28), dtype=np.uint8)

    def labels(n):
        return rng.integers(0, 10, n, dtype=np.uint8)

    return dict(zip(FILES, (images(TRAIN), labels(TRAIN), images(TEST), labels(TEST)), strict=True))


def write(folder, content, packed):
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in content.items():
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(data))
        else:
            (folder / name).write_bytes(data)


@pytest.fixture
def parts(noise, smaller):
    smaller("mnist", n=TRAIN + TEST, n_train=TRAIN)
    return arrays(noise)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("where", ["mnist", "."])
def test_what_was_written_is_read(tmp_path, parts, packed, where):
    write(tmp_path / where, {name: idx(part) for name, part in parts.items()}, packed)
    data = load("mnist", root=tmp_path)
    raw = np.concatenate([parts[FILES[0]], parts[FILES[2]]])[:, None]
    labels = np.concatenate([parts[FILES[1]], parts[FILES[3]]])
    np.testing.assert_array_equal(data.labels.numpy(), labels)
    np.testing.assert_allclose(data.inputs.numpy(), (raw / 255 - 0.1307) / 0.3081, atol=1e-6)
    assert (data.n_train, data.classes, data.name) == (TRAIN, 10, "mnist")
    assert str(data.inputs.dtype) == "torch.float32"


def test_the_wrapper_does_not_change_the_checksum(tmp_path, parts):
    content = {name: idx(part) for name, part in parts.items()}
    write(tmp_path / "a" / "mnist", content, True)
    write(tmp_path / "b" / "mnist", content, False)
    first, second = load("mnist", root=tmp_path / "a"), load("mnist", root=tmp_path / "b")
    assert first.checksum == second.checksum
    content[FILES[3]] = content[FILES[3]][:-1] + bytes([(parts[FILES[3]][-1] + 1) % 10])
    write(tmp_path / "b" / "mnist", content, False)
    assert load("mnist", root=tmp_path / "b").checksum != first.checksum


def damage(tmp_path, parts, file, change):
    content = {name: idx(part) for name, part in parts.items()}
    content[file] = change(content[file])
    write(tmp_path / "mnist", content, False)
    with pytest.raises(UserError) as caught:
        load("mnist", root=tmp_path)
    return str(caught.value)


def test_wrong_magic_is_named(tmp_path, parts):
    message = damage(tmp_path, parts, FILES[0], lambda data: b"\0\0\x0d\x03" + data[4:])
    assert FILES[0] in message
    assert "00000803" in message
    assert "00000d03" in message


def test_a_missing_tail_is_named(tmp_path, parts):
    message = damage(tmp_path, parts, FILES[2], lambda data: data[:-10])
    assert FILES[2] in message
    assert str(TEST * 784) in message
    assert str(TEST * 784 - 10) in message


def test_bytes_too_many_are_named(tmp_path, parts):
    message = damage(tmp_path, parts, FILES[2], lambda data: data + b"xx")
    assert str(TEST * 784 + 2) in message


@pytest.mark.parametrize("keep", [0, 6])
def test_a_missing_header_is_named(tmp_path, parts, keep):
    message = damage(tmp_path, parts, FILES[0], lambda data: data[:keep])
    assert FILES[0] in message


def test_labels_and_images_must_agree(tmp_path, parts):
    fewer = idx(parts[FILES[1]][:-1])
    message = damage(tmp_path, parts, FILES[1], lambda _: fewer)
    assert f"{TRAIN} labels" in message


def test_labels_out_of_range_are_named(tmp_path, parts):
    message = damage(tmp_path, parts, FILES[3], lambda data: data[:-1] + b"\x0a")
    assert "labels from 0 to 9" in message
    assert "to 10" in message


def test_a_wrong_count_is_named(tmp_path, parts, smaller):
    smaller("mnist", n=TRAIN + TEST + 1)
    write(tmp_path / "mnist", {name: idx(part) for name, part in parts.items()}, True)
    with pytest.raises(UserError, match="12 samples, got 11"):
        load("mnist", root=tmp_path)


def test_train_and_test_swapped_is_named(tmp_path, parts):
    swapped = dict(zip(FILES, [parts[FILES[i]] for i in (2, 3, 0, 1)], strict=True))
    write(tmp_path / "mnist", {name: idx(part) for name, part in swapped.items()}, True)
    with pytest.raises(UserError, match="7 training samples, got 4"):
        load("mnist", root=tmp_path)


@pytest.mark.parametrize("change", [lambda data: data[:-20], lambda data: b"<html>" + data])
def test_a_damaged_gzip_is_named(tmp_path, parts, change):
    write(tmp_path / "mnist", {name: idx(part) for name, part in parts.items()}, True)
    path = tmp_path / "mnist" / f"{FILES[2]}.gz"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(UserError, match=f"{FILES[2]}.*whole gzip file"):
        load("mnist", root=tmp_path)


def test_a_missing_file_is_named(tmp_path, parts):
    write(tmp_path / "mnist", {name: idx(part) for name, part in parts.items()}, True)
    (tmp_path / "mnist" / f"{FILES[1]}.gz").unlink()
    with pytest.raises(UserError, match=f"there is no {FILES[1]}.gz"):
        load("mnist", root=tmp_path)


def test_a_file_that_cannot_be_read_is_named(tmp_path, parts):
    write(tmp_path / "mnist", {name: idx(part) for name, part in parts.items()}, True)
    path = tmp_path / "mnist" / f"{FILES[1]}.gz"
    path.unlink()
    path.mkdir()
    with pytest.raises(UserError, match=rf"{path.name}: expected a file that can be read"):
        load("mnist", root=tmp_path)
