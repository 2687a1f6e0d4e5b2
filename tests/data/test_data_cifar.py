import io
import os
import pickle
import struct
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from seepage.data import load
from seepage.data.pickled import read_pickle
from seepage.records import UserError

ROWS = 3  # a batch


def python2_batch(data, labels, key):
    """A batch as Python 2 pickled it in 2009: byte strings, protocol 2, numpy.core."""

    def text(s):
        return b"U" + bytes([len(s)]) + s.encode()

    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text("b") + b"\x87R"
        b"(K\x01"
        + b"K"
        + bytes([data.shape[0]])
        + b"M"
        + struct.pack("<H", data.shape[1])
        + b"\x86"
        b"cnumpy\ndtype\n" + text("u1") + b"K\x00K\x01\x87R"
        b"(K\x03" + text("|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89T" + struct.pack("<i", data.nbytes) + data.tobytes() + b"tb"
    )
    numbers = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    return b"\x80\x02}(" + text("data") + array + text(key) + numbers + b"u."


def python2_names(key, names):
    def text(s):
        return b"U" + bytes([len(s)]) + s.encode()

    return b"\x80\x02}" + text(key) + b"](" + b"".join(map(text, names)) + b"es."


def modern(key, protocol):
    """A batch as today's Python and NumPy pickle it."""
    return lambda data, labels, _: pickle.dumps({"data": data, key: labels}, protocol)


def members(noise, name, dump=python2_batch):
    if name == "cifar10":
        train = [f"cifar-10-batches-py/data_batch_{i}" for i in range(1, 6)]
        test, meta = "cifar-10-batches-py/test_batch", "cifar-10-batches-py/batches.meta"
        key, names = "labels", ("label_names", [f"c{i}" for i in range(10)])
    else:
        train, test, meta = (
            ["cifar-100-python/train"],
            "cifar-100-python/test",
            "cifar-100-python/meta",
        )
        key, names = "fine_labels", ("fine_label_names", [f"c{i}" for i in range(100)])
    content, images, labels = {}, [], []
    for part in [*train, test]:
        data = noise.integers(0, 256, (ROWS, 3072), dtype=np.uint8)
        numbers = [int(x) for x in noise.integers(0, len(names[1]), ROWS)]
        content[part] = dump(data, numbers, key)
        images.append(data)
        labels.extend(numbers)
    content[meta] = python2_names(*names)
    return content, np.concatenate(images).reshape(-1, 3, 32, 32), np.array(labels)


def pack(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name in sorted(content, reverse=True):  # not the order they are read in
            info = tarfile.TarInfo(name)
            info.size = len(content[name])
            archive.addfile(info, io.BytesIO(content[name]))


def unpack(folder, content):
    for name, data in content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


ARCHIVE = {"cifar10": "cifar-10-python.tar.gz", "cifar100": "cifar-100-python.tar.gz"}
BATCHES = {"cifar10": 5, "cifar100": 1}


@pytest.fixture(params=["cifar10", "cifar100"])
def name(request, smaller):
    batches = BATCHES[request.param]
    smaller(request.param, n=ROWS * (batches + 1), n_train=ROWS * batches)
    return request.param


def check(data, images, labels, classes):
    mean = np.array((0.4914, 0.4822, 0.4465)).reshape(3, 1, 1)
    std = np.array((0.2023, 0.1994, 0.2010)).reshape(3, 1, 1)
    np.testing.assert_allclose(data.inputs.numpy(), (images / 255 - mean) / std, atol=2e-6)
    np.testing.assert_array_equal(data.labels.numpy(), labels)
    assert data.classes == classes


@pytest.mark.parametrize("form", ["archive", "folder"])
def test_the_original_files_are_read(tmp_path, noise, name, form):
    content, images, labels = members(noise, name)
    if form == "archive":
        pack(tmp_path / name / ARCHIVE[name], content)
    else:
        unpack(tmp_path / name, content)
    data = load(name, root=tmp_path)
    check(data, images, labels, 10 if name == "cifar10" else 100)
    assert data.class_names is not None
    assert data.class_names[:2] == ("c0", "c1")
    assert data.n_train == ROWS * BATCHES[name]


@pytest.mark.parametrize("protocol", range(6))
def test_modern_pickles_are_read(protocol, noise):
    data = noise.integers(0, 256, (3, 5), dtype=np.uint8)
    written = pickle.dumps({"data": data, b"labels": [1, 2], "x": data.T}, protocol)
    read = read_pickle(io.BytesIO(written), "here")
    np.testing.assert_array_equal(read["data"], data)
    np.testing.assert_array_equal(read["x"], data.T)
    assert read["labels"] == [1, 2]


def test_the_names_of_numpy_1_and_2_are_read(noise):
    data = noise.integers(0, 256, (3, 5), dtype=np.uint8)
    written = pickle.dumps({"data": data}, 2)
    other = written.replace(b"numpy._core.", b"numpy.core.")
    assert written != other  # this NumPy writes the new name
    for content in (written, other):
        np.testing.assert_array_equal(read_pickle(io.BytesIO(content), "here")["data"], data)


@pytest.mark.parametrize("kind", ["<i8", ">i4", "<f4", "u1"])
def test_every_kind_of_number_is_read(kind):
    data = np.arange(6).reshape(2, 3).astype(kind)
    read = read_pickle(io.BytesIO(pickle.dumps({"data": data}, 2)), "here")["data"]
    assert read.dtype == data.dtype
    np.testing.assert_array_equal(read, data)


class Malice:
    def __init__(self, call, *given):
        self.call = (call, given)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("call", [os.mkdir, eval])
def test_a_malicious_pickle_is_refused_and_not_run(tmp_path, protocol, call):
    mark = tmp_path / "mark"
    given = str(mark) if call is os.mkdir else f"__import__('os').mkdir({str(mark)!r})"
    written = pickle.dumps({"data": Malice(call, given)}, protocol)
    with pytest.raises(UserError, match=r"here.*refused"):
        read_pickle(io.BytesIO(written), "here")
    assert not mark.exists()
    pickle.loads(written)  # it is malicious: this is what was refused
    assert mark.exists()


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps({"data": np.array([object()])}, 2),
        pickle.dumps({"data": np.array(["text"])}, 2),
        b"\x80\x04cnumpy\nndarray.tofile\n.",
        b"\x80\x02cnumpy\nload\nU\x01xR.",
        pickle.dumps({"data": Malice(__import__("codecs").encode, "x", "rot13")}, 2),
        pickle.dumps([1, 2]),
        pickle.dumps({"data": np.zeros(9, np.uint8)}, 2)[:-9],
        b"",
        b"not a pickle",
        b"\x80\x02cnumpy\ndtype\nU\x02u1\x85R(K\x03NtbU\x01xs.",
    ],
)
def test_other_pickles_are_refused(content):
    with pytest.raises(UserError, match=r"^here: expected"):
        read_pickle(io.BytesIO(content), "here")


def test_malice_in_an_archive_is_refused(tmp_path, noise, name):
    mark = tmp_path / "mark"
    content, _, _ = members(noise, name)
    content[min(content)] = pickle.dumps(Malice(os.mkdir, str(mark)))
    pack(tmp_path / ARCHIVE[name], content)
    with pytest.raises(UserError, match=r"refused. Nothing in it was run"):
        load(name, root=tmp_path)
    assert not mark.exists()


def test_the_wrong_archive_is_named(tmp_path, noise, name):
    content, _, _ = members(noise, "cifar100" if name == "cifar10" else "cifar10")
    pack(tmp_path / ARCHIVE[name], content)
    with pytest.raises(UserError, match=r"expected an archive that holds cifar-10+-.*got one that"):
        load(name, root=tmp_path)


def test_a_truncated_archive_is_named(tmp_path, noise, name):
    content, _, _ = members(noise, name)
    path = tmp_path / ARCHIVE[name]
    pack(path, content)
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(UserError, match="whole tar archive"):
        load(name, root=tmp_path)


def test_a_batch_without_its_labels_is_named(tmp_path, noise):
    content, _, _ = members(noise, "cifar10", dump=modern("coarse", 2))
    pack(tmp_path / ARCHIVE["cifar10"], content)
    with pytest.raises(UserError, match="batches with data and labels, got data, coarse"):
        load("cifar10", root=tmp_path)


def test_rows_of_another_length_are_named(tmp_path, noise):
    def short(data, labels, key):
        return python2_batch(np.ascontiguousarray(data[:, :3000]), labels, key)

    content, _, _ = members(noise, "cifar10", dump=short)
    pack(tmp_path / ARCHIVE["cifar10"], content)
    with pytest.raises(UserError, match="rows of 3072 bytes"):
        load("cifar10", root=tmp_path)


def png(pixels):
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def write_parquet(folder, part, images, columns):
    folder.mkdir(parents=True, exist_ok=True)
    cells = [{"bytes": png(image.transpose(1, 2, 0)), "path": "x.png"} for image in images]
    pq.write_table(pa.table({"img": cells, **columns}), folder / f"{part}-00000-of-00001.parquet")


def parquet(folder, noise, name):
    batches = BATCHES[name]
    images = noise.integers(0, 256, (ROWS * (batches + 1), 3, 32, 32), dtype=np.uint8)
    labels = noise.integers(0, 10, len(images))
    key = "label" if name == "cifar10" else "fine_label"
    for part, rows in (("train", slice(ROWS * batches)), ("test", slice(ROWS * batches, None))):
        columns = {key: labels[rows]} | (
            {"coarse_label": labels[rows] // 5} if "fine" in key else {}
        )
        write_parquet(folder, part, images[rows], columns)
    return images, labels


def test_parquet_is_read_and_kept(tmp_path, noise, name, monkeypatch):
    images, labels = parquet(tmp_path / name, noise, name)
    first = load(name, root=tmp_path)
    check(first, images, labels, 10 if name == "cifar10" else 100)
    with monkeypatch.context() as patch:
        patch.setattr("seepage.data.cifar.decode", None)  # any decoding fails now
        again = load(name, root=tmp_path)
    assert again.checksum == first.checksum
    assert again.inputs.equal(first.inputs)
    assert again.n_train == first.n_train


def test_what_is_kept_follows_the_files(tmp_path, noise, name):
    parquet(tmp_path / name, noise, name)
    first = load(name, root=tmp_path)
    images, labels = parquet(tmp_path / name, noise, name)
    second = load(name, root=tmp_path)
    assert second.checksum != first.checksum
    check(second, images, labels, 10 if name == "cifar10" else 100)


def test_a_damaged_cache_is_read_anew(tmp_path, noise, name):
    images, labels = parquet(tmp_path / name, noise, name)
    load(name, root=tmp_path)
    (kept,) = (tmp_path / "cache" / "parsed").iterdir()
    content = bytearray(kept.read_bytes())
    content[len(content) // 2] ^= 1
    kept.write_bytes(content)
    check(load(name, root=tmp_path), images, labels, 10 if name == "cifar10" else 100)
    kept.write_bytes(content[:100])
    check(load(name, root=tmp_path), images, labels, 10 if name == "cifar10" else 100)


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, noise, name, monkeypatch):
    images, labels = parquet(tmp_path / name, noise, name)
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("SEEPAGE_CACHE", str(tmp_path / "file" / "cache"))
    check(load(name, root=tmp_path), images, labels, 10 if name == "cifar10" else 100)


def test_parquet_of_the_other_data_set_is_named(tmp_path, noise, name):
    parquet(tmp_path, noise, "cifar100" if name == "cifar10" else "cifar10")
    key = "label" if name == "cifar10" else "fine_label"
    with pytest.raises(UserError, match=f"expected columns img and {key}, got img"):
        load(name, root=tmp_path)


def test_pictures_of_another_size_are_named(tmp_path, noise, name):
    parquet(tmp_path, noise, name)
    images = noise.integers(0, 256, (ROWS, 3, 16, 32), dtype=np.uint8)
    key = "label" if name == "cifar10" else "fine_label"
    write_parquet(tmp_path, "test", images, {key: [0] * ROWS})
    with pytest.raises(UserError, match=r"row 0: expected 32×32 pixels, got 16×32"):
        load(name, root=tmp_path)


def test_a_truncated_parquet_is_named(tmp_path, noise, name):
    parquet(tmp_path, noise, name)
    path = next(tmp_path.glob("test-*"))
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(UserError, match=rf"{path.name}: expected a whole Parquet file"):
        load(name, root=tmp_path)
