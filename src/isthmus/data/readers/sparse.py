"""Readers of sparse matrices; an archive of scipy is recognized by the names of its arrays."""

from collections.abc import Callable, Mapping

from isthmus.data.base import Array
from isthmus.data.dataset import Dataset
from isthmus.data.formats.files import reading
from isthmus.data.formats.sparse import SparseRows, read_matrix_market, read_svmlight, sparse_of_arrays
from isthmus.data.memory import held, refuse_streaming
from isthmus.data.readers.datasets import provenance_of
from isthmus.data.readers.format import Format, refuse_labels
from isthmus.data.sources.arrays import Examples
from isthmus.data.storage.base import File
from isthmus.data.tables.schema import Schema
from isthmus.data.transforms.labels import encode_labels
from isthmus.options import DataOptions


def dataset_of_archive(arrays: Mapping[str, Array], file: File, options: DataOptions) -> Dataset:
    """The data set of an ``.npz`` file that scipy wrote.

    Raises:
        BadData: its arrays do not match, or an index lies outside the matrix.
    """
    with reading(file.name, "a sparse matrix"):
        return _dataset(sparse_of_arrays(arrays, file), file, options)


def _dataset(rows: SparseRows, file: File, options: DataOptions) -> Dataset:
    """The rows as examples, which become dense when they are read."""
    encoded, names = ({}, ()) if rows.labels is None else encode_labels({"train": rows.labels}, repr(file.name))
    examples = Examples(rows.x, encoded.get("train"), rows.group, name=file.name, file=file.name)
    source, streamed = held(examples, options)
    return Dataset(
        file.name, source, label_names=names, provenance=provenance_of(file), notes=rows.notes, streamed=streamed
    )


def _reader(read: Callable[[File], SparseRows], kind: str) -> Callable[[File, DataOptions, Schema | None], Dataset]:
    """The reader of a kind of file."""

    def read_file(file: File, options: DataOptions, schema: Schema | None) -> Dataset:
        refuse_labels(file.name, options, schema)
        refuse_streaming(file.name, options)
        with reading(file.name, kind):
            return _dataset(read(file), file, options)

    return read_file


FORMATS = (
    Format(
        "Matrix Market", (".mtx",), _reader(read_matrix_market, "a Matrix Market file"), "arrays", "numpy",
        limits="complex numbers",
    ),
    Format(
        "svmlight",
        (".svmlight", ".libsvm", ".svm"),
        _reader(read_svmlight, "an svmlight file"),
        "arrays",
        "scikit-learn",
        guessed="whether features are counted from 0 or 1",
        limits="several labels of a row",
    ),
)  # fmt: skip
