"""Concatenation of sources: the shards of a folder, or the splits of a data set."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from isthmus.data.base import Array, Location, SourceFile
from isthmus.data.sources.base import RawChunk, Source, copy_into
from isthmus.data.sources.recordings import Recordings
from isthmus.errors import BadData


class Joined(Source):
    """Concatenation of sources of one shape and data type, such as the shards of a folder.

    Args:
        name: name of the whole, for messages.
        sources: the sources.
        names: name of each as a recording; its own if empty.
        labels: label of all examples of each; those that the sources know if empty.
        grouped: whether the examples of each are a group.
        prefixed: whether the names of examples begin with that of their source, as those of several videos.

    Raises:
        BadData: sources that differ in shape or type.
    """

    def __init__(
        self,
        name: str,
        sources: Sequence[Source],
        names: Sequence[str] = (),
        labels: Sequence[str] = (),
        *,
        grouped: bool = False,
        prefixed: bool = False,
    ) -> None:
        self.name, self.sources, self.grouped, self.prefixed = name, sources, grouped, prefixed
        self.names, self.labels = names or [source.name for source in sources], np.array(labels)
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
        if prefixed:
            self.row_title = "file"
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
        if len(self.labels):
            return np.asarray(self.labels[np.searchsorted(self.starts, rows, side="right") - 1])
        return self._gathered(rows, lambda source, own: source.labels_of(own))

    def names_of(self, rows: Array) -> Array | None:
        """The names of some examples, or ``None`` if a source has none."""
        found = self._gathered(rows, lambda source, own: source.names_of(own))
        if not self.prefixed or found is None:
            return found
        numbers = np.searchsorted(self.starts, rows, side="right") - 1
        return np.array([f"{self.names[n]}:{name}" for n, name in zip(numbers.tolist(), found.tolist(), strict=True)])

    def _gathered(self, rows: Array, get: Callable[[Source, Array], Array | None]) -> Array | None:
        """What each source knows about its own rows, in the order of ``rows``."""
        numbers = np.searchsorted(self.starts, rows, side="right") - 1
        found: list[Any] = [None] * len(rows)
        for number in np.unique(numbers):
            own = np.flatnonzero(numbers == number)
            known = get(self.sources[number], rows[own] - self.starts[number])
            if known is None:
                return None
            # lists of dates with nanoseconds would be numbers
            values = list(known) if known.dtype.kind in "mM" else known.tolist()
            for index, value in zip(own, values, strict=True):
                found[index] = value
        return np.array(found)

    def groups(self) -> Array | None:
        """The groups of all examples, or ``None`` if a source has none."""
        if self.grouped:
            return np.repeat(np.arange(len(self.sources)), np.diff(self.starts))
        found = [source.groups() for source in self.sources]
        return None if any(groups is None for groups in found) else np.concatenate([g for g in found if g is not None])

    def recordings(self) -> Recordings:
        """Those of all sources; a source that does not know of any is one."""
        starts: list[Array] = []
        names: list[str] = []
        for source, name, first in zip(self.sources, self.names, self.starts, strict=False):
            own = source.recordings() or Recordings(np.zeros(1, np.int64), [name])
            starts.append(own.starts + first)
            names += own.names
        return Recordings(np.concatenate(starts), names)

    def inputs(self) -> Source | None:
        """The given inputs of all examples, or ``None`` if a source has none."""
        found = [source.inputs() for source in self.sources]
        given = [source for source in found if source is not None]
        return Joined(self.name, given) if len(given) == len(found) else None

    def files(self) -> tuple[SourceFile, ...]:
        """The records of all files."""
        return tuple(file for source in self.sources for file in source.files())
