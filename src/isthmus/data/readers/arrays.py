"""Readers of NumPy's files and of IDX files."""

import math
from pathlib import Path

from isthmus.data.base import Array, Provenance, SourceFile
from isthmus.data.dataset import Dataset
from isthmus.data.formats.binary import npy_layout, read_idx, read_npy
from isthmus.data.formats.files import check_inside, source_file
from isthmus.data.memory import is_streamed, refuse_streaming
from isthmus.data.readers.datasets import dataset_of_splits
from isthmus.data.readers.format import Format, refuse_labels
from isthmus.data.sources.numpy_file import NumpyFile
from isthmus.data.storage.base import File
from isthmus.data.tables.schema import Schema
from isthmus.options import DataOptions


def read_npy_file(file: File, options: DataOptions, schema: Schema | None) -> Dataset:
    """A ``.npy`` file: in memory, or read by position if it is to be streamed."""
    refuse_labels(file.name, options, schema)
    path = _on_disk(file)
    shape = npy_layout(path)[0]
    if is_streamed(math.prod(shape), options):
        source = NumpyFile(path)
        return Dataset(path.name, source, provenance=Provenance(str(path), source.files()), streamed=True)
    return dataset_of_splits(path.name, {"train": read_npy(path)}, {}, Provenance(str(path), (source_file(path),)))


def read_idx_files(path: Path, images: dict[str, Path], options: DataOptions) -> Dataset:
    """The data set of IDX files by split, each with the labels file in the same folder if there is one."""
    refuse_streaming(path.name, options)
    x: dict[str, Array] = {}
    labels: dict[str, Array] = {}
    files: list[SourceFile] = []
    for split, file in images.items():
        x[split] = read_idx(file)
        files.append(source_file(file))
        name = file.name.removesuffix(".gz").replace("-images-idx3-", "-labels-idx1-")
        label_file = plain_or_gzipped(file.with_name(name))
        if label_file is not None and label_file != file and "-images-idx3-" in file.name:
            labels[split] = read_idx(label_file)
            files.append(source_file(label_file))
    return dataset_of_splits(path.name, x, labels, Provenance(str(path), tuple(files)))


def plain_or_gzipped(path: Path) -> Path | None:
    """The file or its gzipped form, whichever exists."""
    zipped = path.with_name(f"{path.name}.gz")
    found = next((file for file in (path, zipped) if file.is_file()), None)
    if found is not None:
        check_inside(found, found.parent)
    return found


def read_idx_file(file: File, options: DataOptions, schema: Schema | None) -> Dataset:
    """The data set of one IDX file."""
    refuse_labels(file.name, options, schema)
    path = _on_disk(file)
    return read_idx_files(path, {"train": path}, options)


def _on_disk(file: File) -> Path:
    assert file.path is not None
    return file.path


FORMATS = (
    Format("NumPy", (".npy",), read_npy_file, "arrays", "numpy", guessed="meaning of the axes"),
    Format(
        "IDX",
        tuple(
            f"idx{axes}{kind}{packed}"
            for axes in ("", *range(1, 5))
            for kind in ("", "-ubyte")
            for packed in ("", ".gz")
        ),
        read_idx_file,
        "arrays",
        "numpy",
    ),
)
