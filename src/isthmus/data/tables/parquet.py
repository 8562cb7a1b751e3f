"""Parquet and Feather files as tables, in memory and batch by batch; their sizes are checked by their footers first."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from isthmus.data.base import Array
from isthmus.data.formats.files import check_growth, check_size, reading
from isthmus.data.tables.names import quote_names
from isthmus.data.tables.schema import Schema, infer_schema
from isthmus.errors import BadData
from isthmus.options import DataOptions

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

SAMPLE = 10_000
"""Rows by which the columns of a file that is streamed are decided."""


def read_parquet(path: Path, options: DataOptions) -> "pd.DataFrame":
    """The table of a Parquet or Feather file, with the index that pandas stored in it.

    Raises:
        BadData: the file is damaged or too large, or two columns have the same name.
    """
    with reading(path, f"a {path.suffix.lower()} table"):
        if path.suffix.lower() in (".feather", ".arrow"):
            return _frame(_feather(path))
        from pyarrow import parquet

        with parquet.ParquetFile(path) as file:
            check_footer(file.metadata, path)
            check_names(file.schema_arrow, path)
            texts = [field.name for field in file.schema_arrow if _is_text(field.type)]
            wanted = [name for name in file.schema_arrow.names if name not in set(options.exclude)]
        # a long string that many rows repeat is stored once
        with parquet.ParquetFile(path, read_dictionary=texts) as file:
            return _frame(_written_out(file.read(columns=wanted)))


def _written_out(table: "pa.Table") -> "pa.Table":
    """The table with the dictionaries of texts that are mostly different written out as texts."""
    for number, field in enumerate(table.schema):
        column = table.column(number)
        entries = sum(len(chunk.dictionary) for chunk in column.chunks) if _is_dictionary(field.type) else 0
        if entries and 2 * entries > len(column):
            table = table.set_column(number, field.name, column.cast(field.type.value_type))
    return table


def _frame(table: "pa.Table") -> "pd.DataFrame":
    """An Arrow table as a data frame; its index, if it only counts, is not one."""
    frame: pd.DataFrame = table.to_pandas(split_blocks=True, self_destruct=True)
    frame.attrs.clear()
    return frame


def _feather(path: Path) -> "pa.Table":
    """The table of a Feather file; its batches are read one by one, and their sizes checked."""
    import pyarrow as pa

    batches, size, packed = [], 0, path.stat().st_size
    with pa.OSFile(str(path)) as source, pa.ipc.open_file(source) as file:
        check_names(file.schema, path)
        for number in range(file.num_record_batches):
            batches.append(file.get_batch(number))
            size += batches[-1].nbytes
            check_growth(size, packed, repr(path.name))
        return pa.Table.from_batches(batches, file.schema)


def check_footer(footer: Any, path: Path) -> None:
    """Refuse a Parquet file by the size in its footer, before any of it is decompressed.

    Raises:
        BadData: it is too large, or expands as a decompression bomb does.
    """
    groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
    unpacked = sum(group.total_byte_size for group in groups)
    check_growth(max(unpacked, 8 * footer.num_rows * footer.num_columns), path.stat().st_size, repr(path.name))


def check_names(schema: "pa.Schema", path: Path) -> None:
    """Refuse repeated names of columns.

    Raises:
        BadData: two columns have the same name.
    """
    twice = sorted(name for name, count in Counter(schema.names).items() if count > 1)
    if twice:
        raise BadData(f"{path.name!r} has several columns called {quote_names(twice)}. Use unique names.")


def schema_of_parquet(path: Path, options: DataOptions) -> Schema:
    """The schema of a file that is streamed, by its types and its first rows.

    Raises:
        BadData: the file is damaged, or its columns cannot be used.
    """
    from pyarrow import parquet

    with reading(path, f"a {path.suffix.lower()} table"), parquet.ParquetFile(path) as file:
        check_names(file.schema_arrow, path)
        size = max(1, min(SAMPLE, 2**27 // (8 * max(1, len(file.schema_arrow)))))
        groups = [file.metadata.row_group(n).num_rows for n in range(file.metadata.num_row_groups)]
        first = next((number for number, rows in enumerate(groups) if rows), None)
        if first is None:
            raise BadData(f"{path.name!r} has no rows. Pass one row per example.")
        check_size(file.metadata.row_group(first).total_byte_size, repr(path.name))
        batch = next(file.iter_batches(size, row_groups=[first], use_threads=False))
    frame = batch.to_pandas()
    for name in frame.columns:
        # what has no value in the first rows may have one later
        numeric = _is_number(batch.schema.field(name).type) if name in batch.schema.names else False
        if numeric and frame[name].isna().all():
            frame[name] = 0.0
    return infer_schema(frame, options, repr(path.name))


def matrix_of_batch(batch: "pa.RecordBatch", schema: Schema, where: str, missing: tuple[float, ...] = ()) -> Array:
    """The model inputs (n, width) of a batch as float64; see :meth:`Schema.matrix`.

    Raises:
        BadData: columns are absent, or a value is not a number.
    """
    import pyarrow as pa
    from pyarrow import compute

    names = [column.name for column in schema.columns]
    types = {field.name: field.type for field in batch.schema}
    plain = schema.numeric and all(name in types and _is_number(types[name]) for name in names)
    if not plain or missing or any(column.kind == "boolean" for column in schema.columns):
        return schema.matrix(batch.to_pandas(), where, missing)
    values = np.empty((len(batch), len(names)))
    for number, name in enumerate(names):
        values[:, number] = compute.cast(batch.column(name), pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return values


def columns_to_read(path: Path, schema: Schema) -> list[str]:
    """The columns of a file that its examples need: those of x, in the order of the schema, as far as it has them.

    Raises:
        BadData: the file is damaged.
    """
    from pyarrow import parquet

    with reading(path, f"a {path.suffix.lower()} table"):
        found = set(parquet.read_schema(path).names)
    return [column.name for column in schema.columns if column.name in found]


def _is_number(kind: "pa.DataType") -> bool:
    from pyarrow import types

    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))


def _is_text(kind: "pa.DataType") -> bool:
    from pyarrow import types

    return bool(types.is_string(kind) or types.is_large_string(kind))


def _is_dictionary(kind: "pa.DataType") -> bool:
    from pyarrow import types

    return bool(types.is_dictionary(kind))
