"""Readers of folders: MNIST's layout, shards, images."""

import os
from pathlib import Path

from isthmus.data.base import Provenance
from isthmus.data.dataset import Dataset
from isthmus.data.formats.files import check_inside, reading
from isthmus.data.memory import held
from isthmus.data.readers.arrays import plain_or_gzipped, read_idx_files
from isthmus.data.readers.format import refuse_labels
from isthmus.data.readers.images import read_image_tree
from isthmus.data.sources.joined import Joined
from isthmus.data.sources.numpy_file import NumpyFile
from isthmus.data.sources.parquet import ParquetFile
from isthmus.data.storage.base import Tree
from isthmus.data.storage.disk import DiskTree
from isthmus.data.storage.names import is_junk, natural
from isthmus.data.tables.parquet import schema_of_parquet
from isthmus.data.tables.schema import Schema
from isthmus.options import DataOptions

SHARDS = (".npy", ".parquet")
"""Extensions of files that are parts of one array or table."""


def read_folder(path: Path, options: DataOptions, schema: Schema | None) -> Dataset:
    """The data set of a folder: MNIST's layout if its training images exist, else shards, else images."""
    train = plain_or_gzipped(path / "train-images-idx3-ubyte")
    if train is not None:
        refuse_labels(path.name, options, schema)
        test = plain_or_gzipped(path / "t10k-images-idx3-ubyte")
        return read_idx_files(path, {"train": train} if test is None else {"train": train, "test": test}, options)
    shards = _shards(path, options, schema)
    if shards is None:
        refuse_labels(path.name, options, schema)
        return read_image_tree(DiskTree(path), options, str(path))
    source, streamed = held(shards, options)
    known = shards.sources[0].schema if isinstance(shards.sources[0], ParquetFile) else None
    provenance = Provenance(str(path), shards.files())
    return Dataset(path.name, source, provenance=provenance, schema=known, streamed=streamed)


def image_tree(tree: Tree, options: DataOptions, schema: Schema | None) -> Dataset:
    """The data set of the pictures in an archive, whose file is to be recorded."""
    refuse_labels(tree.name, options, schema)
    return read_image_tree(tree, options, tree.origin, Provenance(tree.origin))


def _shards(path: Path, options: DataOptions, schema: Schema | None) -> Joined | None:
    """The ``.npy`` or else the ``.parquet`` files of a folder in natural order, as one source; ``None`` without any."""
    with reading(path, "a folder"):
        files = [Path(entry.path) for entry in os.scandir(path) if entry.name.lower().endswith(SHARDS)]
    files = sorted((file for file in files if not is_junk(file.name)), key=lambda file: natural(file.name))
    for extension in SHARDS:
        found = [file for file in files if file.suffix.lower() == extension]
        for file in found:
            check_inside(file, path)
        if not found or (extension == ".npy" and options.labels is not None):
            continue
        if extension == ".npy":
            return Joined(path.name, [NumpyFile(file) for file in found])
        known = schema or schema_of_parquet(found[0], options)
        return Joined(path.name, [ParquetFile(file, known, options.missing, training=schema is None) for file in found])
    return None
