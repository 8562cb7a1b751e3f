"""Readers of NumPy's files and of IDX files."""

import math
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from isthmus.data.base import Array, Provenance, SourceFile
from isthmus.data.dataset import Dataset
from isthmus.data.formats.binary import npy_layout, read_idx, read_npy
from isthmus.data.formats.files import check_inside
from isthmus.data.memory import is_streamed, refuse_streaming
from isthmus.data.readers.datasets import dataset_of_splits, provenance_of
from isthmus.data.readers.format import Format, refuse_labels
from isthmus.data.sources.numpy_file import NumpyFile
from isthmus.data.storage.base import COMPRESSED, File, plain_name
from isthmus.data.storage.compressed import on_disk, plain
from isthmus.data.tables.schema import Schema
from isthmus.options import DataOptions


def read_npy_file(file: File, options: DataOptions, schema: Schema | None) -> Dataset:
    """A ``.npy`` file: in memory, or read by position if it is to be streamed."""
    refuse_labels(file.name, options, schema)
    if file.path is None:
        refuse_streaming(file.name, options)
    elif is_streamed(math.prod(npy_layout(file)[0]), options):
        source = NumpyFile(file.path)
        return Dataset(file.name, source, provenance=Provenance(file.origin, source.files()), streamed=True)
    return dataset_of_splits(file.name, {"train": read_npy(file)}, {}, provenance_of(file))


def read_idx_files(path: Path, images: Mapping[str, Path], options: DataOptions) -> Dataset:
    """The data set of IDX files in a folder by split, each with its labels file if there is one."""
    files = {split: on_disk(file) for split, file in images.items()}
    return dataset_of_idx(files, path.name, str(path), options)


def dataset_of_idx(files: Mapping[str, File], name: str, origin: str, options: DataOptions) -> Dataset:
    """The data set of IDX files by split, each with the labels file beside it if there is one."""
    refuse_streaming(name, options)
    x: dict[str, Array] = {}
    labels: dict[str, Array] = {}
    records: list[SourceFile] = []
    for split, file in files.items():
        x[split] = read_idx(file)
        records.append(file.record())
        beside = _labels_of(file)
        if beside is not None:
            labels[split] = read_idx(beside)
            records.append(beside.record())
    return dataset_of_splits(name, x, labels, Provenance(origin, tuple(dict.fromkeys(records))))


def _labels_of(file: File) -> File | None:
    """The file of labels beside one of images, plain or compressed."""
    name = PurePosixPath(plain_name(file.name)).name
    if "-images-idx3-" not in name:
        return None
    labels = name.replace("-images-idx3-", "-labels-idx1-")
    found = next((beside for ending in ("", *COMPRESSED) if (beside := file.beside(labels + ending))), None)
    return None if found is None else plain(found)


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
    return dataset_of_idx({"train": plain(file)}, file.name, file.origin, options)


FORMATS = (
    Format("NumPy", (".npy",), read_npy_file, "arrays", "numpy", guessed="meaning of the axes"),
    Format(
        "IDX",
        tuple(f"idx{axes}{kind}" for kind in ("-ubyte", "") for axes in (3, 1, 2, 4, "")),
        read_idx_file,
        "arrays",
        "numpy",
    ),
)
