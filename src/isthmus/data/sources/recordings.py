"""Recordings: which rows of a source follow each other in time, so that windows can be cut from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from isthmus.data.base import Array

BLOCKS = 20
"""Blocks of time into which recordings are divided for a split, and number of recordings that need no such blocks."""
SHORTEST = 2
"""Length of a block of time, in windows: at least so many, so that most windows of a held-out block lie inside it."""


class Recordings(NamedTuple):
    """The recordings that a source holds one after another.

    Attributes:
        starts: first row of each, ascending, from 0.
        names: name of each, such as its file.
    """

    starts: Array
    names: Sequence[str]


@dataclass(frozen=True)
class Sections:
    """Ranges of consecutive rows, from which windows are cut.

    Args:
        starts: first row of each section, ascending.
        stops: row after the last of each.
        of: index of the recording of each.
        recordings: the recordings; their names are part of the names of windows if there are several.
    """

    starts: Array
    stops: Array
    of: Array
    recordings: Recordings

    @classmethod
    def cut(cls, rows: int, recordings: Recordings, breaks: Array) -> "Sections":
        """The sections of ``rows`` rows between the starts of recordings and further ``breaks``."""
        starts = np.union1d(recordings.starts, breaks).astype(np.int64)
        of = np.searchsorted(recordings.starts, starts, side="right") - 1
        return cls(starts, np.append(starts[1:], rows), of, recordings)

    @property
    def lengths(self) -> Array:
        """Number of rows of each section."""
        return self.stops - self.starts

    def counts(self, length: int, stride: int) -> Array:
        """Number of windows in each section."""
        return np.asarray(np.maximum(0, (self.lengths - length) // stride + 1))

    def blocks(self, length: int, stride: int, needed: int) -> Array:
        """First rows of blocks of time, about ``BLOCKS`` in all, and ``needed`` at least if sections are long enough.

        They begin at multiples of ``stride`` in their section, so that some window lies inside each.
        """
        rows = np.maximum(self.lengths, 1)
        wanted = np.maximum(1, np.rint(BLOCKS * rows / rows.sum()).astype(np.int64))
        numbers = np.maximum(1, np.minimum(wanted, rows // (SHORTEST * length)))
        if numbers.sum() >= needed:
            return self._in_parts(numbers, stride)
        # the second cannot be too short for a window, wherever its multiples of the stride lie
        few = [np.maximum(1, np.minimum(needed, rows // shortest)) for shortest in (length, length + stride - 1)]
        first, second = (self._in_parts(numbers, stride) for numbers in few)
        ends = np.append(first[1:], self.stops[-1])
        return first if (ends - first >= length).all() else second

    def _in_parts(self, numbers: Array, stride: int) -> Array:
        """First rows of each section in this number of parts of about equal length."""
        section = np.repeat(np.arange(len(numbers)), numbers)
        place = np.arange(len(section)) - np.repeat(np.cumsum(numbers) - numbers, numbers)
        starts: Array = self.starts[section] + place * self.lengths[section] // numbers[section] // stride * stride
        return starts
