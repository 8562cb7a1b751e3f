"""Sparse matrices: archives of scipy, Matrix Market and svmlight, as rows (CSR).

Code that works on a sparse matrix trusts its indices, so all are checked before anything else is done with it.
"""

import io
import math
from collections.abc import Collection, Mapping
from typing import IO, Any, NamedTuple

import numpy as np

from isthmus.data.base import Array
from isthmus.data.formats.files import check_growth, check_size
from isthmus.data.storage.base import File
from isthmus.data.tables.schema import MOST_FEATURES
from isthmus.errors import BadData

KINDS = {
    "csr": {"indices", "indptr"},
    "csc": {"indices", "indptr"},
    "bsr": {"indices", "indptr"},
    "coo": {"row", "col"},
    "dia": {"offsets"},
}
"""Formats of scipy, with the names of the arrays that each has besides ``data``, ``shape`` and ``format``."""
COMMON = {"data", "shape", "format"}
LONGEST_HEADER, MOST_COMMENTS = 1024, 10_000
"""Characters of a line of the header of a Matrix Market file, and lines of comments in it."""


class SparseRows(NamedTuple):
    """Rows of a sparse matrix, or of an array (N, D), with what a file says of each."""

    x: Any
    labels: Array | None = None
    group: Array | None = None
    notes: tuple[str, ...] = ()


def is_sparse_archive(keys: Collection[str]) -> bool:
    """Whether the arrays of an ``.npz`` file are those of a sparse matrix, as ``scipy.sparse.save_npz`` writes it.

    >>> is_sparse_archive(["indices", "indptr", "format", "shape", "data"]), is_sparse_archive(["data", "shape"])
    (True, False)
    """
    found = set(keys) - {"_is_array"}
    return found == COMMON | {"coords"} or any(found == COMMON | names for names in KINDS.values())


def sparse_of_arrays(arrays: Mapping[str, Array], file: File) -> SparseRows:
    """The matrix whose arrays an ``.npz`` file holds.

    Raises:
        BadData: they do not match, or an index lies outside the matrix.
    """
    from scipy import sparse

    kind, shape = arrays["format"], tuple(int(n) for n in arrays["shape"].reshape(-1).tolist())
    name = kind.item().decode("latin-1") if kind.dtype.kind == "S" and kind.ndim == 0 else str(kind)
    if (
        name not in KINDS
        or len(shape) != 2
        or any(arrays[key].dtype.kind not in "biuf" for key in arrays if key != "format")
    ):
        raise BadData(
            f"{file.name!r} does not hold a sparse matrix of numbers: its format is {name[:20]!r} and its shape "
            f"{shape[:4]}. Save it with scipy.sparse.save_npz."
        )
    _check_shape(shape, file)
    data = arrays["data"]
    matrix: Any
    if name == "coo":
        places = tuple(arrays["coords"]) if "coords" in arrays else (arrays["row"], arrays["col"])
        matrix = sparse.coo_array((data, places), shape=shape)
    elif name == "dia":
        offsets = arrays["offsets"]
        if offsets.ndim != 1 or data.ndim != 2 or (np.abs(offsets.astype(np.float64)) >= max(shape)).any():
            raise BadData(f"{file.name!r} has diagonals outside its shape {shape}. Create the file again.")
        matrix = sparse.dia_array((data, offsets), shape=shape).tocoo()
    else:
        make = {"csr": sparse.csr_array, "csc": sparse.csc_array, "bsr": sparse.bsr_array}[name]
        matrix = make((data, arrays["indices"], arrays["indptr"]), shape=shape)
        matrix.check_format(full_check=True)
    return SparseRows(matrix.tocsr())


def _check_shape(shape: tuple[int, ...], file: File) -> None:
    """Refuse a matrix whose rows would not fit into memory, whatever few numbers are in it.

    Raises:
        BadData: they would not.
    """
    rows, columns = shape
    if rows < 0 or columns < 0:
        raise BadData(f"{file.name!r} has a shape of {shape}. Create the file again.")
    if columns > MOST_FEATURES:
        raise BadData(
            f"{file.name!r} has {columns:,} columns, but at most {MOST_FEATURES:,} are read. Keep those that occur "
            "most often."
        )
    check_growth(8 * rows, file.packed, repr(file.name))


def read_matrix_market(file: File) -> SparseRows:
    """The matrix of a Matrix Market file (``.mtx``), or the array (N, D), if it has all its entries.

    Raises:
        BadData: it is damaged or too large, or holds complex numbers.
    """
    from scipy.io import mmread

    check_growth(file.size, file.packed, repr(file.name))
    with file.open() as stream:
        _check_header(stream, file)
        stream.seek(0)
        # scipy gives the stream to several threads otherwise
        matrix = mmread(io.BytesIO(stream.read()), spmatrix=False)
    return SparseRows(matrix.tocsr() if hasattr(matrix, "tocsr") else np.asarray(matrix))


def _check_header(stream: IO[bytes], file: File) -> None:
    """Compare the sizes that a Matrix Market file states with its own.

    Raises:
        BadData: there are fewer bytes than entries need.
    """
    title = stream.readline(LONGEST_HEADER).lower().split()
    if len(title) != 5 or title[0] != b"%%matrixmarket" or title[1] != b"matrix":
        raise BadData(f"{file.name!r} does not start as a Matrix Market file does: '%%MatrixMarket matrix ...'.")
    dense, kind, symmetry = title[2] == b"array", title[3], title[4]
    if kind not in (b"real", b"double", b"integer", b"unsigned-integer", b"pattern"):
        raise BadData(f"{file.name!r} holds numbers of the kind {kind.decode('latin-1')[:20]!r}, not real ones.")
    sizes: list[bytes] = []
    for _ in range(MOST_COMMENTS):
        line = stream.readline(LONGEST_HEADER)
        if line.strip() and not line.startswith(b"%"):
            sizes = line.split()
            break
    if len(sizes) != 3 - dense or not all(size.isdigit() and len(size) < 19 for size in sizes):
        raise BadData(f"{file.name!r} does not state its sizes below its first line. Create it again.")
    rows, columns, entries = (*map(int, sizes), math.prod(map(int, sizes)))[:3]
    _check_shape((rows, columns), file)
    check_size(16 * entries * (1 if symmetry == b"general" else 2), repr(file.name))
    # an entry takes at least a digit and an end of line, and two more of both for its place
    stored = entries if symmetry == b"general" or not dense else entries // 2 - max(rows, columns)
    if stored * (2 if dense else 4) > file.size + 1:
        raise BadData(
            f"The header of {file.name!r} states {entries:,} entries, more than its {file.size:,} bytes can hold. It "
            "is truncated or damaged; create it again."
        )


def read_svmlight(file: File) -> SparseRows:
    """The rows of an svmlight or libsvm file, with their labels, and their query ids as groups.

    Raises:
        BadData: it is damaged or too large.
    """
    from sklearn.datasets import load_svmlight_file

    check_growth(file.size, file.packed, repr(file.name))
    with file.open() as stream:
        x, y, queries = load_svmlight_file(stream, dtype=np.float64, zero_based=True, query_id=True)
    notes = []
    if x.nnz and int(x.indices.min()) > 0:
        x = x[:, 1:]
        notes.append("No row has a feature 0: the features are counted from 1.")
    _check_shape(x.shape, file)
    whole = bool((np.isfinite(y) & (y == np.floor(y))).all())
    if not whole:
        notes.append("The first number of each row is not always whole: it is no label, and is left out.")
    grouped = len(queries) == len(y) and bool((queries != queries[:1]).any())
    if grouped:
        notes.append("Rows of one query (qid) stay in one set when the data is split.")
    return SparseRows(x.tocsr(), y if whole else None, queries if grouped else None, tuple(notes))
