"""The interface of a source: raw examples that are read by ranges of rows, each with its identity.

An array in memory is a source like a file on disk. Values are interpreted in ``transforms``, and invalid examples
detected in ``samplers``.
"""

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from isthmus.data.base import Array, Location, SourceFile
from isthmus.data.formats.files import reading

BLOCK = 2**19
"""Bytes per read, unless the format sets its own blocks: half a MiB."""
SAMPLES, SAMPLE = 64, 2**16
"""Number of samples of a large file in its fingerprint, and size of each in bytes."""


class RawChunk(NamedTuple):
    """Raw examples (n, ...), and the index of each that could not be decoded, with the reason."""

    values: Array
    faults: Mapping[int, str] = {}


class Source(ABC):
    """Raw examples that can be read in any contiguous range.

    Attributes:
        name: name of the file or folder, for messages.
        shape: shape of one raw example.
        dtype: data type of the values.
        scattered: whether single rows are as inexpensive to read as ranges.
        brightest: value of full brightness, if the format of the files states it (255 for 8 bits, 65535 for 16);
            ``None`` if the values are plain numbers, or nothing but their data type is known.
        axes: meaning of the axes of one example, if the source knows it, in the letters of the option ``data.layout``
            without N: ``TC`` for windows of a recording, ``HWC``, ``FHW``; empty if they have to be found out.
        row_title: what the names of the rows are, such as ``file`` or the name of an index column.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scattered: bool = True
    brightest: float | None = None
    axes: str = ""
    row_title: str = ""

    @abstractmethod
    def __len__(self) -> int:
        """Number of examples."""

    @abstractmethod
    def read(self, start: int, stop: int, into: Array | None = None) -> RawChunk:
        """The examples ``start`` to ``stop``; a source that supports it reads them directly ``into`` an array.

        Raises:
            BadData: the file cannot be read; single examples that cannot be decoded are listed in the faults.
        """

    def pieces(self, values: int) -> Iterator[tuple[int, RawChunk]]:
        """All examples in order, about ``values`` values at a time, each piece with its first row."""
        step = max(1, values // max(1, math.prod(self.shape)))
        for start in range(0, len(self), step):
            yield start, self.read(start, min(start + step, len(self)))

    def at(self, rows: Array) -> RawChunk:
        """The examples at ``rows``, ascending; if single rows are expensive to read, each block is read once."""
        values = np.empty((len(rows), *self.shape), self.dtype)
        faults: dict[int, str] = {}
        cuts = self.cuts()
        blocks = np.searchsorted(cuts, rows, side="right") - 1
        index = 0
        while index < len(rows):
            end = index + 1
            while end < len(rows) and (
                rows[end] == rows[end - 1] + 1 if self.scattered else blocks[end] == blocks[index]
            ):
                end += 1
            first, last = int(rows[index]), int(rows[end - 1]) + 1
            chunk = self.read(first, last)
            picked = rows[index:end] - first
            values[index:end] = chunk.values[picked]
            faults |= {index + i: chunk.faults[row] for i, row in enumerate(picked.tolist()) if row in chunk.faults}
            index = end
        return RawChunk(values, faults)

    def cuts(self) -> Array:
        """Rows from 0 to the number of examples, ascending, between which ranges are inexpensive to read.

        By default ``BLOCK`` bytes apart, or one example if that is larger.
        """
        return np.append(np.arange(0, len(self), max(1, BLOCK // row_bytes(self))), len(self))

    def locate(self, row: int) -> Location:
        """Location of an example; by default its row in the file ``name``."""
        return Location(self.name, row)

    def labels_of(self, rows: Array) -> Array | None:
        """The labels of some examples as integers or strings, where known."""
        return None

    def groups(self) -> Array | None:
        """The group of each example (person, object), where known; a split keeps each group in one set."""
        return None

    def names_of(self, rows: Array) -> Array | None:
        """The names of some examples (file names, values of an index column), where they have any."""
        return None

    def inputs(self) -> "Source | None":
        """The given inputs of the examples, such as noisy images, if they are pairs of input and target."""
        return None

    def files(self) -> tuple[SourceFile, ...]:
        """Records of the files, with sampled fingerprints if they are large; empty for data in memory."""
        return ()


def copy_into(chunk: RawChunk, target: Array) -> None:
    """Copy a chunk to ``target``, unless it was read there."""
    if chunk.values is not target:
        target[:] = chunk.values


def row_bytes(source: Source) -> int:
    """Size of one raw example, in bytes."""
    return int(np.prod(source.shape, dtype=np.int64)) * source.dtype.itemsize


def sampled_file(path: Path) -> SourceFile:
    """Record of a large file: the SHA-256 of its size and of 64 samples spread evenly over it.

    The first and the last bytes are among them. A change between the samples is not detected.
    """
    with reading(path, "a file"), path.open("rb", buffering=0) as stream:
        size = path.stat().st_size
        digest = hashlib.sha256(str(size).encode())
        for start in np.linspace(0, max(0, size - SAMPLE), SAMPLES, dtype=np.int64).tolist():
            stream.seek(start)
            digest.update(stream.read(SAMPLE))
    return SourceFile(path.name, size, digest.hexdigest(), sampled=True)
