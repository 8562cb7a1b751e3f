"""Readers of folders: MNIST's layout, shards, images."""

from pathlib import Path

from isthmus.data.base import Provenance
from isthmus.data.dataset import Dataset
from isthmus.data.readers.arrays import plain_or_gzipped, read_idx_files
from isthmus.data.readers.format import refuse_labels
from isthmus.data.readers.images import read_image_tree
from isthmus.data.readers.shards import read_shards
from isthmus.data.storage.base import Tree
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
    tree = DiskTree(path)
    shards = read_shards(tree, options, schema)
    if shards is not None:
        return shards
    refuse_labels(path.name, options, schema)
    return read_image_tree(tree, options, str(path))


def image_tree(tree: Tree, options: DataOptions, schema: Schema | None) -> Dataset:
    """The data set of the pictures in an archive, whose file is to be recorded."""
    refuse_labels(tree.name, options, schema)
    return read_image_tree(tree, options, tree.origin, Provenance(tree.origin))
