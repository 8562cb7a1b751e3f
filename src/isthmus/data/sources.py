"""Raw examples that stay where they are: read row range by row range, never as a whole.

A source knows how many examples it has and reads any contiguous range of them; what the values mean, and which of
them are bad, is decided above it (``stored.py``). Other formats are in ``parquet.py`` and ``pictures.py``.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from isthmus.data.base import Array, Place, SourceFile
from isthmus.data.binary import npy_layout
from isthmus.data.files import reading
from isthmus.errors import BadData

BLOCK = 2**19
"""Bytes that are read at a time where nothing in the format says otherwise: half a MiB."""
SAMPLES, SAMPLE = 64, 2**16
"""Pieces of a large file that go into its fingerprint, and bytes of each."""


class Piece(NamedTuple):
    """Some raw examples (n, ...), and for each that could not be decoded its index and why."""

    values: Array
    faults: Mapping[int, str] = {}


class Source(Protocol):
    """Raw examples that can be read in any contiguous range.

    Attributes:
        name: of the file or folder, for messages.
        shape: of one raw example.
        dtype: of the values.
        scattered: whether single rows are as cheap to read as ranges.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scattered: bool

    def __len__(self) -> int:
        """Number of examples."""
        ...

    def read(self, start: int, stop: int, into: Array | None = None) -> Piece:
        """The examples ``start`` to ``stop``; where a source can, it reads them straight ``into`` an array.

        Raises:
            BadData: the file cannot be read; an example that alone cannot be decoded is a fault of the piece.
        """
        ...

    def cuts(self) -> Array:
        """The rows, rising from 0 to the number of examples, between which ranges are cheap to read."""
        ...

    def place(self, row: int) -> Place:
        """Where an example is."""
        ...

    def labels(self, rows: Array) -> Array | None:
        """The labels of some examples as whole numbers or words, where known."""
        ...

    def files(self) -> tuple[SourceFile, ...]:
        """The record of the files, with fingerprints that do not read all of them."""
        ...


class ArraySource:
    """An array that is in memory already, or mapped into it."""

    scattered = True

    def __init__(self, array: Array, name: str = "array", *, file: str = "", first: int = 0) -> None:
        self.array, self.name, self.file, self.first = array, name, file, first
        self.shape, self.dtype = array.shape[1:], array.dtype

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.array)

    def read(self, start: int, stop: int, into: Array | None = None) -> Piece:
        """The examples ``start`` to ``stop``, without a copy."""
        return Piece(np.asarray(self.array[start:stop]))

    def cuts(self) -> Array:
        """Every ``BLOCK`` bytes."""
        return even_cuts(len(self), self.shape, self.dtype)

    def place(self, row: int) -> Place:
        """Where an example is: counted from ``first``, and in no file unless one was named."""
        return Place(self.file, self.first + row)

    def labels(self, rows: Array) -> Array | None:
        """None are known."""
        return None

    def files(self) -> tuple[SourceFile, ...]:
        """No file of ours."""
        return ()


class NumpyFile:
    """A ``.npy`` file, read by position rather than mapped.

    A mapped file that is cut short meanwhile would end the process without a word; a read says so.

    Raises:
        BadData: the file is damaged, holds a pickle, or is laid out column by column.
    """

    scattered = True

    def __init__(self, path: Path) -> None:
        shape, self.dtype, self.offset, by_column = npy_layout(path)
        if len(shape) < 2 or 0 in shape:
            raise BadData(f"{path.name!r} has shape {shape}; one row to each of at least one example is needed.")
        if by_column and sum(length > 1 for length in shape) > 1:
            raise BadData(
                f"{path.name!r} is laid out column by column (Fortran order), so rows cannot be read alone. "
                "Save it again with numpy.ascontiguousarray, or set data.memory=whole."
            )
        self.path, self.name, self.count, self.shape = path, path.name, shape[0], shape[1:]

    def __len__(self) -> int:
        """Number of examples."""
        return self.count

    def read(self, start: int, stop: int, into: Array | None = None) -> Piece:
        """The examples ``start`` to ``stop``, straight ``into`` a contiguous array where one is given.

        Raises:
            BadData: the file is gone, cannot be read, or is shorter than it was.
        """
        values = np.empty((stop - start, *self.shape), self.dtype) if into is None else into
        view = values.reshape(-1).view(np.uint8).data
        with reading(self.path, "a .npy array"), self.path.open("rb", buffering=0) as stream:
            stream.seek(self.offset + start * row_bytes(self))
            done = 0
            while done < len(view):
                count = stream.readinto(view[done:])
                if not count:
                    raise BadData(f"{self.path.name!r} ends before row {stop}. The file was cut short; make it again.")
                done += count
        return Piece(values)

    def cuts(self) -> Array:
        """Every ``BLOCK`` bytes."""
        return even_cuts(len(self), self.shape, self.dtype)

    def place(self, row: int) -> Place:
        """Where an example is."""
        return Place(self.path.name, row)

    def labels(self, rows: Array) -> Array | None:
        """None are known."""
        return None

    def files(self) -> tuple[SourceFile, ...]:
        """The record of the file."""
        return (sampled_file(self.path),)


class Joined:
    """Sources one after the other, such as the shards of a folder; all of one shape and type.

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
                    f"the first in {name!r}, of shape {first.shape} and type {first.dtype}. Give all the same."
                )
        self.shape, self.dtype, self.scattered = first.shape, first.dtype, first.scattered
        self.starts = np.cumsum([0, *map(len, sources)])

    def __len__(self) -> int:
        """Number of examples."""
        return int(self.starts[-1])

    def _of(self, row: int) -> tuple[int, int]:
        """Which source holds a row, and where it begins."""
        number = bisect_right(self.starts, row) - 1
        return number, int(self.starts[number])

    def read(self, start: int, stop: int, into: Array | None = None) -> Piece:
        """The examples ``start`` to ``stop``, from as many sources as they span."""
        values = np.empty((stop - start, *self.shape), self.dtype) if into is None else into
        faults: dict[int, str] = {}
        row = start
        while row < stop:
            number, begins = self._of(row)
            end = min(stop, int(self.starts[number + 1]))
            place = values[row - start : end - start]
            piece = self.sources[number].read(row - begins, end - begins, place)
            put(piece, place)
            faults |= {index + row - start: why for index, why in piece.faults.items()}
            row = end
        return Piece(values, faults)

    def cuts(self) -> Array:
        """The cuts of all sources."""
        parts = [source.cuts()[1:] + start for source, start in zip(self.sources, self.starts, strict=False)]
        return np.concatenate([np.zeros(1, np.int64), *parts])

    def place(self, row: int) -> Place:
        """Where an example is, in the file that holds it."""
        number, begins = self._of(row)
        return self.sources[number].place(row - begins)

    def labels(self, rows: Array) -> Array | None:
        """The labels of some examples, where every source knows them."""
        numbers = np.searchsorted(self.starts, rows, side="right") - 1
        found: list[Any] = [None] * len(rows)
        for number in np.unique(numbers):
            here = np.flatnonzero(numbers == number)
            labels = self.sources[number].labels(rows[here] - self.starts[number])
            if labels is None:
                return None
            for index, label in zip(here, labels.tolist(), strict=True):
                found[index] = label
        return np.array(found)

    def files(self) -> tuple[SourceFile, ...]:
        """The records of all files."""
        return tuple(file for source in self.sources for file in source.files())


def put(piece: Piece, place: Array) -> None:
    """Copy a piece to its place, unless it was read there."""
    if piece.values is not place:
        place[:] = piece.values


def row_bytes(source: Source) -> int:
    """Bytes of one raw example."""
    return int(np.prod(source.shape, dtype=np.int64)) * source.dtype.itemsize


def even_cuts(count: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Rows from 0 to ``count`` between which lie ``BLOCK`` bytes, or one example where that is more."""
    rows = max(1, BLOCK // (int(np.prod(shape, dtype=np.int64)) * dtype.itemsize))
    return np.append(np.arange(0, count, rows), count)


def taken(source: Source, rows: Array) -> Piece:
    """Some examples by their rising row numbers; where single rows are dear, each block of them is read once."""
    values = np.empty((len(rows), *source.shape), source.dtype)
    faults: dict[int, str] = {}
    cuts = source.cuts()
    blocks = np.searchsorted(cuts, rows, side="right") - 1
    index = 0
    while index < len(rows):
        here = index + 1
        while here < len(rows) and not source.scattered and blocks[here] == blocks[index]:
            here += 1
        first, last = int(rows[index]), int(rows[here - 1]) + 1
        piece = source.read(first, last)
        picked = rows[index:here] - first
        values[index:here] = piece.values[picked]
        faults |= {index + i: piece.faults[row] for i, row in enumerate(picked.tolist()) if row in piece.faults}
        index = here
    return Piece(values, faults)


def sampled_file(path: Path) -> SourceFile:
    """The record of a large file: the SHA-256 of its size and of 64 pieces spread evenly over it, first and last too.

    A file that was changed in between only may keep its fingerprint; one of another size, or made anew, does not.
    """
    with reading(path, "a file"), path.open("rb", buffering=0) as stream:
        size = path.stat().st_size
        digest = hashlib.sha256(str(size).encode())
        for start in np.linspace(0, max(0, size - SAMPLE), SAMPLES, dtype=np.int64).tolist():
            stream.seek(start)
            digest.update(stream.read(SAMPLE))
    return SourceFile(path.name, size, digest.hexdigest(), sampled=True)
