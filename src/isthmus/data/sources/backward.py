"""The rows of each recording from the last to the first, for files that begin with the newest."""

import numpy as np

from isthmus.data.base import Array, Location, SourceFile
from isthmus.data.sources.base import RawChunk, Source, copy_into
from isthmus.data.sources.recordings import Recordings


class Backward(Source):
    """The rows of each recording of a source in the opposite order.

    Args:
        source: the rows.
        starts: first row of each recording, ascending from 0.
    """

    def __init__(self, source: Source, starts: Array) -> None:
        self.source, self.starts = source, starts
        self.name, self.dtype, self.shape = source.name, source.dtype, source.shape
        self.scattered, self.brightest = source.scattered, source.brightest
        self.axes, self.row_title = source.axes, source.row_title
        # a row and its opposite have this sum
        self._sums = starts + np.append(starts[1:], len(source)) - 1

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.source)

    def _opposite(self, rows: Array) -> Array:
        """The rows of the source that are these rows."""
        sums: Array = self._sums[np.searchsorted(self.starts, rows, side="right") - 1]
        return sums - rows

    def read(self, start: int, stop: int, into: Array | None = None) -> RawChunk:
        """The rows ``start`` to ``stop``."""
        values = np.empty((stop - start, *self.shape), self.dtype) if into is None else into
        rows = self._opposite(np.arange(start, stop))
        order = np.argsort(rows)
        chunk = self.source.at(rows[order])
        copy_into(RawChunk(chunk.values[np.argsort(order)]), values)
        return RawChunk(values, {int(order[index]): why for index, why in chunk.faults.items()})

    def locate(self, row: int) -> Location:
        """Location of a row in its file."""
        return self.source.locate(int(self._opposite(np.array([row]))[0]))

    def labels_of(self, rows: Array) -> Array | None:
        """The labels of some rows."""
        return self.source.labels_of(self._opposite(rows))

    def groups(self) -> Array | None:
        """The group of each row."""
        groups = self.source.groups()
        return None if groups is None else groups[self._opposite(np.arange(len(self)))]

    def names_of(self, rows: Array) -> Array | None:
        """The names of some rows."""
        return self.source.names_of(self._opposite(rows))

    def recordings(self) -> Recordings | None:
        """The recordings of the source."""
        return self.source.recordings()

    def inputs(self) -> Source | None:
        """The given inputs, if rows are pairs of input and target."""
        given = self.source.inputs()
        return None if given is None else Backward(given, self.starts)

    def files(self) -> tuple[SourceFile, ...]:
        """Records of the files."""
        return self.source.files()
