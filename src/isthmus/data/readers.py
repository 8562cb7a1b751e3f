"""Reading of a path as a data set, by file extension or folder layout; and of arrays and tables as data sets.

Files are decoded in ``formats`` and ``tables``.
"""

import math
import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from isthmus.data.base import Array, Provenance, SourceFile
from isthmus.data.dataset import Dataset
from isthmus.data.formats.binary import npy_layout, read_idx, read_npy, read_npz
from isthmus.data.formats.files import check_inside, reading, source_file
from isthmus.data.formats.images import natural
from isthmus.data.memory import held, is_streamed, refuse_streaming
from isthmus.data.objects import PAIR_KEYS
from isthmus.data.sources.arrays import Examples
from isthmus.data.sources.image_folder import ImageFolder
from isthmus.data.sources.joined import Joined
from isthmus.data.sources.numpy_file import NumpyFile
from isthmus.data.sources.parquet import ParquetFile, row_title
from isthmus.data.tables.names import column_names, quote_names
from isthmus.data.tables.parquet import schema_of_parquet
from isthmus.data.tables.reading import check_extra, is_table_path, read_table
from isthmus.data.tables.schema import Schema, infer_schema
from isthmus.data.transforms.labels import are_labels, encode_labels
from isthmus.data.transforms.layout import check_numbers
from isthmus.errors import BadData
from isthmus.options import DataOptions

if TYPE_CHECKING:
    import pandas as pd

IDX_NAME = re.compile(r"idx\d?(-ubyte)?(\.gz)?$")
SPLIT_KEYS = {f"{letter}_{split}" for letter in "xy" for split in ("train", "valid", "test")}


def read_path(path: Path, options: DataOptions, schema: Schema | None = None) -> Dataset:
    """The data set in a file (.npy, .npz, IDX, .csv, .parquet) or a folder (images, MNIST-type IDX files, shards).

    ``schema`` has the columns of the training table, for new data.

    Raises:
        BadData: the path does not exist, its format is not supported, or it cannot be read; the message names the file.
        MissingExtra: the path is a table, and pandas or pyarrow is not installed.
    """
    with reading(path, "a file or folder"):
        folder, file = path.is_dir(), path.is_file()
    if not folder and not file:
        raise BadData(f"There is no file or folder {str(path)!r}. Check the spelling, or pass another path.")
    if folder:
        return _folder(path, options, schema)
    suffix = path.suffix.lower()
    if is_table_path(path):
        return _table(path, options, schema)
    _refuse_labels(path, options, schema)
    if suffix == ".npy":
        return _npy(path, options)
    if suffix == ".npz":
        return _archive(path, options)
    if IDX_NAME.search(path.name):
        return _idx(path, {"train": path}, options)
    raise BadData(
        f"{path.name!r} has an unsupported extension. Use a .npy, .npz, .csv or .parquet file, a file whose name ends "
        "in -idx3-ubyte or -idx3-ubyte.gz, or a folder of images."
    )


def _refuse_labels(path: Path, options: DataOptions, schema: Schema | None) -> None:
    if options.labels is not None and schema is None:
        raise BadData(
            f"data.labels names a column of a .csv or .parquet table, but {path.name!r} is not a table. Leave it out."
        )


def _npy(path: Path, options: DataOptions) -> Dataset:
    """A ``.npy`` file: in memory, or read by position if it is to be streamed."""
    shape = npy_layout(path)[0]
    if is_streamed(math.prod(shape), options):
        file = NumpyFile(path)
        return Dataset(path.name, file, provenance=Provenance(str(path), file.files()), streamed=True)
    return dataset_of_splits(path.name, {"train": read_npy(path)}, {}, Provenance(str(path), (source_file(path),)))


def _archive(path: Path, options: DataOptions) -> Dataset:
    """The data set of a ``.npz`` file in one of the supported layouts."""
    refuse_streaming(path.name, options)
    arrays = read_npz(path, lambda keys: check_keys(keys, repr(path.name)))
    return dataset_of_arrays(arrays, path.name, Provenance(str(path), (source_file(path),)))


def check_keys(keys: list[str], where: str) -> None:
    """Refuse arrays whose names do not say what they are.

    Raises:
        BadData: other names than those of one array, of splits, or of a pair.
    """
    found = set(keys)
    paired = all(f"x_{key[2:]}" in found for key in found)
    known = [{"X", "y"}, {"x", "y"}, *map(set, PAIR_KEYS)]
    if len(found) == 1 or found in known or ("x_train" in found <= SPLIT_KEYS and paired):
        return
    raise BadData(
        f"{where} holds the arrays {quote_names(keys) or '(none)'}. Allowed are x_train with optional x_valid, x_test, "
        "y_train, y_valid and y_test; X and y; noisy and clean, or input and target; or exactly one array."
    )


def dataset_of_arrays(arrays: Mapping[str, Array], name: str, provenance: Provenance) -> Dataset:
    """The data set of arrays by name: one array; splits x_train, y_train ...; x and y; or inputs and their targets.

    Raises:
        BadData: other names, or arrays that do not match.
    """
    check_keys(sorted(arrays), repr(name))
    keys = set(arrays)
    if len(keys) == 1:
        arrays = {"x_train": next(iter(arrays.values()))}
    elif not keys & SPLIT_KEYS:
        first, second = next(pair for pair in (("X", "y"), ("x", "y"), *PAIR_KEYS) if keys == set(pair))
        arrays = {"x_train": arrays[first], "y_train": arrays[second]}
    x = {key[2:]: values for key, values in arrays.items() if key.startswith("x_")}
    y = {key[2:]: values for key, values in arrays.items() if key.startswith("y_")}
    return dataset_of_splits(name, x, y, provenance)


def shaped_like(x: Array, y: Array) -> Array:
    """Targets y with the shape of x, if they differ in axes of length 1 only, such as a channel; others unchanged."""
    rows = y.ndim > 1 and x.size == y.size > len(x) == len(y)
    same = rows and [n for n in x.shape[1:] if n > 1] == [n for n in y.shape[1:] if n > 1]
    return y.reshape(x.shape) if same else y


def dataset_of_splits(name: str, x: Mapping[str, Array], y: Mapping[str, Array], provenance: Provenance) -> Dataset:
    """The data set of arrays by split: ``train``, and optionally ``valid`` and ``test``.

    ``y`` has labels, or the targets of ``x``, which have its shape.

    Raises:
        BadData: values that are not numbers, or labels that are not aligned with their examples.
    """
    labels = {}
    y = {split: shaped_like(x[split], values) if split in x else values for split, values in y.items()}
    for split, values in x.items():
        check_numbers(values.dtype, f"The {split} split of {name!r}")
        if split in y and y[split].shape != values.shape:
            if y[split].shape[:1] != values.shape[:1]:
                raise BadData(
                    f"The {split} split of {name!r} has {len(values)} examples but labels of shape {y[split].shape}. "
                    "Pass one label per example."
                )
            labels[split] = y[split]
    encoded, label_names = encode_labels(labels, repr(name)) if labels else ({}, ())
    targets = {split for split in y if split not in labels}
    splits = {
        split: Examples(
            y[split] if split in targets else values,
            encoded.get(split),
            noisy=values if split in targets else None,
            name=name,
            file=name,
        )
        for split, values in x.items()
    }
    return Dataset(
        name,
        splits["train"],
        splits.get("valid"),
        splits.get("test"),
        label_names=label_names,
        provenance=provenance,
    )


def _table(path: Path, options: DataOptions, schema: Schema | None) -> Dataset:
    """A table: in memory, or a ``.parquet`` file read by row groups if it is to be streamed."""
    check_extra(path.name)
    if path.suffix.lower() == ".parquet":
        known = schema or schema_of_parquet(path, options)
        source = ParquetFile(path, known, options.missing, training=schema is None)
        if is_streamed(len(source) * known.width, options):
            provenance = Provenance(str(path), source.files())
            return Dataset(path.name, source, provenance=provenance, schema=known, notes=known.notes, streamed=True)
    else:
        refuse_streaming(path.name, options)
    frame, notes = read_table(path, options, "" if schema is None else schema.decimal)
    return dataset_of_frame(frame, options, path.name, schema, path=path, notes=notes)


def dataset_of_frame(
    frame: "pd.DataFrame",
    options: DataOptions,
    name: str,
    schema: Schema | None = None,
    *,
    path: Path | None = None,
    notes: tuple[str, ...] = (),
) -> Dataset:
    """A table in memory: its numbers, and names and labels of its rows.

    Raises:
        BadData: columns that cannot be used, or that the training table had and this one has not.
    """
    where = "The table" if path is None else repr(name)
    known = infer_schema(frame, options, where) if schema is None else schema
    x = known.matrix(frame, where, options.missing)
    if schema is not None:
        _warn_of_columns(frame, schema, where)
    names = known.names_of(frame)
    labels = known.labels_of(frame, where, training=schema is None)
    if schema is not None and labels is not None and not are_labels(labels):
        labels = None
    encoded, label_names = ({}, ()) if labels is None else encode_labels({"train": labels}, where)
    examples = Examples(
        x,
        encoded.get("train"),
        names=None if names is None else np.asarray(names),
        name=name,
        file="" if path is None else name,
        row_title="" if names is None else row_title(names.name),
    )
    files = () if path is None else (source_file(path),)
    notes = notes if schema is not None else (*notes, *known.notes)
    provenance = Provenance(str(path or "table"), files)
    return Dataset(name, examples, label_names=label_names, provenance=provenance, schema=known, notes=notes)


def _warn_of_columns(frame: "pd.DataFrame", schema: Schema, where: str) -> None:
    """Warn of columns that are not used, and of categories that the training table did not have."""
    # columns without names are matched by position, and then all are used
    by_name = {column.name for column in schema.columns} <= set(column_names(frame))
    unused = schema.unused(frame) if by_name else ()
    if unused:
        warnings.warn(f"{where} has columns that the run does not use: {quote_names(list(unused))}.", stacklevel=2)
    for column, rows in schema.unseen(frame, where).items():
        warnings.warn(
            f"{rows:,} rows of {where} have a value of {column!r} that did not occur in training; it counts as none "
            "of the known ones.",
            stacklevel=2,
        )


def _folder(path: Path, options: DataOptions, schema: Schema | None) -> Dataset:
    """The data set of a folder: MNIST's layout if its training images exist, else shards, else images."""
    train = _plain_or_gzipped(path / "train-images-idx3-ubyte")
    if train is not None:
        _refuse_labels(path, options, schema)
        test = _plain_or_gzipped(path / "t10k-images-idx3-ubyte")
        return _idx(path, {"train": train} if test is None else {"train": train, "test": test}, options)
    shards = _shards(path, options, schema)
    if shards is None:
        _refuse_labels(path, options, schema)
    found = shards or ImageFolder(path)
    source, streamed = held(found, options)
    known = (
        shards.sources[0].schema if isinstance(shards, Joined) and isinstance(shards.sources[0], ParquetFile) else None
    )
    files = (found.whole_record(),) if isinstance(found, ImageFolder) and not streamed else found.files()
    provenance = Provenance(str(path), files)
    return Dataset(path.name, source, provenance=provenance, schema=known, streamed=streamed)


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


def _idx(path: Path, images: dict[str, Path], options: DataOptions) -> Dataset:
    """The data set of IDX files by split, each with the labels file in the same folder if there is one."""
    refuse_streaming(path.name, options)
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
    return dataset_of_splits(path.name, x, labels, Provenance(str(path), tuple(files)))


def _plain_or_gzipped(path: Path) -> Path | None:
    """The file or its gzipped form, whichever exists."""
    zipped = path.with_name(f"{path.name}.gz")
    found = next((file for file in (path, zipped) if file.is_file()), None)
    if found is not None:
        check_inside(found, found.parent)
    return found
