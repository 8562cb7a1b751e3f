"""Readers of folders: MNIST's layout, shards, images."""

import os
from pathlib import Path

from isthmus.data.base import Provenance
from isthmus.data.dataset import Dataset
from isthmus.data.formats.files import check_inside, reading
from isthmus.data.formats.pictures import natural
from isthmus.data.memory import held
from isthmus.data.readers.arrays import plain_or_gzipped, read_idx_files
from isthmus.data.readers.format import refuse_labels
from isthmus.data.sources.image_folder import ImageFolder
from isthmus.data.sources.joined import Joined
from isthmus.data.sources.numpy_file import NumpyFile
from isthmus.data.sources.parquet import ParquetFile
from isthmus.data.storage.base import Tree
from isthmus.data.tables.parquet import schema_of_parquet
from isthmus.data.tables.schema import Schema
from isthmus.options import DataOptions


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
    found = shards or ImageFolder(path, options)
    source, streamed = held(found, options)
    known = (
        shards.sources[0].schema if isinstance(shards, Joined) and isinstance(shards.sources[0], ParquetFile) else None
    )
    files = (found.whole_record(),) if isinstance(found, ImageFolder) and not streamed else found.files()
    provenance = Provenance(str(path), files)
    return Dataset(path.name, source, provenance=provenance, schema=known, streamed=streamed)


def image_tree(tree: Tree, options: DataOptions, schema: Schema | None) -> Dataset:
    """The data set of the pictures in a tree of files."""
    refuse_labels(tree.name, options, schema)
    images = ImageFolder(tree, options)
    source, streamed = held(images, options)
    return Dataset(tree.name, source, provenance=Provenance(tree.origin), streamed=streamed)


def _shards(path: Path, options: DataOptions, schema: Schema | None) -> Joined | None:
    """The ``.npy`` or else the ``.parquet`` files of a folder in natural order, as one source; ``None`` without any."""
    with reading(path, "a folder"):
        files = sorted((Path(entry.path) for entry in os.scandir(path) if entry.name[0] != "."), key=natural)
    for extension in (".npy", ".parquet"):
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
