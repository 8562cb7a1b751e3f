"""Concatenation of sources: the shards of a folder, or the splits of a data set."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from isthmus.data.base import Array, Location, SourceFile
from isthmus.data.sources.base import RawChunk, Source, copy_into
from isthmus.errors import BadData


class Joined(Source):
    """Concatenation of sources of one shape and data type, such as the shards of a folder.

    Raises:
        BadData: sources that differ in shape or type.
    """

    def __init__(self, name: str, sources: Sequence[Source]) -> None:
        self.name, self.sources = name, sources
        first = sources[0]
        for other in sources:
            if (other.shape, other.dtype) != (first.shape, first.dtype):
                raise BadData(
                    f"{other.name!r} holds examples of shape {other.shape} and type {other.dtype}, but {first.name!r}, "
                    f"the first in {name!r}, of shape {first.shape} and type {first.dtype}. Save all with "
                    "one shape and type."
                )
        self.shape, self.dtype, self.scattered = first.shape, first.dtype, first.scattered
        self.row_title, self.brightest, self.axes = first.row_title, first.brightest, first.axes
        self.starts = np.cumsum([0, *map(len, sources)])

    def __len__(self) -> int:
        """Number of examples."""
        return int(self.starts[-1])

    def _source_of(self, row: int) -> tuple[int, int]:
        """Index of the source of a row, and the first row of that source."""
        number = bisect_right(self.starts, row) - 1
        return number, int(self.starts[number])

    def read(self, start: int, stop: int, into: Array | None = None) -> RawChunk:
        """The examples ``start`` to ``stop``, from all sources that they span."""
        values = np.empty((stop - start, *self.shape), self.dtype) if into is None else into
        faults: dict[int, str] = {}
        row = start
        while row < stop:
            number, first = self._source_of(row)
            end = min(stop, int(self.starts[number + 1]))
            target = values[row - start : end - start]
            chunk = self.sources[number].read(row - first, end - first, target)
            copy_into(chunk, target)
            faults |= {index + row - start: why for index, why in chunk.faults.items()}
            row = end
        return RawChunk(values, faults)

    def cuts(self) -> Array:
        """The cuts of all sources."""
        cuts = [source.cuts()[1:] + start for source, start in zip(self.sources, self.starts, strict=False)]
        return np.concatenate([np.zeros(1, np.int64), *cuts])

    def locate(self, row: int) -> Location:
        """Location of an example in its own file."""
        number, first = self._source_of(row)
        return self.sources[number].locate(row - first)

    def labels_of(self, rows: Array) -> Array | None:
        """The labels of some examples, or ``None`` if a source has none."""
        return self._gathered(rows, lambda source, own: source.labels_of(own))

    def names_of(self, rows: Array) -> Array | None:
        """The names of some examples, or ``None`` if a source has none."""
        return self._gathered(rows, lambda source, own: source.names_of(own))

    def _gathered(self, rows: Array, get: Callable[[Source, Array], Array | None]) -> Array | None:
        """What each source knows about its own rows, in the order of ``rows``."""
        numbers = np.searchsorted(self.starts, rows, side="right") - 1
        found: list[Any] = [None] * len(rows)
        for number in np.unique(numbers):
            own = np.flatnonzero(numbers == number)
            known = get(self.sources[number], rows[own] - self.starts[number])
            if known is None:
                return None
            for index, value in zip(own, known.tolist(), strict=True):
                found[index] = value
        return np.array(found)

    def groups(self) -> Array | None:
        """The groups of all examples, or ``None`` if a source has none."""
        found = [source.groups() for source in self.sources]
        return None if any(groups is None for groups in found) else np.concatenate([g for g in found if g is not None])

    def inputs(self) -> Source | None:
        """The given inputs of all examples, or ``None`` if a source has none."""
        found = [source.inputs() for source in self.sources]
        given = [source for source in found if source is not None]
        return Joined(self.name, given) if len(given) == len(found) else None

    def files(self) -> tuple[SourceFile, ...]:
        """The records of all files."""
        return tuple(file for source in self.sources for file in source.files())
