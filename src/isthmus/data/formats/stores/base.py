"""The interface of a file of named arrays: what it holds is known from its headers, before any value is read."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from isthmus.data.base import Array
from isthmus.data.formats.files import check_growth, check_ratio, check_size
from isthmus.data.storage.base import File
from isthmus.errors import BadData, MissingExtra

MOST_ARRAYS = 10_000
"""Largest number of arrays of a file that are listed."""


@dataclass(frozen=True)
class Info:
    """What the header of an array says.

    Args:
        shape: its shape.
        dtype: data type of the array that is read.
        axes: names of its axes, if the file has them.
        chunk: rows that are stored together and decoded at a time; 0 if rows are read by position.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    axes: tuple[str, ...] = ()
    chunk: int = 0

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """Size of the array in memory."""
        return math.prod(self.shape) * self.dtype.itemsize


class ArrayStore(ABC):
    """A file of named arrays, opened anew for each reading.

    Attributes:
        kind: what the file is called in messages, such as ``an HDF5 file``.
        streams: whether ranges of rows of its arrays can be read.
        packs: whether arrays may be compressed, so that they are larger than the file.
        file: the file.
        name: its name, for messages.
        arrays: what can be read, by name.
        left_out: what is no array of numbers or texts, by name, and the sentence that says so.
    """

    kind: ClassVar[str]
    streams: ClassVar[bool] = False
    packs: ClassVar[bool] = False

    def __init__(self, file: File) -> None:
        self.file, self.name = file, file.name
        self.arrays: dict[str, Info] = {}
        self.left_out: dict[str, str] = {}

    @abstractmethod
    def read(self, key: str) -> Array:
        """One array.

        Raises:
            BadData: it is damaged, is too large, or expands like a decompression bomb.
        """

    def can_stream(self, key: str) -> bool:
        """Whether ranges of rows of an array can be read."""
        return self.streams

    def rows(self, key: str, start: int, stop: int) -> Array:
        """The rows ``start`` to ``stop`` of an array that can be streamed.

        Raises:
            BadData: they cannot be read.
        """
        return self.read(key)[start:stop]

    def add(self, key: str, info: Info) -> None:
        """List an array.

        Raises:
            BadData: the file holds too many, or its shape is nonsense.
        """
        if len(self.arrays) >= MOST_ARRAYS:
            raise BadData(
                f"{self.name!r} holds more than {MOST_ARRAYS:,} arrays. Save the one with the examples in its own file."
            )
        if any(length < 0 for length in info.shape):
            raise BadData(f"{self.where(key)} has a damaged header: its shape is {info.shape}. Create the file again.")
        self.arrays[key] = info

    def where(self, key: str) -> str:
        """An array in messages."""
        return f"{' '.join(key[:60].split())!r} in {self.name!r}"

    def check_arrays(self, *keys: str) -> None:
        """Refuse arrays that together are too large, or expand like a decompression bomb.

        Raises:
            BadData: they are.
        """
        needed = sum(self.arrays[key].nbytes for key in keys)
        where = self.where(keys[0]) if len(keys) == 1 else repr(self.name)
        if self.packs:
            # compared with the whole file, because the parts of a bomb may share the same few bytes
            check_growth(needed, self.file.packed, where)
        else:
            check_size(needed, where)

    def check_rows(self, key: str) -> None:
        """Refuse an array to be read by rows if one row is too large, or all expand like a decompression bomb.

        Raises:
            BadData: it is.
        """
        info = self.arrays[key]
        check_size(math.prod(info.shape[1:]) * info.dtype.itemsize, f"A row of {self.where(key)}")
        if self.packs:
            check_ratio(info.nbytes, self.file.packed, self.where(key))


def missing_extra(name: str, library: str, extra: str) -> MissingExtra:
    """The error for a file whose library is not installed."""
    return MissingExtra(
        f"Reading {name!r} requires {library}, which is not installed. Install it with pip install 'isthmus[{extra}]'."
    )
