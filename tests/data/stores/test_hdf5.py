"""HDF5 files of h5py and of the NetCDF library; nothing outside the file is opened."""

import os
import struct
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from isthmus.data.formats.stores import inflating
from isthmus.data.opening import open_data
from isthmus.errors import BadData, MissingExtra
from isthmus.options import DataOptions

h5py = pytest.importorskip("h5py", reason="h5py is not installed (extra arrays)")

X = np.random.default_rng(0).normal(size=(23, 4, 6)).astype(np.float32)
DIGITS = np.arange(23) % 5
PLAIN = DataOptions()
FILTERS = [
    {},
    {"chunks": (7, 4, 6)},
    {"chunks": (5, 2, 3), "compression": "gzip", "shuffle": True},
    {"chunks": (1, 4, 6), "compression": "lzf", "fletcher32": True},
    {"chunks": (4, 4, 4), "maxshape": (None, 4, 6), "compression": "gzip"},
]


@pytest.mark.parametrize("memory", ["whole", "stream"])
@pytest.mark.parametrize("stored", FILTERS, ids=str)
def test_a_data_set_in_a_group_comes_back_in_memory_or_streamed(tmp_path: Path, memory: str, stored: dict):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("scans/raw", data=X, **stored)
        file["scans/digit_label"] = DIGITS
    dataset = open_data(tmp_path / "a.h5", DataOptions(memory=memory, labels="digit_label"))
    assert dataset.streamed is (memory == "stream")
    source = dataset.train
    np.testing.assert_array_equal(source.read(0, 23).values, X)
    for start, stop in ((0, 1), (3, 17), (22, 23)):
        np.testing.assert_array_equal(source.read(start, stop).values, X[start:stop])
    rows = np.array([1, 2, 9, 21])
    np.testing.assert_array_equal(source.at(rows).values, X[rows])
    np.testing.assert_array_equal(source.labels_of(rows), DIGITS[rows])
    assert source.cuts()[0] == 0
    assert source.cuts()[-1] == 23
    assert dataset.notes[0] == "x is '/scans/raw' (23, 4, 6); data.key sets another array."


def test_big_endian_values_and_a_user_block_come_back(tmp_path: Path):
    with h5py.File(tmp_path / "a.hdf5", "w", userblock_size=1024) as file:
        file["x"] = X.astype(">f8")
    np.testing.assert_array_equal(open_data(tmp_path / "a.hdf5", PLAIN).train.x, X)


def test_a_file_of_the_netcdf_library_is_read(tmp_path: Path):
    library = pytest.importorskip("netCDF4", reason="netCDF4 is not installed")
    with library.Dataset(tmp_path / "a.h5", "w") as file:
        for name, length in (("n", 23), ("row", 4), ("column", 6)):
            file.createDimension(name, length)
        file.createVariable("raw", "f4", ("n", "row", "column"), zlib=True)[:] = X
    np.testing.assert_array_equal(open_data(tmp_path / "a.h5", PLAIN).train.x, X)


@pytest.mark.parametrize("kind", ["variable", "fixed", "column"])
def test_texts_are_labels(tmp_path: Path, kind: str):
    words = ["ant", "Bär", "cat"] * 7 + ["ant", "cat"]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = X
        if kind == "fixed":
            file["labels"] = np.array([word.encode() for word in words])
        else:
            values = np.array(words, object)
            file.create_dataset(
                "labels", data=values if kind == "variable" else values[:, None], dtype=h5py.string_dtype()
            )
    dataset = open_data(tmp_path / "a.h5", PLAIN)
    assert [dataset.label_names[label] for label in dataset.train.labels] == words


def test_truth_values_and_integers_keep_their_type(tmp_path: Path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = X > 0
        file["raw"] = (X * 100).astype(np.uint16)
    assert open_data(tmp_path / "a.h5", DataOptions(key="x")).train.dtype == bool
    assert open_data(tmp_path / "a.h5", DataOptions(key="raw")).train.dtype == np.uint16


def outside(folder: Path) -> Path:
    with h5py.File(folder / "secret.h5", "w") as file:
        file["x"] = X
    (folder / "raw.bin").write_bytes(X.tobytes())
    return folder / "secret.h5"


def test_values_in_other_files_are_not_read(tmp_path: Path):
    secret = outside(tmp_path)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["link"] = h5py.ExternalLink(str(secret), "/x")
        file["soft"] = h5py.SoftLink("/link")
        layout = h5py.VirtualLayout(X.shape, "f4")
        layout[:] = h5py.VirtualSource(str(secret), "x", X.shape)
        file.create_virtual_dataset("virtual", layout)
        file.create_dataset("external", X.shape, "f4", external=[(str(tmp_path / "raw.bin"), 0, X.nbytes)])
    with h5py.File(tmp_path / "a.h5") as file:
        assert all(np.array_equal(file[name][:], X) for name in ("link", "soft", "virtual", "external"))
    for name in ("link", "soft", "virtual", "external"):
        with pytest.raises(BadData, match=r"is a link, which is not followed|from other files, which are not opened"):
            open_data(tmp_path / "a.h5", DataOptions(key=name))
    with pytest.raises(BadData, match=r"not followed|not opened"):
        open_data(tmp_path / "a.h5", PLAIN)


def test_groups_that_hold_themselves_and_deep_ones_end(tmp_path: Path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        group = file.create_group("a/b")
        group["x"] = X
        group["up"] = file["a"]
        file["a/b/again"] = group["x"]
        file["loop"] = h5py.SoftLink("/loop")
        deep = file
        for _ in range(500):
            deep = deep.create_group("g")
    dataset = open_data(tmp_path / "a.h5", PLAIN)
    np.testing.assert_array_equal(dataset.train.x, X)


def test_records_references_and_single_values_are_left_out(tmp_path: Path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = X
        file["table"] = np.zeros(4, "i4,f4")
        file["complex"] = X.astype(complex)
        file["one"] = 3.0
        file["nothing"] = h5py.Empty("f4")
        file.create_dataset("pointers", (2,), h5py.ref_dtype)
        file.create_dataset("ragged", (2,), h5py.vlen_dtype("f4"))
    np.testing.assert_array_equal(open_data(tmp_path / "a.h5", PLAIN).train.x, X)
    for name in ("table", "complex", "one", "nothing", "pointers", "ragged"):
        with pytest.raises(BadData, match=f"'{name}' in 'a.h5' (holds values of type|is a single value)"):
            open_data(tmp_path / "a.h5", DataOptions(key=name))


@pytest.mark.parametrize("memory", ["whole", "stream"])
@pytest.mark.parametrize("shape", [(2**40, 4), (2**31, 2), (2**15, 2**15)])
def test_a_shape_that_the_file_cannot_hold_is_refused(tmp_path: Path, shape: tuple[int, ...], memory: str):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", shape, "f8", chunks=(16, 2), compression="gzip")
    with pytest.raises(BadData, match=r"'x' in 'a\.h5' (needs|would expand)"):
        open_data(tmp_path / "a.h5", DataOptions(memory=memory)).train.read(0, 2)


def burst(path: Path, size: int, declared: int = 1024) -> None:
    """A file with a chunk that declares few bytes, but expands to ``size``."""
    with h5py.File(path, "w") as file:
        x = file.create_dataset("x", (declared, 4), "u1", chunks=(declared, 4), compression="gzip")
        packer = zlib.compressobj(9)
        data = b"".join(packer.compress(bytes(2**24)) for _ in range(size >> 24)) + packer.flush()
        x.id.write_direct_chunk((0, 0), data)


@pytest.mark.parametrize("memory", ["whole", "stream"])
def test_a_chunk_that_expands_beyond_its_size_is_refused(tmp_path: Path, memory: str):
    burst(tmp_path / "a.h5", 2**29)
    assert (tmp_path / "a.h5").stat().st_size > inflating.FREE // inflating.DEFLATE
    with pytest.raises(BadData, match=r"A chunk of 'x' in 'a\.h5' expands from .* as a decompression bomb does"):
        open_data(tmp_path / "a.h5", DataOptions(memory=memory)).train.read(0, 8)


def test_large_chunks_that_are_genuine_are_read(tmp_path: Path):
    x = np.random.default_rng(1).integers(0, 256, (600, 1024), np.uint8)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=x, chunks=x.shape, compression="gzip", fletcher32=True)
    assert (tmp_path / "a.h5").stat().st_size > inflating.FREE // inflating.DEFLATE
    np.testing.assert_array_equal(open_data(tmp_path / "a.h5", PLAIN).train.x, x)


def test_chunks_larger_than_the_file_allows_are_refused(tmp_path: Path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", (4, 4), "u1", maxshape=(None, 4), chunks=(2**29, 4), compression="gzip")
    with pytest.raises(BadData, match=r"A chunk of 'x' in 'a\.h5' would expand"):
        open_data(tmp_path / "a.h5", PLAIN)


def test_texts_that_are_no_labels_are_refused(tmp_path: Path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = X
        file["label"] = ["a" * 2000] * 23
    with pytest.raises(BadData, match="holds a text of 2,000 characters"):
        open_data(tmp_path / "a.h5", PLAIN)


def test_cuts_and_changed_bytes_are_refused_in_one_line(tmp_path: Path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=X[:8], chunks=(3, 4, 6), compression="gzip")
    data = (tmp_path / "a.h5").read_bytes()
    for length in [*range(0, 200, 7), *range(200, len(data) - 1, 211)]:
        (tmp_path / "b.h5").write_bytes(data[:length])
        with pytest.raises(BadData, match=r"b\.h5"):
            open_data(tmp_path / "b.h5", PLAIN)
    rng = np.random.default_rng(3)
    for _ in range(60):
        damaged = bytearray(data)
        for place in rng.integers(0, len(data), 4):
            damaged[place] ^= int(rng.integers(1, 256))
        (tmp_path / "b.h5").write_bytes(damaged)
        # what is not refused was changed where no checksum is
        with suppress(BadData):
            assert len(open_data(tmp_path / "b.h5", PLAIN).train)


def test_a_process_that_is_forked_reads_the_same(tmp_path: Path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=X, chunks=(2, 4, 6))
    source = open_data(tmp_path / "a.h5", DataOptions(memory="stream")).train
    source.read(0, 3)
    child = os.fork()
    if not child:
        os._exit(0 if all(np.array_equal(source.read(i, i + 5).values, X[i : i + 5]) for i in range(18)) else 1)
    same = all(np.array_equal(source.read(i, i + 5).values, X[i : i + 5]) for i in range(18))
    assert same
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_each_process_opens_the_file_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=X, chunks=(2, 4, 6))
    store = open_data(tmp_path / "a.h5", DataOptions(memory="stream")).train.store
    opened: list[int] = []
    plain = store.file.open
    monkeypatch.setattr(store.file, "open", lambda: opened.append(1) or plain())
    store.rows("x", 0, 1)
    assert not opened
    other = os.getpid() + 1
    monkeypatch.setattr(os, "getpid", lambda: other)
    for _ in range(2):
        np.testing.assert_array_equal(store.rows("x", 3, 5), X[3:5])
    assert opened == [1]


def test_a_missing_library_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "a.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + struct.pack("<Q", 0))
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(MissingExtra, match=r"pip install 'isthmus\[arrays\]'"):
        open_data(tmp_path / "a.h5", PLAIN)
