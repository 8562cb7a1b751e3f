"""Parquet files as tables, in memory and batch by batch; their sizes are checked by their footers first."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from isthmus.data.base import Array
from isthmus.data.formats.files import LARGEST, check_growth, reading
from isthmus.data.storage.base import File
from isthmus.data.tables.names import quote_names
from isthmus.data.tables.schema import Schema, infer_schema
from isthmus.errors import BadData
from isthmus.options import DataOptions

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

SAMPLE, MOST_TEXT = 10_000, 2**27
"""Rows by which the columns of a file that is streamed are decided, and bytes that a column of texts may take."""


def read_parquet(file: File, options: DataOptions) -> "pd.DataFrame":
    """The table of a Parquet file, with the index that pandas stored in it.

    Columns of lists, structures or bytes are not read: each holds empty ones, by which it is refused unless it is
    excluded.

    Raises:
        BadData: the file is damaged or too large, or two columns have the same name.
    """
    with reading(file.name, "a .parquet table"):
        with _opened(file) as found:
            check_footer(found.metadata, file)
            schema = found.schema_arrow
        check_names(schema, file.name)
        flat, texts, nested = _kinds(schema, set(options.exclude))
        # a long string that many rows repeat is stored once
        with _opened(file, texts) as found:
            return _frame(_written_out(found.read(columns=flat), texts), nested)


@contextmanager
def _opened(file: File, texts: Sequence[str] = ()) -> "Iterator[Any]":
    """An open Parquet file, by its path if it has one."""
    from pyarrow import parquet

    with (
        nullcontext(file.path) if file.path is not None else file.open() as where,
        parquet.ParquetFile(where, read_dictionary=list(texts)) as found,
    ):
        yield found


def _kinds(schema: "pa.Schema", without: set[str]) -> tuple[list[str], list[str], dict[str, Any]]:
    """The columns of single values, those of texts among them, and the others with an empty value of each."""
    from pyarrow import types

    flat: list[str] = []
    nested: dict[str, Any] = {}
    for field in schema:
        if field.name in without:
            nested[field.name] = None
        elif types.is_struct(field.type) or types.is_map(field.type):
            nested[field.name] = {}
        elif types.is_nested(field.type):
            nested[field.name] = []
        elif types.is_binary(field.type) or types.is_large_binary(field.type) or types.is_fixed_size_binary(field.type):
            nested[field.name] = b""
        else:
            flat.append(field.name)
    return flat, [name for name in flat if _is_text(schema.field(name).type)], nested


def _written_out(table: "pa.Table", texts: list[str]) -> "pa.Table":
    """The table with the dictionaries of texts as texts again, unless these would take too much memory."""
    from pyarrow import compute

    for name in texts:
        place = table.schema.get_field_index(name)
        kind, column = table.schema.field(place).type, table.column(place)
        if hasattr(kind, "value_type"):
            lengths = [compute.max(compute.binary_length(chunk.dictionary)).as_py() or 0 for chunk in column.chunks]
            if max(lengths, default=0) * len(column) <= MOST_TEXT:
                table = table.set_column(place, name, column.cast(kind.value_type))
    return table


def _frame(table: "pa.Table", nested: dict[str, Any]) -> "pd.DataFrame":
    """An Arrow table as a data frame, and columns of empty values for what is not read."""
    frame: pd.DataFrame = table.to_pandas(split_blocks=True, self_destruct=True)
    frame.attrs.clear()
    for name, value in nested.items():
        # the number of rows in the footer of a damaged file may be any
        frame[name] = [value] * (len(frame) if frame.shape[1] else 1)
    return frame


def check_footer(footer: Any, file: File) -> None:
    """Refuse a Parquet file by the size in its footer, before any of it is decompressed.

    Raises:
        BadData: it is too large, or expands as a decompression bomb does.
    """
    groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
    unpacked = sum(group.total_byte_size for group in groups)
    check_growth(max(unpacked, 8 * footer.num_rows * footer.num_columns), file.packed, repr(file.name))


def check_names(schema: "pa.Schema", name: str) -> None:
    """Refuse repeated names of columns.

    Raises:
        BadData: two columns have the same name.
    """
    twice = sorted(name for name, count in Counter(schema.names).items() if count > 1)
    if twice:
        raise BadData(f"{name!r} has several columns called {quote_names(twice)}. Use unique names.")


def schema_of_parquet(path: Path, options: DataOptions) -> Schema:
    """The schema of a file that is streamed, by its types and its first rows.

    Raises:
        BadData: the file is damaged, or its columns cannot be used.
    """
    import pyarrow as pa
    from pyarrow import parquet

    with reading(path, "a .parquet table"), parquet.ParquetFile(path) as file:
        schema = file.schema_arrow
        check_names(schema, path.name)
        flat, texts, nested = _kinds(schema, set(options.exclude))
        size = max(1, min(SAMPLE, MOST_TEXT // (8 * max(1, len(schema)))))
        groups = _first_groups(file.metadata, size, path)
    with (
        reading(path, "a .parquet table"),
        parquet.ParquetFile(path, read_dictionary=texts, pre_buffer=False) as file,
    ):
        batches = file.iter_batches(size, row_groups=groups, columns=flat, use_threads=False)
        table = _written_out(pa.Table.from_batches(_taken(batches, size)), texts)
        frame = _frame(table, nested)
    for field in schema:
        # what has no value in the first rows may have one later
        if _is_number(field.type) and field.name in frame.columns and frame[field.name].isna().all():
            frame[field.name] = 0.0
    return infer_schema(frame, options, repr(path.name))


def _first_groups(footer: Any, rows: int, path: Path) -> list[int]:
    """The first row groups that hold so many rows.

    Raises:
        BadData: there are no rows, or the groups expand as a decompression bomb does.
    """
    groups, held, unpacked = [], 0, 0
    for number in range(footer.num_row_groups):
        group = footer.row_group(number)
        if held < rows and group.num_rows:
            groups.append(number)
            held, unpacked = held + group.num_rows, unpacked + group.total_byte_size
    if not groups:
        raise BadData(f"{path.name!r} has no rows. Pass one row per example.")
    # only a part of a large group is read
    check_growth(min(unpacked, LARGEST), path.stat().st_size, repr(path.name))
    return groups


def _taken(batches: "Iterator[pa.RecordBatch]", rows: int) -> "list[pa.RecordBatch]":
    """The first batches that hold so many rows."""
    taken: list[pa.RecordBatch] = []
    held = 0
    while held < rows and (batch := next(batches, None)) is not None:
        taken.append(batch.slice(0, rows - held))
        held += len(taken[-1])
    return taken


def matrix_of_batch(batch: "pa.RecordBatch", schema: Schema, where: str, missing: tuple[float, ...] = ()) -> Array:
    """The model inputs (n, width) of a batch as float64; see :meth:`Schema.matrix`.

    Raises:
        BadData: columns are absent, or a value is not a number.
    """
    import pyarrow as pa
    from pyarrow import compute

    types = {field.name: field.type for field in batch.schema}
    fits = {"number": _is_number, "boolean": pa.types.is_boolean, "category": lambda kind: False}
    if not all(column.name in types and fits[column.kind](types[column.name]) for column in schema.columns):
        return schema.matrix(batch.to_pandas(), where, missing)
    # by column first: writing every n-th number of the rows costs five times as much
    values = np.empty((len(schema.columns), len(batch)))
    for own, column in zip(values, schema.columns, strict=True):
        numbers = batch.column(column.name)
        if not pa.types.is_floating(numbers.type):
            numbers = compute.cast(numbers, pa.float64(), safe=False)
        own[:] = numbers.to_numpy(zero_copy_only=False)
        if missing and column.kind == "number":
            own[np.isin(own, missing)] = np.nan
    return np.ascontiguousarray(values.T)


def columns_to_read(path: Path, schema: Schema) -> list[str]:
    """The columns of a file that its examples need: those of x, in the order of the schema, as far as it has them.

    Raises:
        BadData: the file is damaged.
    """
    from pyarrow import parquet

    with reading(path, "a .parquet table"):
        found = set(parquet.read_schema(path).names)
    return [column.name for column in schema.columns if column.name in found]


def _is_number(kind: "pa.DataType") -> bool:
    from pyarrow import types

    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))


def _is_text(kind: "pa.DataType") -> bool:
    from pyarrow import types

    return bool(types.is_string(kind) or types.is_large_string(kind))
