"""From a path to a data set: what each file ending or folder layout holds.

The decoding is in ``binary.py``, ``tables.py`` and ``images.py``; what arrays mean is in ``arrays.py``.
"""

import re
from pathlib import Path

from isthmus.data.arrays import assembled
from isthmus.data.base import Array, Dataset, SourceFile
from isthmus.data.binary import read_idx, read_npy, read_npz
from isthmus.data.files import check_inside, reading, source_file
from isthmus.data.images import read_folder
from isthmus.data.opening import opened, whole
from isthmus.data.tables import listed, read_table
from isthmus.errors import BadData
from isthmus.options import DataOptions

IDX_NAME = re.compile(r"idx\d?(-ubyte)?(\.gz)?$")
PART_KEYS = {f"{letter}_{part}" for letter in "xy" for part in ("train", "valid", "test")}


def read_path(path: Path, options: DataOptions) -> Dataset:
    """The data set in a file (.npy, .npz, IDX, .csv, .parquet) or a folder (images, MNIST-type IDX files, shards).

    Raises:
        BadData: there is no such path, its kind is unknown, or it cannot be read; the message names the file.
        MissingExtra: a table is asked for without pandas and pyarrow.
    """
    with reading(path, "a file or folder"):
        folder, file = path.is_dir(), path.is_file()
    if not folder and not file:
        raise BadData(f"There is no file or folder {str(path)!r}. Check the spelling, or give another path.")
    suffix = path.suffix.lower()
    tables = suffix in (".csv", ".parquet") or (folder and any(path.glob("*.parquet")))
    if options.labels is not None and not tables:
        raise BadData(
            f"data.labels names a column of a .csv or .parquet table, but {path.name!r} is none. Leave it out."
        )
    if folder:
        return _folder(path, options)
    if suffix == ".npy":
        return assembled(path, {"train": read_npy(path)}, {}, (source_file(path),), shape=options.shape)
    if suffix == ".npz":
        return _archive(path, options)
    if IDX_NAME.search(path.name):
        return _idx(path, {"train": path}, options)
    if suffix in (".csv", ".parquet"):
        x, labels = read_table(path, options.labels)
        known = {} if labels is None else {"train": labels}
        return assembled(path, {"train": x}, known, (source_file(path),), shape=options.shape)
    raise BadData(
        f"{path.name!r} ends in none of the known ways. Give a file ending in .npy, .npz, .csv, .parquet, "
        "-idx3-ubyte or -idx3-ubyte.gz, or a folder of images."
    )


def _archive(path: Path, options: DataOptions) -> Dataset:
    """The data set of a ``.npz`` file in one of its three layouts."""
    arrays = read_npz(path, lambda keys: _check_keys(keys, path))
    if len(arrays) == 1:
        arrays = {"x_train": next(iter(arrays.values()))}
    elif "X" in arrays:
        arrays = {"x_train": arrays["X"], "y_train": arrays["y"]}
    x = {key[2:]: values for key, values in arrays.items() if key.startswith("x_")}
    labels = {key[2:]: values for key, values in arrays.items() if key.startswith("y_")}
    return assembled(path, x, labels, (source_file(path),), shape=options.shape)


def _check_keys(keys: list[str], path: Path) -> None:
    found = set(keys)
    paired = all(f"x_{key[2:]}" in found for key in found)
    if len(found) == 1 or found == {"X", "y"} or ("x_train" in found <= PART_KEYS and paired):
        return
    raise BadData(
        f"{path.name!r} holds the arrays {listed(keys) or '(none)'}. Allowed are x_train with "
        "x_valid, x_test and y_train, y_valid, y_test where there are any; or X and y; or exactly one array."
    )


def _folder(path: Path, options: DataOptions) -> Dataset:
    """The data set of a folder: MNIST's layout where its train images are there, else shards, else pictures."""
    train = _beside(path / "train-images-idx3-ubyte")
    if train is not None:
        test = _beside(path / "t10k-images-idx3-ubyte")
        return _idx(path, {"train": train} if test is None else {"train": train, "test": test}, options)
    source = opened(path, options) if options.on_bad == "skip" or _has_shards(path) else None
    if source is not None:
        return whole(source, path, options)
    x, labels, record = read_folder(path)
    known = {} if labels is None else {"train": labels}
    return assembled(path, {"train": x}, known, (record,), shape=options.shape)


def _has_shards(path: Path) -> bool:
    return any(found for ending in ("npy", "parquet") for found in path.glob(f"*.{ending}"))


def _idx(path: Path, images: dict[str, Path], options: DataOptions) -> Dataset:
    """The data set of IDX files by part, each with the labels file beside it where there is one."""
    x: dict[str, Array] = {}
    labels: dict[str, Array] = {}
    files: list[SourceFile] = []
    for part, file in images.items():
        x[part] = read_idx(file)
        files.append(source_file(file))
        name = file.name.removesuffix(".gz").replace("-images-idx3-", "-labels-idx1-")
        beside = _beside(file.with_name(name))
        if beside is not None and beside != file and "-images-idx3-" in file.name:
            labels[part] = read_idx(beside)
            files.append(source_file(beside))
    return assembled(path, x, labels, tuple(files), shape=options.shape)


def _beside(path: Path) -> Path | None:
    """The file itself or its gzipped form, whichever is there."""
    zipped = path.with_name(f"{path.name}.gz")
    found = next((file for file in (path, zipped) if file.is_file()), None)
    if found is not None:
        check_inside(found, found.parent)
    return found
