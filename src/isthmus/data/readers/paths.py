"""From a path to a data set: the format of a file by its name, else by its first bytes."""

from dataclasses import replace
from pathlib import Path

from isthmus.data.dataset import Dataset
from isthmus.data.formats.files import reading
from isthmus.data.formats.stores.zarr_files import is_zarr
from isthmus.data.readers.archives import read_tree, tree_of
from isthmus.data.readers.folders import read_folder
from isthmus.data.readers.known import ending_by_start, format_of, known_words
from isthmus.data.readers.stores import read_zarr_folder
from isthmus.data.storage.base import File, Tree
from isthmus.data.storage.compressed import plain, start_of
from isthmus.data.storage.disk import DiskFile
from isthmus.data.storage.remote import is_address, open_address
from isthmus.data.tables.schema import Schema
from isthmus.errors import BadData
from isthmus.options import DataOptions


def read_path(path: str | Path, options: DataOptions, schema: Schema | None = None) -> Dataset:
    """The data set in a file of a known format, in an archive, or in a folder, on disk or at an address.

    ``schema`` has the columns of the training table, for new data.

    Raises:
        BadData: the path does not exist, its format is not supported, or it cannot be read; the message names the file.
        MissingExtra: a library that reads it is not installed.
    """
    if is_address(path):
        found = open_address(str(path))
        return read_tree(found, options, schema) if isinstance(found, Tree) else read_file(found, options, schema)
    path = Path(path).expanduser()
    with reading(path, "a file or folder"):
        folder, file = path.is_dir(), path.is_file()
    if not folder and not file:
        raise BadData(f"There is no file or folder {str(path)!r}. Check the spelling, or pass another path.")
    if folder and is_zarr(path):
        return read_zarr_folder(path, options)
    if folder:
        return read_folder(path, options, schema)
    return read_file(DiskFile(path), options, schema)


def read_file(file: File, options: DataOptions, schema: Schema | None = None) -> Dataset:
    """The data set in a file, which may be compressed or an archive.

    Raises:
        BadData: its format is not supported, or it cannot be read.
        MissingExtra: a library that reads it is not installed.
    """
    file, known = plain(file), format_of(file.name)
    tree = tree_of(file, known)
    if tree is not None:
        return read_tree(tree, options, schema)
    if known is not None:
        return known.read(file, options, schema)
    file.ending = ending_by_start(start_of(file, 16))
    known = format_of(file.ending)
    if known is None:
        raise BadData(
            f"{file.name!r} has an unsupported extension, and does not start like a known file. {known_words()}."
        )
    note = f"{file.name!r} starts like a file of {known.name} and is read as one; its extension is not known."
    found = known.read(file, options, schema)
    return replace(found, notes=(*found.notes, note))
