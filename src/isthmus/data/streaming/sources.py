"""Sources: raw examples that are read by contiguous ranges of rows, never all at once.

Values are interpreted, and invalid examples detected, in ``lazy.py``. Other formats are in ``parquet.py`` and
``image_folder.py``.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from isthmus.data.base import Array, Location, SourceFile
from isthmus.data.formats.binary import npy_layout
from isthmus.data.formats.files import reading
from isthmus.errors import BadData

BLOCK = 2**19
"""Bytes per read, unless the format sets its own blocks: half a MiB."""
SAMPLES, SAMPLE = 64, 2**16
"""Number of samples of a large file in its fingerprint, and size of each in bytes."""


class RawChunk(NamedTuple):
    """Raw examples (n, ...), and the index of each that could not be decoded, with the reason."""

    values: Array
    faults: Mapping[int, str] = {}


class Source(Protocol):
    """Raw examples that can be read in any contiguous range.

    Attributes:
        name: name of the file or folder, for messages.
        shape: shape of one raw example.
        dtype: data type of the values.
        scattered: whether single rows are as inexpensive to read as ranges.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scattered: bool

    def __len__(self) -> int:
        """Number of examples."""
        ...

    def read(self, start: int, stop: int, into: Array | None = None) -> RawChunk:
        """The examples ``start`` to ``stop``; a source that supports it reads them directly ``into`` an array.

        Raises:
            BadData: the file cannot be read; single examples that cannot be decoded are listed in the faults.
        """
        ...

    def cuts(self) -> Array:
        """Rows from 0 to the number of examples, ascending, between which ranges are inexpensive to read."""
        ...

    def locate(self, row: int) -> Location:
        """Location of an example."""
        ...

    def labels(self, rows: Array) -> Array | None:
        """The labels of some examples as integers or strings, where known."""
        ...

    def files(self) -> tuple[SourceFile, ...]:
        """Records of the files, with sampled fingerprints."""
        ...


class ArraySource:
    """An array that is in memory or memory-mapped."""

    scattered = True

    def __init__(self, array: Array, name: str = "array", *, file: str = "", first: int = 0) -> None:
        self.array, self.name, self.file, self.first = array, name, file, first
        self.shape, self.dtype = array.shape[1:], array.dtype

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.array)

    def read(self, start: int, stop: int, into: Array | None = None) -> RawChunk:
        """The examples ``start`` to ``stop``, without a copy."""
        return RawChunk(np.asarray(self.array[start:stop]))

    def cuts(self) -> Array:
        """Cuts after every ``BLOCK`` bytes."""
        return even_cuts(len(self), self.shape, self.dtype)

    def locate(self, row: int) -> Location:
        """Location of an example: its row counted from ``first``, and the file if one was given."""
        return Location(self.file, self.first + row)

    def labels(self, rows: Array) -> Array | None:
        """Unknown: ``None``."""
        return None

    def files(self) -> tuple[SourceFile, ...]:
        """None: an array has no file."""
        return ()


class NumpyFile:
    """A ``.npy`` file, read by position instead of memory-mapped.

    Truncation of a memory-mapped file kills the process; that of a file that is read raises an error.

    Raises:
        BadData: the file is damaged, holds a pickle, or is in Fortran order.
    """

    scattered = True

    def __init__(self, path: Path) -> None:
        shape, self.dtype, self.offset, by_column = npy_layout(path)
        if len(shape) < 2 or 0 in shape:
            raise BadData(f"{path.name!r} has shape {shape}, but one row per example and at least one are required.")
        if by_column and sum(length > 1 for length in shape) > 1:
            raise BadData(
                f"{path.name!r} is in Fortran order (column by column), so rows cannot be read separately. "
                "Save it again with numpy.ascontiguousarray, or set data.memory=whole."
            )
        self.path, self.name, self.count, self.shape = path, path.name, shape[0], shape[1:]

    def __len__(self) -> int:
        """Number of examples."""
        return self.count

    def read(self, start: int, stop: int, into: Array | None = None) -> RawChunk:
        """The examples ``start`` to ``stop``, directly ``into`` a contiguous array if one is given.

        Raises:
            BadData: the file was removed, cannot be read, or was truncated.
        """
        values = np.empty((stop - start, *self.shape), self.dtype) if into is None else into
        view = values.reshape(-1).view(np.uint8).data
        with reading(self.path, "a .npy array"), self.path.open("rb", buffering=0) as stream:
            stream.seek(self.offset + start * row_bytes(self))
            done = 0
            while done < len(view):
                count = stream.readinto(view[done:])
                if not count:
                    raise BadData(
                        f"{self.path.name!r} ends before row {stop}. The file was truncated; create it again."
                    )
                done += count
        return RawChunk(values)

    def cuts(self) -> Array:
        """Cuts after every ``BLOCK`` bytes."""
        return even_cuts(len(self), self.shape, self.dtype)

    def locate(self, row: int) -> Location:
        """Location of an example."""
        return Location(self.path.name, row)

    def labels(self, rows: Array) -> Array | None:
        """Unknown: ``None``."""
        return None

    def files(self) -> tuple[SourceFile, ...]:
        """The record of the file."""
        return (sampled_file(self.path),)


class Joined:
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

    def labels(self, rows: Array) -> Array | None:
        """The labels of some examples, or ``None`` if a source has none."""
        numbers = np.searchsorted(self.starts, rows, side="right") - 1
        found: list[Any] = [None] * len(rows)
        for number in np.unique(numbers):
            own = np.flatnonzero(numbers == number)
            labels = self.sources[number].labels(rows[own] - self.starts[number])
            if labels is None:
                return None
            for index, label in zip(own, labels.tolist(), strict=True):
                found[index] = label
        return np.array(found)

    def files(self) -> tuple[SourceFile, ...]:
        """The records of all files."""
        return tuple(file for source in self.sources for file in source.files())


def copy_into(chunk: RawChunk, target: Array) -> None:
    """Copy a chunk to ``target``, unless it was read there."""
    if chunk.values is not target:
        target[:] = chunk.values


def row_bytes(source: Source) -> int:
    """Size of one raw example, in bytes."""
    return int(np.prod(source.shape, dtype=np.int64)) * source.dtype.itemsize


def even_cuts(count: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Rows from 0 to ``count``, ``BLOCK`` bytes apart, or one example if that is larger."""
    rows = max(1, BLOCK // (int(np.prod(shape, dtype=np.int64)) * dtype.itemsize))
    return np.append(np.arange(0, count, rows), count)


def read_rows(source: Source, rows: Array) -> RawChunk:
    """Some examples by ascending rows; if single rows are expensive to read, each block of rows is read once."""
    values = np.empty((len(rows), *source.shape), source.dtype)
    faults: dict[int, str] = {}
    cuts = source.cuts()
    blocks = np.searchsorted(cuts, rows, side="right") - 1
    index = 0
    while index < len(rows):
        end = index + 1
        while end < len(rows) and not source.scattered and blocks[end] == blocks[index]:
            end += 1
        first, last = int(rows[index]), int(rows[end - 1]) + 1
        chunk = source.read(first, last)
        picked = rows[index:end] - first
        values[index:end] = chunk.values[picked]
        faults |= {index + i: chunk.faults[row] for i, row in enumerate(picked.tolist()) if row in chunk.faults}
        index = end
    return RawChunk(values, faults)


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
