"""Readers of tables: ``.csv`` and ``.parquet``, through pandas.

Numeric columns become x; ``data.labels`` names a column of strings or integers as labels.
"""

import csv
import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from isthmus.data.base import Array
from isthmus.data.formats.files import check_growth, check_size, reading
from isthmus.errors import BadData, MissingExtra

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

LONGEST_LINE, PIECE = 2**26, 2**24
MOST_COLUMNS, MOST_NAMESAKES = 2**16, 1000
"""Largest number of columns of a .csv table, each a separate array while it is read, and of repeated names."""
LONGEST_LABEL = 200
"""Largest length of a label, in characters."""


def read_table(path: Path, labels: str | None) -> tuple[Array, Array | None]:
    """The numeric columns (N, D) as float64, and the ``labels`` column (N,) if one is named.

    Raises:
        BadData: the file is damaged, has columns that are not numeric, or has no column of that name.
        MissingExtra: pandas or pyarrow is not installed.
    """
    try:
        import pandas  # noqa: F401
        import pyarrow  # noqa: F401
    except ImportError as fault:
        raise MissingExtra(
            f"Reading {path.name!r} requires pandas and pyarrow, which are not installed. Install them with "
            "pip install 'isthmus[tabular]'."
        ) from fault
    parquet = path.suffix.lower() == ".parquet"
    with reading(path, "a .parquet table" if parquet else "a .csv table"):
        frame = _read_parquet(path, labels) if parquet else _read_csv(path)
        if len(frame) == 0:
            raise BadData(f"{path.name!r} has no rows. Pass one row per example.")
        return _numeric(frame, path, labels), None if labels is None else _labels(frame[labels], path)


def _read_csv(path: Path) -> "pd.DataFrame":
    """The table of a comma-separated file; a first line of numbers is a row, unless it is 0,1,2,..."""
    import pandas as pd

    _check_cells(path)
    first = _first_row(path)
    # pandas writes unnamed columns as 0, 1, 2, ...
    enumerated = len(first) > 2 and first == [str(column) for column in range(len(first))]
    headless = bool(first) and all(_is_number(cell) for cell in first) and not enumerated
    names = Counter(name for name in first if name)
    if not headless and names.total() - len(names) > MOST_NAMESAKES:
        # pandas renames repeated names, in quadratic time
        raise BadData(f"{path.name!r} has many columns called {names.most_common(1)[0][0][:60]!r}. Use unique names.")
    with warnings.catch_warnings():
        # pandas only warns if a row has more cells than there are names, and drops the rest
        warnings.simplefilter("error", pd.errors.ParserWarning)
        frame = pd.read_csv(
            path,
            header=None if headless else 0,
            index_col=False,
            encoding="utf-8-sig",
            compression=None,
            low_memory=False,
        )
    frame.columns = frame.columns.map(str)
    return frame


def _first_row(path: Path) -> list[str]:
    """The cells of the first row that is not blank, which may be the names of the columns.

    Raises:
        BadData: there are too many columns.
    """
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = csv.reader(iter(lambda: stream.readline(LONGEST_LINE), ""))
        first = next((row for row in rows if len(row) > 1 or "".join(row).strip()), [])
    if len(first) > MOST_COLUMNS:
        raise BadData(
            f"{path.name!r} has {len(first):,} columns, but at most {MOST_COLUMNS:,} are read. Use a .npy file."
        )
    return first


def _check_cells(path: Path) -> None:
    """Refuse a table that would not fit into memory: each cell takes three 8-byte numbers while it is read."""
    cells = 1
    with path.open("rb") as stream:
        while chunk := stream.read(PIECE):
            cells += chunk.count(b",") + chunk.count(b"\n") + chunk.count(b"\r")
    check_size(path.stat().st_size + 24 * cells, repr(path.name))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _read_parquet(path: Path, labels: str | None) -> "pd.DataFrame":
    """The table of a Parquet file; its size in memory is checked by its footer first."""
    from pyarrow import parquet

    # a long string that many rows repeat is stored once
    with parquet.ParquetFile(path, read_dictionary=None if labels is None else [labels]) as file:
        check_footer(file.metadata, path)
        columns = numeric_columns(file.schema_arrow)
        check_columns(columns, path, labels)
        frame: pd.DataFrame = file.read(columns=list(columns)).to_pandas(ignore_metadata=True)
    frame.columns = frame.columns.map(str)
    return frame


def _numeric(frame: "pd.DataFrame", path: Path, labels: str | None) -> Array:
    """All columns except ``labels`` as float64; missing cells are NaN."""
    from pandas.api.types import is_numeric_dtype

    columns = check_columns({str(name): is_numeric_dtype(kind) for name, kind in frame.dtypes.items()}, path, labels)
    return frame[columns].to_numpy(dtype=np.float64, na_value=np.nan)


def check_footer(footer: Any, path: Path) -> None:
    """Refuse a Parquet file by the size in its footer, before any of it is decompressed."""
    groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
    unpacked = sum(group.total_byte_size for group in groups)
    check_growth(max(unpacked, 8 * footer.num_rows * footer.num_columns), path.stat().st_size, repr(path.name))


def numeric_columns(schema: "pa.Schema") -> dict[str, bool]:
    """The columns of a Parquet file, except those of the pandas index, and whether each is numeric.

    Raises:
        BadData: two columns have the same name.
    """
    from pyarrow import types

    index = {str(name) for name in (schema.pandas_metadata or {}).get("index_columns", ())}
    twice = sorted(name for name, count in Counter(schema.names).items() if count > 1)
    if twice:
        raise BadData(f"The table has several columns called {quote_names(twice)}. Use unique names.")
    return {
        field.name: types.is_integer(field.type) or types.is_floating(field.type) or types.is_boolean(field.type)
        for field in schema
        if field.name not in index
    }


def check_columns(numeric: dict[str, bool], path: Path, labels: str | None) -> list[str]:
    """The columns of x: all except ``labels``.

    Args:
        numeric: whether each column is numeric, by name.
        path: the file, for messages.
        labels: the column of labels.

    Raises:
        BadData: no column of that name, columns that are not numeric, or none left.
    """
    if labels is not None and labels not in numeric:
        raise BadData(
            f"{path.name!r} has no column {labels!r} for data.labels. Set one of its columns: "
            f"{quote_names(list(numeric))}."
        )
    columns = [name for name in numeric if name != labels]
    odd = [name for name in columns if not numeric[name]]
    if odd:
        raise BadData(
            f"{path.name!r} has columns that are not numeric: {quote_names(odd)}. "
            f"Set one as labels with data.labels={odd[0][:60]}, or remove them."
        )
    if not columns:
        raise BadData(f"{path.name!r} has no numeric column besides the labels. Add at least one.")
    return columns


def column_of(path: Path, labels: str) -> Array:
    """Only the labels (N,) of a Parquet file, as integers or strings.

    Raises:
        BadData: some labels are missing.
    """
    from pyarrow import parquet

    with reading(path, "a .parquet table"), parquet.ParquetFile(path, read_dictionary=[labels]) as file:
        check_footer(file.metadata, path)
        return _labels(file.read(columns=[labels]).to_pandas()[labels], path)


def _labels(column: "pd.Series[int]", path: Path) -> Array:
    """A column as integers or strings."""
    from pandas.api.types import is_numeric_dtype

    missing = int(column.isna().sum())
    if missing:
        raise BadData(
            f"The labels column {column.name!r} of {path.name!r} has {missing} missing values. "
            "Fill them or remove those rows."
        )
    if is_numeric_dtype(column):
        return column.to_numpy()
    classes = column.astype("category").cat
    names = np.array([str(name) for name in classes.categories])
    longest = names.dtype.itemsize // 4
    if longest > LONGEST_LABEL:
        raise BadData(
            f"The labels column {str(column.name)[:60]!r} of {path.name!r} holds strings of up to {longest:,} "
            f"characters, but at most {LONGEST_LABEL} are supported. Set data.labels to another column."
        )
    return names[classes.codes.to_numpy()]


def quote_names(names: list[str]) -> str:
    """At most eight names, quoted and truncated, for messages."""
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(repr(name[:60]) for name in names[:8]) + more
