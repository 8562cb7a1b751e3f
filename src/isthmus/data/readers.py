"""Reading of a path as a data set, by file extension or folder layout.

Files are decoded in ``binary.py``, ``tables.py`` and ``images.py``; arrays are interpreted in ``arrays.py``.
"""

import re
from pathlib import Path

from isthmus.data.base import Array, Dataset, SourceFile
from isthmus.data.formats.arrays import make_dataset
from isthmus.data.formats.binary import read_idx, read_npy, read_npz
from isthmus.data.formats.files import check_inside, reading, source_file
from isthmus.data.formats.images import read_folder
from isthmus.data.formats.tables import quote_names, read_table
from isthmus.data.streaming.choice import open_source, read_all
from isthmus.errors import BadData
from isthmus.options import DataOptions

IDX_NAME = re.compile(r"idx\d?(-ubyte)?(\.gz)?$")
SPLIT_KEYS = {f"{letter}_{split}" for letter in "xy" for split in ("train", "valid", "test")}


def read_path(path: Path, options: DataOptions) -> Dataset:
    """The data set in a file (.npy, .npz, IDX, .csv, .parquet) or a folder (images, MNIST-type IDX files, shards).

    Raises:
        BadData: the path does not exist, its format is not supported, or it cannot be read; the message names the file.
        MissingExtra: the path is a table, and pandas or pyarrow is not installed.
    """
    with reading(path, "a file or folder"):
        folder, file = path.is_dir(), path.is_file()
    if not folder and not file:
        raise BadData(f"There is no file or folder {str(path)!r}. Check the spelling, or pass another path.")
    suffix = path.suffix.lower()
    tables = suffix in (".csv", ".parquet") or (folder and any(path.glob("*.parquet")))
    if options.labels is not None and not tables:
        raise BadData(
            f"data.labels names a column of a .csv or .parquet table, but {path.name!r} is not a table. Leave it out."
        )
    if folder:
        return _folder(path, options)
    if suffix == ".npy":
        return make_dataset(path, {"train": read_npy(path)}, {}, (source_file(path),), shape=options.shape)
    if suffix == ".npz":
        return _archive(path, options)
    if IDX_NAME.search(path.name):
        return _idx(path, {"train": path}, options)
    if suffix in (".csv", ".parquet"):
        x, labels = read_table(path, options.labels)
        known = {} if labels is None else {"train": labels}
        return make_dataset(path, {"train": x}, known, (source_file(path),), shape=options.shape)
    raise BadData(
        f"{path.name!r} has an unsupported extension. Use a .npy, .npz, .csv or .parquet file, a file whose name ends "
        "in -idx3-ubyte or -idx3-ubyte.gz, or a folder of images."
    )


def _archive(path: Path, options: DataOptions) -> Dataset:
    """The data set of a ``.npz`` file in one of the three supported layouts."""
    arrays = read_npz(path, lambda keys: _check_keys(keys, path))
    if len(arrays) == 1:
        arrays = {"x_train": next(iter(arrays.values()))}
    elif "X" in arrays:
        arrays = {"x_train": arrays["X"], "y_train": arrays["y"]}
    x = {key[2:]: values for key, values in arrays.items() if key.startswith("x_")}
    labels = {key[2:]: values for key, values in arrays.items() if key.startswith("y_")}
    return make_dataset(path, x, labels, (source_file(path),), shape=options.shape)


def _check_keys(keys: list[str], path: Path) -> None:
    found = set(keys)
    paired = all(f"x_{key[2:]}" in found for key in found)
    if len(found) == 1 or found == {"X", "y"} or ("x_train" in found <= SPLIT_KEYS and paired):
        return
    raise BadData(
        f"{path.name!r} holds the arrays {quote_names(keys) or '(none)'}. Allowed are x_train with "
        "optional x_valid, x_test, y_train, y_valid and y_test; or X and y; or exactly one array."
    )


def _folder(path: Path, options: DataOptions) -> Dataset:
    """The data set of a folder: MNIST's layout if its training images exist, else shards, else images."""
    train = _plain_or_gzipped(path / "train-images-idx3-ubyte")
    if train is not None:
        test = _plain_or_gzipped(path / "t10k-images-idx3-ubyte")
        return _idx(path, {"train": train} if test is None else {"train": train, "test": test}, options)
    source = open_source(path, options) if options.on_bad_data == "skip" or _has_shards(path) else None
    if source is not None:
        return read_all(source, path, options)
    x, labels, record = read_folder(path)
    known = {} if labels is None else {"train": labels}
    return make_dataset(path, {"train": x}, known, (record,), shape=options.shape)


def _has_shards(path: Path) -> bool:
    return any(found for extension in ("npy", "parquet") for found in path.glob(f"*.{extension}"))


def _idx(path: Path, images: dict[str, Path], options: DataOptions) -> Dataset:
    """The data set of IDX files by split, each with the labels file in the same folder if there is one."""
    x: dict[str, Array] = {}
    labels: dict[str, Array] = {}
    files: list[SourceFile] = []
    for split, file in images.items():
        x[split] = read_idx(file)
        files.append(source_file(file))
        name = file.name.removesuffix(".gz").replace("-images-idx3-", "-labels-idx1-")
        label_file = _plain_or_gzipped(file.with_name(name))
        if label_file is not None and label_file != file and "-images-idx3-" in file.name:
            labels[split] = read_idx(label_file)
            files.append(source_file(label_file))
    return make_dataset(path, x, labels, tuple(files), shape=options.shape)


def _plain_or_gzipped(path: Path) -> Path | None:
    """The file or its gzipped form, whichever exists."""
    zipped = path.with_name(f"{path.name}.gz")
    found = next((file for file in (path, zipped) if file.is_file()), None)
    if found is not None:
        check_inside(found, found.parent)
    return found
