"""Readers of tables that are no text tables: Arrow, JSON and Excel."""

import numpy as np

from isthmus.data.dataset import Dataset
from isthmus.data.memory import refuse_streaming
from isthmus.data.readers.datasets import dataset_of_frame, dataset_of_splits, provenance_of
from isthmus.data.readers.format import Format, Reader, refuse_labels
from isthmus.data.storage.base import File
from isthmus.data.tables.records import ARROW, EXCEL, JSON, read_records
from isthmus.data.tables.schema import Schema
from isthmus.options import DataOptions


def _reader(kind: str) -> Reader:
    """The reader of a kind of file, by the usual extension of that; the file may have another one."""

    def read_file(file: File, options: DataOptions, schema: Schema | None) -> Dataset:
        refuse_streaming(file.name, options)
        table, notes = read_records(file, options, "" if schema is None else schema.decimal, kind)
        if isinstance(table, np.ndarray):
            # lists of lists of numbers
            refuse_labels(file.name, options, schema)
            return dataset_of_splits(file.name, {"train": table}, {}, provenance_of(file))
        return dataset_of_frame(table, options, file.name, schema, file=file, notes=notes)

    return read_file


FORMATS = (
    Format(
        "Excel",
        EXCEL,
        _reader(EXCEL[0]),
        "table",
        "openpyxl",
        "tabular",
        guessed="sheet, header, titles and units, decimal mark of texts",
        options=("key", "header", "decimal", "thousands", "index"),
        limits=".xls and .ods; formulas that no program has calculated",
    ),
    Format(
        "Arrow",
        ARROW,
        _reader(ARROW[0]),
        "table",
        "pyarrow",
        "tabular",
        options=("index",),
        limits="Feather 1; columns of lists, structures or bytes",
    ),
    Format(
        "JSON lines",
        JSON,
        _reader(JSON[0]),
        "table",
        "pandas",
        "tabular",
        guessed="entries of an object: columns, or rows",
        options=("key", "index", "encoding"),
        limits="lists of different lengths",
    ),
)
