"""Reading of a path as a data set, by its extension or as a folder."""

from pathlib import Path

from isthmus.data.dataset import Dataset
from isthmus.data.formats.files import reading
from isthmus.data.formats.stores.zarr_files import is_zarr
from isthmus.data.readers.folders import read_folder
from isthmus.data.readers.known import format_of
from isthmus.data.readers.stores import read_zarr_folder
from isthmus.data.storage.disk import DiskFile
from isthmus.data.tables.schema import Schema
from isthmus.errors import BadData
from isthmus.options import DataOptions


def read_path(path: Path, options: DataOptions, schema: Schema | None = None) -> Dataset:
    """The data set in a file of a known format or in a folder.

    ``schema`` has the columns of the training table, for new data.

    Raises:
        BadData: the path does not exist, its format is not supported, or it cannot be read; the message names the file.
        MissingExtra: a library that reads it is not installed.
    """
    with reading(path, "a file or folder"):
        folder, file = path.is_dir(), path.is_file()
    if not folder and not file:
        raise BadData(f"There is no file or folder {str(path)!r}. Check the spelling, or pass another path.")
    if folder and is_zarr(path):
        return read_zarr_folder(path, options)
    if folder:
        return read_folder(path, options, schema)
    known = format_of(path.name)
    if known is None:
        raise BadData(
            f"{path.name!r} has an unsupported extension. Use a .npy, .npz, .csv or .parquet file, a file whose name "
            "ends in -idx3-ubyte or -idx3-ubyte.gz, or a folder of images."
        )
    return known.read(DiskFile(path), options, schema)
