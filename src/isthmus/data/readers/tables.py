"""Readers of tables."""

from typing import TYPE_CHECKING

import numpy as np

from isthmus.data.base import Provenance
from isthmus.data.dataset import Dataset
from isthmus.data.formats.files import reading
from isthmus.data.memory import is_streamed, refuse_streaming
from isthmus.data.readers.datasets import dataset_of_frame, dataset_of_splits
from isthmus.data.readers.format import Format, refuse_labels
from isthmus.data.sources.parquet import ParquetFile
from isthmus.data.storage.base import File
from isthmus.data.tables.content import load
from isthmus.data.tables.ipc import read_ipc
from isthmus.data.tables.json_files import read_json
from isthmus.data.tables.parquet import schema_of_parquet
from isthmus.data.tables.reading import COMPRESSED, PARQUET_ENDINGS, TEXT_ENDINGS, check_extra, read_table
from isthmus.data.tables.schema import Schema
from isthmus.options import DataOptions

if TYPE_CHECKING:
    import pandas as pd


def read_table_file(file: File, options: DataOptions, schema: Schema | None) -> Dataset:
    """A table: in memory, or a ``.parquet`` file read by row groups if it is to be streamed."""
    check_extra(file.name)
    path = file.path
    assert path is not None
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


def read_arrow_file(file: File, options: DataOptions, schema: Schema | None) -> Dataset:
    """A Feather file, or an Arrow IPC file or stream."""
    check_extra(file.name)
    refuse_streaming(file.name, options)
    return _of_frame(read_ipc(file, options), (), file, options, schema)


def read_json_file(file: File, options: DataOptions, schema: Schema | None) -> Dataset:
    """JSON lines, or a JSON file of rows or columns; lists of lists of numbers are an array (N, ...)."""
    check_extra(file.name)
    refuse_streaming(file.name, options)
    path = file.path
    assert path is not None
    with reading(path, "a table of JSON"):
        content = load(path, options.encoding)
    lines = not any(file.name.lower().endswith(f".json{packed}") for packed in ("", *COMPRESSED))
    table, notes = read_json(content, file.name, options, lines=lines)
    if isinstance(table, np.ndarray):
        refuse_labels(file.name, options, schema)
        return dataset_of_splits(file.name, {"train": table}, {}, Provenance(str(path), (file.record(),)))
    return _of_frame(table, notes, file, options, schema)


def _of_frame(
    frame: "pd.DataFrame", notes: tuple[str, ...], file: File, options: DataOptions, schema: Schema | None
) -> Dataset:
    return dataset_of_frame(frame, options, file.name, schema, path=file.path, notes=notes)


FORMATS = (
    Format(
        "CSV",
        tuple(f"{text}{packed}" for text in TEXT_ENDINGS for packed in ("", *COMPRESSED)),
        read_table_file,
        "table",
        "pandas",
        "tabular",
        guessed="separator, decimal mark, thousands, encoding, comments, header, columns that name rows",
        options=("delimiter", "decimal", "thousands", "encoding", "comment", "header", "index"),
    ),
    Format("Parquet", PARQUET_ENDINGS, read_table_file, "table", "pyarrow", "tabular", options=("index",)),
    Format(
        "Arrow",
        (".arrow", ".feather", ".ipc"),
        read_arrow_file,
        "table",
        "pyarrow",
        "tabular",
        options=("index",),
        limits="Feather 1; columns of lists, structures or bytes",
    ),
    Format(
        "JSON lines",
        tuple(f"{text}{packed}" for text in (".jsonl", ".ndjson", ".json") for packed in ("", *COMPRESSED)),
        read_json_file,
        "table",
        "json",
        "tabular",
        guessed="meaning of the entries of an object",
        options=("key", "index", "encoding"),
        limits="lists of different lengths",
    ),
)
