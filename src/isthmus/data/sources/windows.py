"""Windows of consecutive rows as examples: time steps of recordings, frames of videos."""

import threading
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

import numpy as np

from isthmus.data.base import Array, Location, SourceFile, texts
from isthmus.data.sources.arrays import Examples
from isthmus.data.sources.base import RawChunk, Source, row_bytes
from isthmus.data.sources.recordings import BLOCKS, Recordings, Sections
from isthmus.data.sources.unrolled import Unrolled

FEW = 2**22
"""Labels that are counted at a time."""
LARGEST_BLOCK = 2**23
"""Bytes of windows between two cuts of a file that is read by its own blocks: 8 MiB."""


class Windows(Source):
    """Windows of ``length`` rows every ``stride`` rows, none of which spans two sections; of shape (length, *row).

    The rows of a section are read once and shared by its windows. The name of a window is that of its first row (its
    time), or the number of that row in its recording; its label is the most frequent one of its rows.

    Args:
        source: the rows.
        sections: ranges of rows from which windows are cut; those that are too short give none.
        length: rows of a window.
        stride: rows from the start of a window to that of the next.
        axes: letters of the axes of a window.
        blocks: first rows of blocks of time, whose rows a split keeps in one set.
    """

    def __init__(
        self,
        source: Source,
        sections: Sections,
        length: int,
        stride: int,
        axes: str,
        *,
        blocks: Array | None = None,
    ) -> None:
        counts = sections.counts(length, stride)
        kept = counts > 0
        self.source, self.length, self.stride, self.axes, self.blocks = source, length, stride, axes, blocks
        self.sections = replace(
            sections, starts=sections.starts[kept], stops=sections.stops[kept], of=sections.of[kept]
        )
        # windows before each section, and in all
        self.before = np.concatenate([[0], np.cumsum(counts[kept])])
        self.name, self.dtype, self.shape = source.name, source.dtype, (length, *source.shape)
        self.scattered, self.brightest = source.scattered, source.brightest
        several = len(sections.recordings.starts) > 1 and source.row_title != "file"
        self.row_title = "start" if several or not source.row_title else source.row_title
        self._several = several
        self._lock, self._tail = threading.Lock(), (0, np.empty((0, *source.shape), source.dtype))

    def __len__(self) -> int:
        """Number of windows."""
        return int(self.before[-1])

    @property
    def overlapping(self) -> bool:
        """Whether windows share rows."""
        return self.stride < self.length

    def starts(self, windows: Array) -> Array:
        """The first row of some windows."""
        section = np.searchsorted(self.before, windows, side="right") - 1
        first: Array = self.sections.starts[section] + (windows - self.before[section]) * self.stride
        return first

    def in_blocks(self, needed: int) -> "Windows":
        """These windows with blocks of time as groups, for a split into ``needed`` sets.

        They are returned unchanged if they share no row, if the source knows enough groups, or if each of many
        recordings is one.
        """
        groups = self.source.groups()
        if groups is not None and len(np.unique(groups)) >= needed:
            return self
        if not self.overlapping or len(self.sections.recordings.starts) >= BLOCKS:
            return self
        blocks = self.sections.blocks(self.length, self.stride, needed)
        return Windows(self.source, self.sections, self.length, self.stride, self.axes, blocks=blocks)

    def groups(self) -> Array | None:
        """The block of time in which each window starts, or the group of its first row, or one of many recordings."""
        first, groups = self.starts(np.arange(len(self))), self.source.groups()
        if self.blocks is not None:
            return self._block(first)
        if groups is not None:
            return groups[first]
        if len(self.sections.recordings.starts) < BLOCKS:
            return None
        return np.repeat(self.sections.of, np.diff(self.before))

    def end_groups(self) -> Array | None:
        """The block of time in which each window ends, or the group of its last row."""
        last, groups = self.starts(np.arange(len(self))) + self.length - 1, self.source.groups()
        if self.blocks is not None:
            return self._block(last)
        return None if groups is None else groups[last]

    def _block(self, rows: Array) -> Array:
        """The block of time of some rows."""
        assert self.blocks is not None
        return np.searchsorted(self.blocks, rows, side="right") - 1

    def read(self, start: int, stop: int, into: Array | None = None) -> RawChunk:
        """The windows ``start`` to ``stop``."""
        values = np.empty((stop - start, *self.shape), self.dtype) if into is None else into
        faults: dict[int, str] = {}
        done = start
        while done < stop:
            section = int(np.searchsorted(self.before, done, side="right")) - 1
            # rows between windows are not read
            end = min(stop, int(self.before[section + 1]) if self.stride <= self.length else done + 1)
            first = int(self.starts(np.array([done]))[0])
            chunk = self._rows(first, first + (end - done - 1) * self.stride + self.length)
            views = np.lib.stride_tricks.sliding_window_view(chunk.values, self.length, axis=0)[:: self.stride]
            values[done - start : end - start] = np.moveaxis(views, -1, 1)
            faults |= self._faults(chunk.faults, end - done, done - start)
            done = end
        return RawChunk(values, faults)

    def _faults(self, faults: Mapping[int, str], count: int, shift: int) -> dict[int, str]:
        """The faults of ``count`` windows that follow each other, by those of their rows."""
        found: dict[int, str] = {}
        for row, why in sorted(faults.items()):
            first = max(0, (row - self.length) // self.stride + 1)
            for window in range(first, min(count - 1, row // self.stride) + 1):
                found.setdefault(shift + window, why)
        return found

    def _rows(self, first: int, last: int) -> RawChunk:
        """Rows ``first`` to ``last``; where a file is read by blocks, those that were read last are kept for the next.

        So reading all windows in order reads each row once.
        """
        if self.source.scattered:
            return self.source.read(first, last)
        with self._lock:
            known, values = self._tail
            own = values[first - known :] if known <= first < known + len(values) < last else values[:0]
            chunk = self.source.read(first + len(own), last)
            if len(own):
                faults = {row + len(own): why for row, why in chunk.faults.items()}
                chunk = RawChunk(np.concatenate([own, chunk.values]), faults)
            kept = min(self.length, len(chunk.values)) if not chunk.faults else 0
            self._tail = (last - kept, chunk.values[len(chunk.values) - kept :].copy())
        return chunk

    def at(self, rows: Array) -> RawChunk:
        """The windows at ``rows``; in any order if the recordings are in memory."""
        source = self.source
        if not (isinstance(source, Examples) or (isinstance(source, Unrolled) and source.in_memory)):
            return super().at(rows)
        every = self.starts(rows)[:, None] + np.arange(self.length)
        chunk = self.source.at(every.reshape(-1))
        faults: dict[int, str] = {}
        for row, why in sorted(chunk.faults.items()):
            faults.setdefault(row // self.length, why)
        return RawChunk(chunk.values.reshape(len(rows), *self.shape), faults)

    def cuts(self) -> Array:
        """Cuts by the size of windows; those of a file that is read by its own blocks are among them."""
        if self.scattered:
            return super().cuts()
        cuts = self.source.cuts()
        section = np.clip(np.searchsorted(self.sections.starts, cuts, side="right") - 1, 0, None)
        inside = -(-np.maximum(0, cuts - self.sections.starts[section]) // self.stride)
        found = np.minimum(self.before[section] + inside, self.before[section + 1])
        step = max(1, LARGEST_BLOCK // row_bytes(self))
        edges = np.unique(np.concatenate([self.before, found]))
        return np.concatenate([*(np.arange(a, b, step) for a, b in pairwise(edges.tolist())), [len(self)]])

    def locate(self, row: int) -> Location:
        """Location of the first row of a window."""
        return self.source.locate(int(self.starts(np.array([row]))[0]))

    def names_of(self, rows: Array) -> Array:
        """The name of the first row of some windows; after that of the recording, if there are several."""
        first = self.starts(rows)
        section = np.searchsorted(self.before, rows, side="right") - 1
        recordings, own = self.sections.recordings, self.sections.of[section]
        times = self.source.names_of(first)
        if times is None:
            times = first - recordings.starts[own]
        if not self._several:
            return times
        return np.array([f"{recordings.names[n]}:{time}" for n, time in zip(own.tolist(), texts(times), strict=True)])

    def labels_of(self, rows: Array) -> Array | None:
        """The most frequent label of the rows of some windows, the first in order of equally frequent ones."""
        first = self.starts(rows)
        if not len(first):
            return self.source.labels_of(first)
        start = int(first.min())
        labels = self.source.labels_of(np.arange(start, int(first.max()) + self.length))
        if labels is None:
            return None
        kinds, codes = np.unique(labels, return_inverse=True)
        found = np.empty(len(rows), np.int64)
        step = max(1, FEW // (self.length + len(kinds)))
        for begin in range(0, len(rows), step):
            own = codes[first[begin : begin + step, None] - start + np.arange(self.length)]
            flat = own + len(kinds) * np.arange(len(own))[:, None]
            counts = np.bincount(flat.reshape(-1), minlength=len(own) * len(kinds)).reshape(len(own), -1)
            found[begin : begin + step] = counts.argmax(axis=1)
        return np.asarray(kinds[found])

    def recordings(self) -> Recordings:
        """The sections, each of which holds windows that follow each other."""
        names = [self.sections.recordings.names[n] for n in self.sections.of.tolist()]
        return Recordings(self.before[:-1], names)

    def inputs(self) -> Source | None:
        """Windows of the given inputs, if rows are pairs of input and target."""
        given = self.source.inputs()
        if given is None:
            return None
        return Windows(given, self.sections, self.length, self.stride, self.axes, blocks=self.blocks)

    def files(self) -> tuple[SourceFile, ...]:
        """Records of the files of the rows."""
        return self.source.files()
