"""Readers of tables: ``.csv`` and ``.parquet``, through pandas.

Numeric columns become x; a column of words or whole numbers may be named as labels; nothing else is guessed.
"""

import csv
import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from isthmus.data.base import Array
from isthmus.data.files import check_growth, check_size, reading
from isthmus.errors import BadData, MissingExtra

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

LONGEST_LINE, PIECE = 2**26, 2**24
MOST_COLUMNS, MOST_NAMESAKES = 2**16, 1000
"""Columns of a .csv table, and those whose name another has, at most: each is an array of its own while it is read."""
LONGEST_WORD = 200
"""Characters of the longest label."""


def read_table(path: Path, labels: str | None) -> tuple[Array, Array | None]:
    """The numeric columns (N, D) as float64, and the ``labels`` column (N,) where one is named.

    Raises:
        BadData: the file is damaged, has columns that are not numbers, or no column of that name.
        MissingExtra: pandas or pyarrow is not installed.
    """
    try:
        import pandas  # noqa: F401
        import pyarrow  # noqa: F401
    except ImportError as fault:
        raise MissingExtra(
            f"Reading {path.name!r} needs pandas and pyarrow, which are not installed: pip install 'isthmus[tabular]'."
        ) from fault
    parquet = path.suffix.lower() == ".parquet"
    with reading(path, "a .parquet table" if parquet else "a .csv table"):
        frame = _read_parquet(path, labels) if parquet else _read_csv(path)
        if len(frame) == 0:
            raise BadData(f"{path.name!r} has no rows. Give one row to each example.")
        return _numbers(frame, path, labels), None if labels is None else _labels(frame[labels], path)


def _read_csv(path: Path) -> "pd.DataFrame":
    """The table of a comma-separated file; a first line of numbers is a row, unless it is 0,1,2..."""
    import pandas as pd

    _check_cells(path)
    first = _first_row(path)
    # pandas names unnamed columns 0, 1, 2 ... when it writes them
    counted = len(first) > 2 and first == [str(column) for column in range(len(first))]
    headless = bool(first) and all(_is_number(cell) for cell in first) and not counted
    names = Counter(name for name in first if name)
    if not headless and names.total() - len(names) > MOST_NAMESAKES:
        # pandas renames them, but looks through all names for each
        raise BadData(f"{path.name!r} has many columns called {names.most_common(1)[0][0][:60]!r}. Name each its own.")
    with warnings.catch_warnings():
        # pandas only warns when a row is longer than the names, and drops what is over
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
    """The cells of the first row that is not blank, which pandas may take as names.

    Raises:
        BadData: there are too many.
    """
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = csv.reader(iter(lambda: stream.readline(LONGEST_LINE), ""))
        first = next((row for row in rows if len(row) > 1 or "".join(row).strip()), [])
    if len(first) > MOST_COLUMNS:
        raise BadData(
            f"{path.name!r} has {len(first):,} columns, but at most {MOST_COLUMNS:,} are read. Give a .npy file."
        )
    return first


def _check_cells(path: Path) -> None:
    """Refuse a table whose cells would not fit: each takes three numbers of 8 bytes while it is read."""
    cells = 1
    with path.open("rb") as stream:
        while piece := stream.read(PIECE):
            cells += piece.count(b",") + piece.count(b"\n") + piece.count(b"\r")
    check_size(path.stat().st_size + 24 * cells, repr(path.name))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _read_parquet(path: Path, labels: str | None) -> "pd.DataFrame":
    """The table of a Parquet file, whose size in memory is known from its footer."""
    from pyarrow import parquet

    # a long word that many rows repeat stays one word
    with parquet.ParquetFile(path, read_dictionary=None if labels is None else [labels]) as file:
        check_footer(file.metadata, path)
        columns = numeric_columns(file.schema_arrow)
        check_columns(columns, path, labels)
        frame: pd.DataFrame = file.read(columns=list(columns)).to_pandas(ignore_metadata=True)
    frame.columns = frame.columns.map(str)
    return frame


def _numbers(frame: "pd.DataFrame", path: Path, labels: str | None) -> Array:
    """All columns but ``labels`` as float64; missing cells are NaN."""
    from pandas.api.types import is_numeric_dtype

    columns = check_columns({str(name): is_numeric_dtype(kind) for name, kind in frame.dtypes.items()}, path, labels)
    return frame[columns].to_numpy(dtype=np.float64, na_value=np.nan)


def check_footer(footer: Any, path: Path) -> None:
    """Refuse a Parquet file by what its footer says of its size, before any of it is unpacked."""
    groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
    unpacked = sum(group.total_byte_size for group in groups)
    check_growth(max(unpacked, 8 * footer.num_rows * footer.num_columns), path.stat().st_size, repr(path.name))


def numeric_columns(schema: "pa.Schema") -> dict[str, bool]:
    """The columns of a Parquet file but those of pandas' index, and of each whether it holds numbers.

    Raises:
        BadData: two columns of one name.
    """
    from pyarrow import types

    index = {str(name) for name in (schema.pandas_metadata or {}).get("index_columns", ())}
    twice = sorted(name for name, count in Counter(schema.names).items() if count > 1)
    if twice:
        raise BadData(f"The table has several columns called {listed(twice)}. Give each a name of its own.")
    return {
        field.name: types.is_integer(field.type) or types.is_floating(field.type) or types.is_boolean(field.type)
        for field in schema
        if field.name not in index
    }


def check_columns(numeric: dict[str, bool], path: Path, labels: str | None) -> list[str]:
    """The columns of x: all but ``labels``; ``numeric`` says of each whether it holds numbers.

    Raises:
        BadData: no column of that name, columns that hold no numbers, or none left.
    """
    if labels is not None and labels not in numeric:
        raise BadData(f"{path.name!r} has no column {labels!r} for data.labels. Its columns: {listed(list(numeric))}.")
    columns = [name for name in numeric if name != labels]
    odd = [name for name in columns if not numeric[name]]
    if odd:
        raise BadData(
            f"{path.name!r} has columns that are not numbers: {listed(odd)}. "
            f"Name one as labels with --set data.labels={odd[0][:60]}, or take them out."
        )
    if not columns:
        raise BadData(f"{path.name!r} has no numeric column beside the labels. Give at least one.")
    return columns


def column_of(path: Path, labels: str) -> Array:
    """The labels (N,) of a Parquet file alone, as whole numbers or words.

    Raises:
        BadData: some are missing.
    """
    from pyarrow import parquet

    with reading(path, "a .parquet table"), parquet.ParquetFile(path, read_dictionary=[labels]) as file:
        check_footer(file.metadata, path)
        return _labels(file.read(columns=[labels]).to_pandas()[labels], path)


def _labels(column: "pd.Series[int]", path: Path) -> Array:
    """A column as whole numbers or words."""
    from pandas.api.types import is_numeric_dtype

    missing = int(column.isna().sum())
    if missing:
        raise BadData(
            f"The labels column {column.name!r} of {path.name!r} has {missing} missing values. "
            "Fill them or take those rows out."
        )
    if is_numeric_dtype(column):
        return column.to_numpy()
    words = column.astype("category").cat
    names = np.array([str(word) for word in words.categories])
    longest = names.dtype.itemsize // 4
    if longest > LONGEST_WORD:
        raise BadData(
            f"The labels column {str(column.name)[:60]!r} of {path.name!r} holds words of up to {longest:,} "
            f"characters, but at most {LONGEST_WORD} are taken. Name another column."
        )
    return names[words.codes.to_numpy()]


def listed(names: list[str]) -> str:
    """At most eight names, quoted and cut."""
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(repr(name[:60]) for name in names[:8]) + more
