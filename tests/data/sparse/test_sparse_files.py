"""Sparse matrices from files: the numbers of each row, and indices and sizes that lie."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzz.judge import judge
from scipy import sparse
from scipy.io import mmwrite

import isthmus as it
from isthmus.data.dataset import Dataset
from isthmus.data.opening import open_data
from isthmus.data.preparing import prepare
from isthmus.data.sources.arrays import Examples
from isthmus.errors import BadData
from isthmus.options import DataOptions

DENSE = np.where(np.random.default_rng(0).random((20, 8)) < 0.3, np.random.default_rng(1).normal(size=(20, 8)), 0.0)
DENSE[3] = 0.0


def opened(path: Path, **options: Any) -> Dataset:
    found = open_data(path, DataOptions(**options))
    assert isinstance(found, Dataset)
    return found


def values(found: Dataset) -> np.ndarray:
    return found.train.read(0, len(found.train)).values


@pytest.mark.parametrize("make", [sparse.csr_matrix, sparse.csr_array])
@pytest.mark.parametrize("kind", ["csr", "csc", "coo", "bsr", "dia"])
def test_all_formats_of_scipy_are_read(tmp_path: Path, kind: str, make: Callable[[np.ndarray], Any]) -> None:
    sparse.save_npz(tmp_path / "x.npz", make(DENSE).asformat(kind))
    found = opened(tmp_path / "x.npz")
    np.testing.assert_array_equal(values(found), DENSE)
    assert isinstance(found.train, Examples)
    assert found.train.x.format == "csr"


def test_a_coordinate_that_occurs_twice_counts_with_its_sum(tmp_path: Path) -> None:
    sparse.save_npz(tmp_path / "x.npz", sparse.coo_array(([1.0, 2.0, 4.0], ([0, 0, 1], [1, 1, 0])), shape=(2, 2)))
    assert values(opened(tmp_path / "x.npz")).tolist() == [[0, 3], [4, 0]]


def test_a_run_trains_on_sparse_files_as_on_the_array(tmp_path: Path) -> None:
    sparse.save_npz(tmp_path / "x.npz", sparse.csr_matrix(DENSE))
    one, two = (it.fit("pca", data, options={"latent.size": 2}) for data in (tmp_path / "x.npz", DENSE))
    np.testing.assert_array_equal(one.encode(tmp_path / "x.npz"), two.encode(DENSE))


def svmlight(rows: np.ndarray, first: int) -> str:
    """Written by hand, without a library."""
    lines = []
    for row, cells in enumerate(rows.tolist()):
        pairs = [f"{column + first}:{value!r}" for column, value in enumerate(cells) if value or column == 7]
        lines.append(" ".join([str(row % 3 - 1), *pairs]) + (" # a comment" if row == 4 else ""))
    return "# made by hand\n" + "\n".join(lines) + "\n"


@pytest.mark.parametrize("name", ["x.svmlight", "x.libsvm", "x.svm", "x.svm.gz"])
@pytest.mark.parametrize("first", [0, 1])
def test_svmlight_has_labels_and_features_counted_from_0_or_1(tmp_path: Path, name: str, first: int) -> None:
    text = svmlight(DENSE, first).encode()
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    found = opened(tmp_path / name)
    np.testing.assert_array_equal(values(found), DENSE)
    assert isinstance(found.train, Examples)
    np.testing.assert_array_equal(found.train.labels, np.arange(20) % 3 - 1)
    assert any("the features are counted from 1" in note for note in found.notes) == bool(first)


def test_rows_of_one_query_stay_in_one_set(tmp_path: Path) -> None:
    lines = [f"1 qid:{row // 5} 1:{row} 2:{row // 5 + 1}" for row in range(100)]
    (tmp_path / "x.svm").write_text("\n".join(lines))
    assert any("Rows of one query (qid) stay in one set" in note for note in opened(tmp_path / "x.svm").notes)
    splits = prepare(tmp_path / "x.svm", DataOptions(test=0.2, validation=0.2), 0).splits
    queries = [set(split.x[:, 1].tolist()) for split in splits.values()]
    assert len(queries) == 3
    assert sum(map(len, queries)) == len(set.union(*queries)) == 20


def test_numbers_to_be_predicted_are_no_labels(tmp_path: Path) -> None:
    (tmp_path / "x.svm").write_text("0.5 0:1 1:2\n1.5 1:3\n")
    found = opened(tmp_path / "x.svm")
    assert isinstance(found.train, Examples)
    assert found.train.labels is None
    assert any("it is no label, and is left out" in note for note in found.notes)


def mtx(kind: str, lines: list[str]) -> str:
    return f"%%MatrixMarket matrix {kind}\n% made by hand\n%\n" + "\n".join(lines) + "\n"


def coordinates(rows: np.ndarray) -> list[str]:
    places = [(int(row) + 1, int(column) + 1) for row, column in zip(*rows.nonzero(), strict=True)]
    entries = [f"{row} {column} {float(rows[row - 1, column - 1])!r}" for row, column in places]
    return [f"{rows.shape[0]} {rows.shape[1]} {len(entries)}", *entries]


@pytest.mark.parametrize("name", ["x.mtx", "x.mtx.gz"])
def test_matrix_market_is_read(tmp_path: Path, name: str) -> None:
    text = mtx("coordinate real general", coordinates(DENSE)).encode()
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    np.testing.assert_array_equal(values(opened(tmp_path / name)), DENSE)


@pytest.mark.parametrize("symmetry", ["general", "symmetric", "skew-symmetric"])
def test_what_scipy_writes_is_read(tmp_path: Path, symmetry: str) -> None:
    other = {"general": 0 * DENSE[:8].T, "symmetric": DENSE[:8].T, "skew-symmetric": -DENSE[:8].T}[symmetry]
    square = DENSE[:8] + other
    for matrix in (sparse.csr_array(square), square):
        mmwrite(tmp_path / "x.mtx", matrix, symmetry=symmetry, precision=17)
        np.testing.assert_array_equal(values(opened(tmp_path / "x.mtx")), square)


def test_the_other_kinds_of_matrix_market_are_read(tmp_path: Path) -> None:
    for kind, lines, right in (
        ("array real general", ["2 2", "1.5", "2", "3", "4"], [[1.5, 3], [2, 4]]),
        ("coordinate pattern general", ["2 3 2", "1 2", "2 3"], [[0, 1, 0], [0, 0, 1]]),
        ("coordinate integer symmetric", ["2 2 2", "1 1 5", "2 1 7"], [[5, 7], [7, 0]]),
        ("array real symmetric", ["2 2", "1", "2", "3"], [[1, 2], [2, 3]]),
        ("array real skew-symmetric", ["3 3", "1", "2", "3"], [[0, -1, -2], [1, 0, -3], [2, 3, 0]]),
        ("coordinate real skew-symmetric", ["3 3 1", "2 1 4"], [[0, -4, 0], [4, 0, 0], [0, 0, 0]]),
        ("coordinate real general", ["2 2 0"], [[0, 0], [0, 0]]),
    ):
        (tmp_path / "x.mtx").write_text(mtx(kind, lines))
        assert values(opened(tmp_path / "x.mtx")).tolist() == right


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2 3\n", "does not start as a Matrix Market file does"),
        (mtx("coordinate complex general", ["1 1 1", "1 1 1 0"]), "of the kind 'complex general', but real"),
        (mtx("coordinate real general", ["2 2 99999999999", "1 1 1"]), "states 2 x 2 and 99,999,999,999 entries"),
        (
            mtx("coordinate real general", ["2 2 99999999", "1 1 1"]),
            "99,999,999 entries (general), which its 82 bytes cannot",
        ),
        (mtx("array real general", ["20000 20000", "1"]), "400,000,000 entries (general), which its"),
        (mtx("coordinate real general", ["9999999999 2 1", "1 1 1"]), "GiB in memory"),
        (mtx("coordinate real general", ["99999999 2 1", "1 1 1"]), "would expand from"),
        (mtx("coordinate real general", ["2 9999999 1", "1 1 1"]), "has 9,999,999 columns, but at most 1,048,576"),
        (mtx("coordinate real general", ["-2 2 1", "1 1 1"]), "does not state its sizes"),
        (mtx("coordinate real general", ["2 2 1", "3 1 1"]), "an entry outside its shape (2, 2)"),
        (mtx("coordinate real general", ["2 2 1", "0 1 1"]), "an entry outside its shape (2, 2)"),
        (mtx("coordinate real general", ["2 2 2", "1 1 1"]), "states 2 entries, but has 1 lines of 3"),
        (mtx("coordinate real general", ["2 2 1", "1 1 x"]), "cannot be read as a Matrix Market file"),
        (
            mtx("coordinate integer general", ["2 2 1", "2 2 999" + "\0" * 2000]),
            "cannot be read as a Matrix Market file",
        ),
        (mtx("coordinate real symmetric", ["2 3 1", "2 2 1"]), "2 x 3 and 1 entries (symmetric)"),
        ("%%MatrixMarket matrix coordinate real general\n" + "%\n" * 20_000 + "1 1 1\n1 1 1\n", "does not state its"),
    ],
)
def test_matrix_market_that_lies_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.mtx").write_text(text)
    refusal = judge(lambda: opened(tmp_path / "x.mtx"), tmp_path) or ""
    assert message in refusal
    assert "'x.mtx'" in refusal


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 99999999:1\n", "has 99,999,999 columns, but at most 1,048,576"),
        ("1 999999999999:1\n", "value too large"),
        ("1 99999999999999999999999:1\n", "cannot be read as an svmlight file"),
        ("1 -5:1\n", "cannot be read as an svmlight file"),
        ("1 2:1 1:1\n", "sorted and unique"),
        ("1,2 1:1\n", "cannot be read as an svmlight file"),
        ("x 1:1\n", "cannot be read as an svmlight file"),
        ("1 1:x\n", "cannot be read as an svmlight file"),
        ("", "'x.svm'"),
        ("\0" * 100, "cannot be read as an svmlight file"),
    ],
)
def test_svmlight_that_is_damaged_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.svm").write_text(text)
    refusal = judge(lambda: opened(tmp_path / "x.svm"), tmp_path) or ""
    assert message in refusal
    assert "'x.svm'" in refusal


ARRAYS = {
    "data": np.array([1.0, 2.0]),
    "indices": np.array([0, 1], np.int32),
    "indptr": np.array([0, 1, 2], np.int32),
    "shape": np.array([2, 2]),
    "format": np.array(b"csr"),
}
LIES: dict[str, dict[str, np.ndarray]] = {
    "an index beyond the last column": {"indices": np.array([0, 2**30], np.int32)},
    "a negative index": {"indices": np.array([0, -5], np.int32)},
    "row starts that decrease": {"indptr": np.array([0, 5, 2], np.int32)},
    "row starts beyond the last": {"indptr": np.array([0, 1, 2**31 - 1], np.int32)},
    "a first row start that is not 0": {"indptr": np.array([-4, 1, 2], np.int32)},
    "fewer row starts than rows": {"shape": np.array([2000, 2])},
    "indices that are no whole numbers": {"indices": np.array([0.5, np.nan])},
    "more indices than values": {"indices": np.array([0, 1, 1, 1], np.int32), "indptr": np.array([0, 1, 4], np.int32)},
    "very many columns": {"shape": np.array([2, 2**40])},
    "very many rows of a matrix by columns": {"shape": np.array([2**40, 2]), "format": np.array(b"csc")},
    "a negative shape": {"shape": np.array([-2, 2])},
    "three axes": {"shape": np.array([2, 2, 2])},
    "an unknown format": {"format": np.array(b"lil")},
    "texts": {"data": np.array(["a", "b"])},
    "blocks that do not fit": {"format": np.array(b"bsr"), "data": np.ones((2, 3, 3))},
}


@pytest.mark.parametrize("name", LIES)
def test_an_archive_whose_indices_lie_is_refused(tmp_path: Path, name: str) -> None:
    np.savez(tmp_path / "x.npz", **(ARRAYS | LIES[name]))
    assert "'x.npz'" in (judge(lambda: values(opened(tmp_path / "x.npz")), tmp_path) or "")
    np.savez(tmp_path / "x.npz", **ARRAYS)
    assert values(opened(tmp_path / "x.npz")).tolist() == [[1, 0], [0, 2]]


@pytest.mark.parametrize("offset", [5, -(2**40), 2**62])
def test_diagonals_outside_the_matrix_are_refused(tmp_path: Path, offset: int) -> None:
    np.savez(
        tmp_path / "x.npz", data=np.ones((1, 2)), offsets=np.array([offset]), shape=[2, 2], format=np.array(b"dia")
    )
    assert "diagonals outside its shape (2, 2)" in (judge(lambda: opened(tmp_path / "x.npz"), tmp_path) or "")


@pytest.mark.parametrize("place", [[0, 9], [-3, 0]])
def test_coordinates_outside_the_matrix_are_refused(tmp_path: Path, place: list[int]) -> None:
    arrays = {"data": np.ones(2), "col": np.array([0, 1]), "shape": np.array([2, 2]), "format": np.array(b"coo")}
    np.savez(tmp_path / "x.npz", row=np.array(place), **arrays)
    assert "cannot be read as a sparse matrix" in (judge(lambda: opened(tmp_path / "x.npz"), tmp_path) or "")


def test_labels_and_streaming_are_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "x.svm").write_text("1 0:1 1:2\n")
    with pytest.raises(BadData, match=r"data.labels names a column"):
        opened(tmp_path / "x.svm", labels="y")
    with pytest.raises(BadData, match=r"cannot be streamed"):
        opened(tmp_path / "x.svm", memory="stream")
