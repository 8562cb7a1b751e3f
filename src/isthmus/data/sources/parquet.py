"""Parquet files as a source: the numeric columns, read by row groups.

A row group is the smallest unit that can be read independently: a range inside one is decoded from the start of the
group, or from the end of the previous range. Large groups cost time and the quality of the shuffle, but not memory.
"""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from isthmus.data.base import Array, SourceFile
from isthmus.data.formats.files import reading
from isthmus.data.sources.base import RawChunk, Source, sampled_file
from isthmus.data.storage.disk import DiskFile
from isthmus.data.tables.names import is_unnamed
from isthmus.data.tables.parquet import check_footer, columns_to_read, matrix_of_batch
from isthmus.data.tables.schema import Schema
from isthmus.data.transforms.labels import are_labels
from isthmus.errors import BadData

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

DECODED = 2**23
"""Bytes that are decoded at a time: 8 MiB."""


class ParquetFile(Source):
    """A ``.parquet`` file, as float64; missing cells are NaN.

    Args:
        path: the file.
        schema: columns of x, labels and names of rows.
        missing: numbers that mean a missing value.
        training: whether labels that cannot be used are refused; of new data they are left out.

    Raises:
        BadData: the file is damaged or holds no row.
    """

    scattered = False
    dtype: np.dtype[Any] = np.dtype(np.float64)

    def __init__(self, path: Path, schema: Schema, missing: tuple[float, ...] = (), *, training: bool = True) -> None:
        from pyarrow import parquet

        self.path, self.name, self.schema, self.missing = path, path.name, schema, missing
        with reading(path, "a .parquet table"):
            with parquet.ParquetFile(path) as file:
                self._metadata, self._found = file.metadata, set(file.schema_arrow.names)
                self._names = schema.index or _stored_index(file.schema_arrow)
            groups = [self._metadata.row_group(n).num_rows for n in range(self._metadata.num_row_groups)]
            self._starts = np.cumsum([0, *groups])
        if not self._starts[-1]:
            raise BadData(f"{path.name!r} has no rows. Pass one row per example.")
        self.shape, self._columns = (schema.width,), columns_to_read(path, schema)
        self.row_title = "" if self._names is None else row_title(self._names)
        self._lock = threading.Lock()
        # row at which the decoder below continues
        self._next = -1
        self._rest: Iterator[Array] = iter(())
        self._known: dict[str, Array | None] = {}
        self._training = training

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

        size = max(1, DECODED // (8 * max(1, len(self._columns))))
        # without read-ahead, so that only one row group is in memory
        with parquet.ParquetFile(self.path, metadata=self._metadata, pre_buffer=False) as file:
            for group in range(first, self._metadata.num_row_groups):
                for batch in file.iter_batches(size, row_groups=[group], columns=self._columns, use_threads=False):
                    yield matrix_of_batch(batch, self.schema, repr(self.name), self.missing)

    def cuts(self) -> Array:
        """Cuts between row groups."""
        return self._starts

    def labels_of(self, rows: Array) -> Array | None:
        """The labels of some examples; the column is read once and kept."""
        return self._column(self.schema.labels, rows)

    def names_of(self, rows: Array) -> Array | None:
        """The names of some examples, if the table has a column of these; it is read once and kept."""
        return self._column(self._names, rows)

    def _column(self, name: str | None, rows: Array) -> Array | None:
        """A column of labels or names."""
        if name is None or name not in self._found:
            return None
        if name not in self._known:
            from pyarrow import parquet

            with reading(self.path, "a .parquet table"), parquet.ParquetFile(self.path, read_dictionary=[name]) as file:
                check_footer(file.metadata, DiskFile(self.path))
                frame = file.read(columns=[name]).to_pandas(ignore_metadata=True)
            self._known[name] = self._labels(frame) if name == self.schema.labels else frame[name].to_numpy()
        values = self._known[name]
        return None if values is None else values[rows]

    def _labels(self, frame: "pd.DataFrame") -> Array | None:
        """The labels in a table."""
        labels = self.schema.labels_of(frame, repr(self.name), training=self._training)
        return labels if self._training or labels is None or are_labels(labels) else None

    def files(self) -> tuple[SourceFile, ...]:
        """The record of the file."""
        return (sampled_file(self.path),)


def _stored_index(schema: "pa.Schema") -> str | None:
    """The column in which pandas stored the index of the table, if it is a single one."""
    names = (schema.pandas_metadata or {}).get("index_columns", ())
    return names[0] if len(names) == 1 and isinstance(names[0], str) else None


def row_title(name: object) -> str:
    """What the names of rows in an index column ``name`` are called: ``index`` if it has no name."""
    return "index" if name is None or is_unnamed(str(name)) or str(name).startswith("__index") else str(name)


def _prepended(rows: Array, rest: Iterator[Array]) -> Iterator[Array]:
    if len(rows):
        yield rows
    yield from rest
