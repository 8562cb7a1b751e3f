"""Readers of tables: ``.csv`` and ``.parquet``, through pandas.

Numeric columns become x; a column of words or whole numbers may be named as labels; nothing else is guessed.
"""

import csv
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from isthmus.data.base import Array
from isthmus.data.files import check_size, reading
from isthmus.errors import BadData, MissingExtra

if TYPE_CHECKING:
    import pandas as pd


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
        frame = _read_parquet(path) if parquet else _read_csv(path)
        if len(frame) == 0:
            raise BadData(f"{path.name!r} has no rows. Give one row to each example.")
        return _numbers(frame, path, labels), None if labels is None else _labels(frame[labels], path)


def _read_csv(path: Path) -> "pd.DataFrame":
    """The table of a comma-separated file; a first line of numbers is a row, unless it is 0,1,2..."""
    import pandas as pd

    check_size(path.stat().st_size, repr(path.name))
    with path.open(encoding="utf-8-sig", newline="") as stream:
        first = next(csv.reader(stream), [])
    # pandas names unnamed columns 0, 1, 2 ... when it writes them
    counted = len(first) > 2 and first == [str(column) for column in range(len(first))]
    headless = bool(first) and all(_is_number(cell) for cell in first) and not counted
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


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _read_parquet(path: Path) -> "pd.DataFrame":
    """The table of a Parquet file, whose size in memory is known from its footer."""
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        check_size(8 * file.metadata.num_rows * file.metadata.num_columns, repr(path.name))
        frame: pd.DataFrame = file.read().to_pandas()
    frame.columns = frame.columns.map(str)
    return frame


def _numbers(frame: "pd.DataFrame", path: Path, labels: str | None) -> Array:
    """All columns but ``labels`` as float64; missing cells are NaN."""
    from pandas.api.types import is_numeric_dtype

    columns = check_columns({name: is_numeric_dtype(frame[name]) for name in frame.columns}, path, labels)
    return frame[columns].to_numpy(dtype=np.float64, na_value=np.nan)


def check_columns(numeric: dict[str, bool], path: Path, labels: str | None) -> list[str]:
    """The columns of x: all but ``labels``; ``numeric`` says of each whether it holds numbers.

    Raises:
        BadData: no column of that name, columns that hold no numbers, or none left.
    """
    if labels is not None and labels not in numeric:
        raise BadData(f"{path.name!r} has no column {labels!r} for data.labels. Its columns: {_listed(list(numeric))}.")
    columns = [name for name in numeric if name != labels]
    odd = [name for name in columns if not numeric[name]]
    if odd:
        raise BadData(
            f"{path.name!r} has columns that are not numbers: {_listed(odd)}. "
            f"Name one as labels with --set data.labels={odd[0]}, or take them out."
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

    with reading(path, "a .parquet table"), parquet.ParquetFile(path) as file:
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
    return np.array([str(word) for word in column])


def _listed(names: list[str]) -> str:
    """At most eight names, quoted."""
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(repr(name) for name in names[:8]) + more
