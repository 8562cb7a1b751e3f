"""Readers of folders: MNIST's layout, shards, images."""

from pathlib import Path

from isthmus.data.base import Provenance
from isthmus.data.dataset import Dataset
from isthmus.data.memory import held
from isthmus.data.readers.arrays import plain_or_gzipped, read_idx_files
from isthmus.data.readers.format import refuse_labels
from isthmus.data.readers.shards import read_shards
from isthmus.data.sources.image_folder import ImageFolder
from isthmus.data.storage.disk import DiskTree
from isthmus.data.tables.schema import Schema
from isthmus.options import DataOptions


def read_folder(path: Path, options: DataOptions, schema: Schema | None) -> Dataset:
    """The data set of a folder: MNIST's layout if its training images exist, else shards, else images."""
    train = plain_or_gzipped(path / "train-images-idx3-ubyte")
    if train is not None:
        refuse_labels(path.name, options, schema)
        test = plain_or_gzipped(path / "t10k-images-idx3-ubyte")
        return read_idx_files(path, {"train": train} if test is None else {"train": train, "test": test}, options)
    shards = read_shards(DiskTree(path), options, schema)
    if shards is not None:
        return shards
    refuse_labels(path.name, options, schema)
    found = ImageFolder(path, options)
    source, streamed = held(found, options)
    files = found.files() if streamed else (found.whole_record(),)
    return Dataset(path.name, source, provenance=Provenance(str(path), files), streamed=streamed)
