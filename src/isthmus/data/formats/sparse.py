"""Sparse matrices: archives of scipy, Matrix Market and svmlight, as rows (CSR).

Code that works on a sparse matrix trusts its indices, so all are checked before anything else is done with it.
"""

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


class _Header(NamedTuple):
    """What a Matrix Market file states: whether all entries are stored, with values, in which symmetry, and sizes."""

    dense: bool
    pattern: bool
    symmetry: str
    shape: tuple[int, int]
    stored: int


def read_matrix_market(file: File) -> SparseRows:
    """The matrix of a Matrix Market file (``.mtx``), or the array (N, D), if it stores all entries.

    The reader of scipy is faster, but crashes on some damaged files.

    Raises:
        BadData: it is damaged or too large, or holds complex numbers.
    """
    check_growth(file.size, file.packed, repr(file.name))
    with file.open() as stream:
        header = _header(stream, file)
        width = 1 if header.dense else 3 - header.pattern
        check_size(8 * width * header.stored, repr(file.name))
        entries = np.empty((0, width))
        if header.stored:
            entries = np.loadtxt(stream, np.float64, comments="%", ndmin=2, encoding="latin-1")
    if entries.shape != (header.stored, width):
        raise BadData(
            f"{file.name!r} states {header.stored:,} entries, but has {len(entries):,} lines of {entries.shape[1]}. It "
            "is truncated or damaged; create it again."
        )
    return SparseRows((_array if header.dense else _matrix)(entries, header, file))


def _header(stream: IO[bytes], file: File) -> _Header:
    """The first lines of a Matrix Market file; the sizes in them are compared with that of the file.

    Raises:
        BadData: there are fewer bytes than entries need, or it holds no real numbers.
    """
    title = stream.readline(LONGEST_HEADER).lower().split()
    if len(title) != 5 or title[0] != b"%%matrixmarket" or title[1] != b"matrix":
        raise BadData(f"{file.name!r} does not start as a Matrix Market file does: '%%MatrixMarket matrix ...'.")
    dense, kind, symmetry = title[2] == b"array", title[3], title[4].decode("latin-1")
    kinds = (b"real", b"double", b"integer", b"unsigned-integer", b"pattern")
    if kind not in kinds or symmetry not in ("general", "symmetric", "skew-symmetric"):
        words = b" ".join(title[3:]).decode("latin-1")[:40]
        raise BadData(f"{file.name!r} holds numbers of the kind {words!r}, but real ones are required.")
    sizes: list[bytes] = []
    for _ in range(MOST_COMMENTS):
        line = stream.readline(LONGEST_HEADER)
        if line.strip() and not line.startswith(b"%"):
            sizes = line.split()
            break
    if len(sizes) != 3 - dense or not all(size.isdigit() and len(size) < 19 for size in sizes):
        raise BadData(f"{file.name!r} does not state its sizes below its first line. Create it again.")
    rows, columns = map(int, sizes[:2])
    _check_shape((rows, columns), file)
    half = rows * (rows + (1 if symmetry == "symmetric" else -1)) // 2
    stored = int(sizes[2]) if not dense else rows * columns if symmetry == "general" else half
    # an entry takes at least a digit and an end of line, and two more of both for its place
    if (symmetry != "general" and rows != columns) or stored * (2 if dense else 4) > file.size + 1:
        raise BadData(
            f"The header of {file.name!r} states {rows:,} x {columns:,} and {stored:,} entries ({symmetry}), which its "
            f"{file.size:,} bytes cannot hold. It is truncated or damaged; create it again."
        )
    return _Header(dense, kind == b"pattern", symmetry, (rows, columns), stored)


def _array(entries: Array, header: _Header, file: File) -> Array:
    """The array (N, D) of all entries, column by column; of a symmetric one, those below the diagonal."""
    if header.symmetry == "general":
        return entries.reshape(header.shape[::-1]).T.copy()
    above = np.triu_indices(header.shape[0], 0 if header.symmetry == "symmetric" else 1)
    out = np.zeros(header.shape)
    out[above] = entries[:, 0] if header.symmetry == "symmetric" else -entries[:, 0]
    out[above[::-1]] = entries[:, 0]
    return out


def _matrix(entries: Array, header: _Header, file: File) -> Any:
    """The sparse matrix of entries with their places, which count from 1."""
    from scipy import sparse

    places = entries[:, :2]
    if not ((places == np.floor(places)) & (places >= 1) & (places <= header.shape)).all():
        raise BadData(f"{file.name!r} has an entry outside its shape {header.shape}. Create the file again.")
    row, column = places.T.astype(np.int64) - 1
    values = np.ones(len(entries)) if header.pattern else entries[:, 2]
    matrix = sparse.coo_array((values, (row, column)), shape=header.shape).tocsr()
    if header.symmetry == "general":
        return matrix
    below = sparse.coo_array((values * (row != column), (column, row)), shape=header.shape).tocsr()
    return matrix + below if header.symmetry == "symmetric" else matrix - below


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
