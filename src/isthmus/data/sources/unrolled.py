"""Recordings of equal length as a source of their rows: (N, T, C) as N T rows of (C,), clips as their frames."""

import numpy as np

from isthmus.data.base import Array, Location, SourceFile
from isthmus.data.sources.arrays import Examples
from isthmus.data.sources.base import RawChunk, Source
from isthmus.data.sources.recordings import Recordings


class Unrolled(Source):
    """The rows of recordings that are the examples of another source, one recording after another.

    Args:
        source: the recordings.
        axis: axis of time in one of them.
    """

    def __init__(self, source: Source, axis: int = 0) -> None:
        self.source, self.axis = source, axis
        self.steps = source.shape[axis]
        left = source.shape[:axis] + source.shape[axis + 1 :]
        # (N, T) traces have rows of one number
        self.shape, self.dtype, self.name = left or (1,), source.dtype, source.name
        self.scattered, self.brightest = source.scattered, source.brightest

    def __len__(self) -> int:
        """Number of rows of all recordings."""
        return len(self.source) * self.steps

    def _unrolled(self, values: Array) -> Array:
        """The rows of recordings (n, ...)."""
        return np.moveaxis(values, self.axis + 1, 1).reshape(-1, *self.shape)

    def read(self, start: int, stop: int, into: Array | None = None) -> RawChunk:
        """The rows ``start`` to ``stop``, of whole recordings that are read."""
        first = start // self.steps
        chunk = self.source.read(first, -(-stop // self.steps))
        shift = start - first * self.steps
        every = {n * self.steps + row: why for n, why in chunk.faults.items() for row in range(self.steps)}
        faults = {row - shift: why for row, why in every.items() if 0 <= row - shift < stop - start}
        return RawChunk(self._unrolled(chunk.values)[shift : shift + stop - start], faults)

    @property
    def in_memory(self) -> bool:
        """Whether single rows are as inexpensive to read, in any order, as ranges."""
        return isinstance(self.source, Examples) and isinstance(self.source.x, np.ndarray)

    def at(self, rows: Array) -> RawChunk:
        """The rows at ``rows``; in any order if the recordings are in memory."""
        if not isinstance(self.source, Examples) or not self.in_memory:
            return super().at(rows)
        numbers, steps = np.divmod(rows, self.steps)
        # a view, of which only the wanted values are copied
        every = np.moveaxis(self.source.x, self.axis + 1, 1)
        faults = {i: self.source.faults[n] for i, n in enumerate(numbers.tolist()) if n in self.source.faults}
        return RawChunk(every[numbers, steps].reshape(len(rows), *self.shape), faults)

    def cuts(self) -> Array:
        """Cuts between recordings."""
        return self.source.cuts() * self.steps

    def locate(self, row: int) -> Location:
        """Location of the recording of a row."""
        return self.source.locate(row // self.steps)

    def labels_of(self, rows: Array) -> Array | None:
        """The labels of the recordings of some rows."""
        return self.source.labels_of(rows // self.steps)

    def recordings(self) -> Recordings:
        """The recordings, called by their names or numbers."""
        names = self.source.names_of(np.arange(len(self.source)))
        own = range(len(self.source)) if names is None else names.tolist()
        return Recordings(np.arange(len(self.source)) * self.steps, [str(name) for name in own])

    def inputs(self) -> Source | None:
        """The rows of the given inputs, if recordings are pairs of input and target."""
        given = self.source.inputs()
        return None if given is None else Unrolled(given, self.axis)

    def files(self) -> tuple[SourceFile, ...]:
        """Records of the files."""
        return self.source.files()
