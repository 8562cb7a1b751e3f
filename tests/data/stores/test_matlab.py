"""MATLAB files of all versions, written by hand in their layouts as well as by SciPy."""

import resource
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat
from scipy.sparse import csc_array

from isthmus.data.opening import open_data
from isthmus.errors import BadData
from isthmus.options import DataOptions

h5py = pytest.importorskip("h5py", reason="h5py is not installed (extra arrays)")

X = np.arange(6 * 3 * 4, dtype=float).reshape(6, 3, 4)
CLASSES = np.array([[2.0], [1], [3], [1], [2], [3]])
PLAIN = DataOptions()
INT8, UINT8, INT32, UINT32, DOUBLE, MATRIX, COMPRESSED = 1, 2, 5, 6, 9, 14, 15
MX_DOUBLE, MX_UINT8 = 6, 9


def element(kind: int, data: bytes, order: str) -> bytes:
    return struct.pack(f"{order}II", kind, len(data)) + data + bytes(-len(data) % 8)


def matrix(name: str, x: np.ndarray, order: str, stored: int = DOUBLE, kind: int = MX_DOUBLE) -> bytes:
    """A matrix of version 5, as its specification says; ``stored`` is the type of the values in the file."""
    types = {DOUBLE: "f8", UINT8: "u1"}
    body = element(UINT32, struct.pack(f"{order}II", kind, 0), order)
    body += element(INT32, struct.pack(f"{order}{x.ndim}i", *x.shape), order)
    body += element(INT8, name.encode(), order)
    body += element(stored, x.astype(f"{order}{types[stored]}").tobytes(order="F"), order)
    return struct.pack(f"{order}II", MATRIX, len(body)) + body


def version5(*elements: bytes, order: str = "<") -> bytes:
    head = b"MATLAB 5.0 MAT-file, written by hand".ljust(124) + struct.pack(f"{order}H", 0x0100)
    return head + (b"IM" if order == "<" else b"MI") + b"".join(elements)


def version4(name: str, x: np.ndarray, order: str) -> bytes:
    kind = 0 if order == "<" else 1000
    head = struct.pack(f"{order}5i", kind, *x.shape, 0, len(name) + 1)
    return head + name.encode() + b"\0" + x.astype(f"{order}f8").tobytes(order="F")


def written(path: Path, **arrays: np.ndarray) -> Path:
    """A file of version 7.3 in MATLAB's layout: behind a block of 512 bytes, axes reversed, a class for each."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, x in arrays.items():
            logical = x.dtype == bool
            saved = file.create_dataset(
                name, data=(x.astype(np.uint8) if logical else x).T, chunks=True, compression="gzip"
            )
            saved.attrs["MATLAB_class"] = np.bytes_(
                "logical" if logical else {"f": "double", "u": "uint8"}[x.dtype.kind]
            )
        file.create_dataset("#refs#/a", data=np.zeros((3, 3)))
        cell = file.create_dataset("words", (2, 1), h5py.ref_dtype)
        cell.attrs["MATLAB_class"] = np.bytes_("cell")
        text = file.create_dataset("text", data=np.array([[72], [105]], np.uint16))
        text.attrs["MATLAB_class"] = np.bytes_("char")
        empty = file.create_dataset("empty", data=np.array([0, 3], np.uint64))
        empty.attrs["MATLAB_class"], empty.attrs["MATLAB_empty"] = np.bytes_("double"), np.uint8(1)
        sparse = file.create_group("sparse")
        sparse.attrs["MATLAB_sparse"] = np.uint64(5)
        sparse["data"] = np.ones((4, 2))
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(116) + bytes(8) + b"\x00\x02IM")
    return path


@pytest.mark.parametrize("memory", ["whole", "stream"])
def test_version_7_3_has_the_axes_of_matlab(tmp_path: Path, memory: str):
    path = written(tmp_path / "a.mat", X=X, y=CLASSES)
    dataset = open_data(path, DataOptions(memory=memory))
    np.testing.assert_array_equal(dataset.train.read(0, 6).values, X)
    np.testing.assert_array_equal(dataset.train.read(2, 5).values, X[2:5])
    np.testing.assert_array_equal(dataset.train.labels_of(np.arange(6)), CLASSES[:, 0])


def test_what_is_no_array_of_version_7_3_is_left_out(tmp_path: Path):
    path = written(tmp_path / "a.mat", X=X, mask=X > 9)
    assert open_data(path, DataOptions(key="mask")).train.dtype == bool
    for name in ("words", "text", "empty"):
        with pytest.raises(BadData, match=f"'{name}' in 'a.mat' (is of the class|holds values)"):
            open_data(path, DataOptions(key=name))
    for name in ("a", "data"):
        with pytest.raises(BadData, match=f"no array '{name}'"):
            open_data(path, DataOptions(key=name))


@pytest.mark.parametrize("order", ["<", ">"])
def test_version_5_of_both_byte_orders_comes_back(tmp_path: Path, order: str):
    (tmp_path / "a.mat").write_bytes(version5(matrix("X", X, order), matrix("y", CLASSES, order), order=order))
    dataset = open_data(tmp_path / "a.mat", PLAIN)
    np.testing.assert_array_equal(dataset.train.x, X)
    np.testing.assert_array_equal(dataset.train.labels, CLASSES[:, 0])


@pytest.mark.parametrize("order", ["<", ">"])
def test_version_4_of_both_byte_orders_comes_back(tmp_path: Path, order: str):
    (tmp_path / "a.mat").write_bytes(version4("X", X[:, 0], order) + version4("y", CLASSES, order))
    dataset = open_data(tmp_path / "a.mat", PLAIN)
    np.testing.assert_array_equal(dataset.train.x, X[:, 0])
    np.testing.assert_array_equal(dataset.train.labels, CLASSES[:, 0])


def test_the_class_decides_the_type_and_not_the_bytes_that_store_it(tmp_path: Path):
    x = X[:, 0] + 200
    bytes_of = {"number": matrix("x", x, "<", UINT8), "pixels": matrix("x", x, "<", UINT8, MX_UINT8)}
    for name, data in bytes_of.items():
        (tmp_path / "a.mat").write_bytes(version5(data))
        dtype = open_data(tmp_path / "a.mat", PLAIN).train.dtype
        assert dtype == {"number": np.float64, "pixels": np.uint8}[name]


def test_files_of_scipy_come_back_with_labels_as_row_column_or_text(tmp_path: Path):
    for y in (CLASSES, CLASSES.T, np.array(["ab", "a", "cd", "a", "ab", "cd"])):
        savemat(tmp_path / "a.mat", {"data": X, "label": y, "s": {"a": 1}, "cells": np.array([1, "a"], object)},
                do_compression=True)  # fmt: skip
        dataset = open_data(tmp_path / "a.mat", PLAIN)
        np.testing.assert_array_equal(dataset.train.x, X)
        assert dataset.train.labels.tolist() in ([2, 1, 3, 1, 2, 3], [1, 0, 2, 0, 1, 2])
    assert [name.strip() for name in dataset.label_names] == ["a", "ab", "cd"]


def test_cells_structures_and_sparse_matrices_are_named_when_they_are_asked_for(tmp_path: Path):
    arrays = {"s": {"a": 1}, "cells": np.array([1, "a"], object), "sparse": csc_array(np.eye(3)), "z": X * 1j, "x": X}
    savemat(tmp_path / "a.mat", arrays)
    for name in ("s", "cells", "sparse", "z"):
        with pytest.raises(BadData, match=rf"'{name}' in 'a\.mat' is of the class"):
            open_data(tmp_path / "a.mat", DataOptions(key=name))


def packed(head: bytes, zeros: int) -> bytes:
    """A compressed element that starts with ``head`` and goes on with that many MiB of zeros."""
    packer = zlib.compressobj(9)
    data = packer.compress(head) + b"".join(packer.compress(bytes(2**20)) for _ in range(zeros)) + packer.flush()
    return version5(struct.pack("<II", COMPRESSED, len(data)) + data)


def test_a_matrix_that_expands_like_a_bomb_is_refused_and_what_follows_one_is_not_inflated(tmp_path: Path):
    small = matrix("x", X[:2, 0], "<")
    large = small.replace(struct.pack("<ii", 2, 4), struct.pack("<ii", 2**14, 2**12))
    assert large != small
    (tmp_path / "a.mat").write_bytes(packed(large, 512))
    with pytest.raises(BadData, match=r"'x' in 'a\.mat' would expand from .* as a decompression bomb does"):
        open_data(tmp_path / "a.mat", PLAIN)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (tmp_path / "a.mat").write_bytes(packed(small, 512))
    np.testing.assert_array_equal(open_data(tmp_path / "a.mat", PLAIN).train.x, X[:2, 0])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**16


@pytest.mark.parametrize("kind", [0, 8, 11, 90, 133, 2**16 - 1])
def test_values_of_unknown_types_are_refused(tmp_path: Path, kind: int):
    # SciPy looks the type up without a check, which ends the process
    damaged = matrix("x", X[:2, 0], "<").replace(struct.pack("<II", DOUBLE, 64), struct.pack("<II", kind, 64))
    (tmp_path / "a.mat").write_bytes(version5(damaged))
    with pytest.raises(BadData, match=f"64 bytes of type {kind} for the shape"):
        open_data(tmp_path / "a.mat", PLAIN)


@pytest.mark.parametrize("shape", [(2**31 - 1, 2**31 - 1), (2**20, 2**10), (-1, 3)])
def test_shapes_that_the_file_cannot_hold_are_refused(tmp_path: Path, shape: tuple[int, int]):
    lying = np.lib.stride_tricks.as_strided(np.zeros(1), (2, 3), (0, 0))
    five = matrix("x", lying, "<").replace(struct.pack("<ii", 2, 3), struct.pack("<ii", *shape))
    four = version4("x", lying, "<").replace(struct.pack("<ii", 2, 3), struct.pack("<ii", *shape))
    for data in (version5(five), four):
        (tmp_path / "a.mat").write_bytes(data)
        with pytest.raises(BadData, match=r"a\.mat"):
            open_data(tmp_path / "a.mat", PLAIN)


def test_every_cut_is_refused(tmp_path: Path):
    savemat(tmp_path / "c.mat", {"x": X}, do_compression=True)
    for data in (version5(matrix("x", X, "<")), version4("x", X[:, 0], "<"), (tmp_path / "c.mat").read_bytes()):
        for length in [*range(0, 140, 3), *range(140, len(data), 17)]:
            (tmp_path / "a.mat").write_bytes(data[:length])
            with pytest.raises(BadData, match=r"a\.mat"):
                open_data(tmp_path / "a.mat", PLAIN)
