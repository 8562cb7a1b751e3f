"""Parquet files as a source: the numeric columns, read by row groups.

A row group is the smallest unit that can be read independently: a range inside one is decoded from the start of the
group, or from the end of the previous range. Large groups cost time and the quality of the shuffle, but not memory.
"""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from isthmus.data.base import Array, Location, SourceFile
from isthmus.data.formats.files import reading
from isthmus.data.streaming.sources import RawChunk, sampled_file
from isthmus.errors import BadData, MissingExtra

if TYPE_CHECKING:
    import pyarrow as pa

DECODED = 2**23
"""Bytes that are decoded at a time: 8 MiB."""


class ParquetFile:
    """A ``.parquet`` file of D numeric columns, as float64; missing cells are NaN.

    Args:
        path: the file.
        column: column of the labels, excluded from x, if any.

    Raises:
        BadData: the file is damaged, has columns that are not numeric, or has no column of that name.
        MissingExtra: pyarrow is not installed.
    """

    scattered = False
    dtype: np.dtype[Any] = np.dtype(np.float64)

    def __init__(self, path: Path, column: str | None = None) -> None:
        self.path, self.name, self.column = path, path.name, column
        with reading(path, "a .parquet table"):
            self._metadata, schema = _opened(path)
            self._columns = _numeric(schema, path, column)
            groups = [self._metadata.row_group(n).num_rows for n in range(self._metadata.num_row_groups)]
            self._starts = np.cumsum([0, *groups])
        if not self._starts[-1]:
            raise BadData(f"{path.name!r} has no rows. Pass one row per example.")
        self.shape: tuple[int, ...] = (len(self._columns),)
        self._lock = threading.Lock()
        # row at which the decoder below continues
        self._next = -1
        self._rest: Iterator[Array] = iter(())
        self._known: Array | None = None

    def __len__(self) -> int:
        """Number of examples."""
        return int(self._starts[-1])

    def read(self, start: int, stop: int, into: Array | None = None) -> RawChunk:
        """The examples ``start`` to ``stop``.

        Raises:
            BadData: the file cannot be read.
        """
        values = np.empty((stop - start, *self.shape))
        done = 0
        with self._lock, reading(self.path, "a .parquet table"):
            first = self._starts[self._group(start)]
            if not first <= self._next <= start:
                self._next, self._rest = int(first), self._decoded(self._group(start))
            skip, self._next = start - self._next, -1
            for batch in self._rest:
                left = batch[skip:]
                skip -= len(batch) - len(left)
                count = min(len(left), len(values) - done)
                values[done : done + count] = left[:count]
                done += count
                if done == len(values):
                    self._rest, self._next = _prepended(left[count:], self._rest), stop
                    break
        if done < len(values):
            raise BadData(f"{self.path.name!r} ends before row {stop}. The file was changed; create it again.")
        return RawChunk(values)

    def _group(self, row: int) -> int:
        """Index of the row group of a row."""
        return int(np.searchsorted(self._starts, row, side="right")) - 1

    def _decoded(self, first: int) -> Iterator[Array]:
        """The rows from the start of a row group to the end of the file, some MiB at a time."""
        from pyarrow import parquet

        size = max(1, DECODED // (8 * len(self._columns)))
        # without read-ahead, so that only one row group is in memory
        with parquet.ParquetFile(self.path, metadata=self._metadata, pre_buffer=False) as file:
            for group in range(first, self._metadata.num_row_groups):
                for batch in file.iter_batches(size, row_groups=[group], columns=self._columns, use_threads=False):
                    yield _matrix(batch, self._columns)

    def cuts(self) -> Array:
        """Cuts between row groups."""
        return self._starts

    def locate(self, row: int) -> Location:
        """Location of an example."""
        return Location(self.path.name, row)

    def labels(self, rows: Array) -> Array | None:
        """The labels of some examples; the column is read once and kept."""
        if self.column is None:
            return None
        if self._known is None:
            from isthmus.data.formats.tables import column_of

            self._known = column_of(self.path, self.column)
        return self._known[rows]

    def files(self) -> tuple[SourceFile, ...]:
        """The record of the file."""
        return (sampled_file(self.path),)


def _prepended(rows: Array, rest: Iterator[Array]) -> Iterator[Array]:
    if len(rows):
        yield rows
    yield from rest


def _opened(path: Path) -> tuple[Any, "pa.Schema"]:
    """Footer and schema of a file.

    Raises:
        MissingExtra: pyarrow is not installed.
    """
    try:
        from pyarrow import parquet
    except ImportError as fault:
        raise MissingExtra(
            f"Reading {path.name!r} requires pandas and pyarrow, which are not installed. Install them with "
            "pip install 'isthmus[tabular]'."
        ) from fault
    with parquet.ParquetFile(path) as file:
        return file.metadata, file.schema_arrow


def _numeric(schema: "pa.Schema", path: Path, labels: str | None) -> list[str]:
    """Names of the columns of x, all numeric."""
    from isthmus.data.formats.tables import check_columns, numeric_columns

    return check_columns(numeric_columns(schema), path, labels)


def _matrix(batch: "pa.RecordBatch", columns: list[str]) -> Array:
    """The rows of a batch (n, D) as float64."""
    import pyarrow as pa
    from pyarrow import compute

    values = np.empty((len(batch), len(columns)))
    for number, name in enumerate(columns):
        column = compute.cast(batch.column(name), pa.float64(), safe=False)
        values[:, number] = column.to_numpy(zero_copy_only=False)
    return values
