"""An array of a file of named arrays as a source, read by ranges of rows."""

import threading
from typing import Self

import numpy as np

from isthmus.data.base import Array, Location, SourceFile
from isthmus.data.formats.stores.base import ArrayStore, Info
from isthmus.data.sources.base import BLOCK, RawChunk, Source, copy_into, row_bytes, sampled_file
from isthmus.errors import BadData


class StoredArray(Source):
    """One array of a file, such as a data set of an HDF5 file.

    The file is opened for each range, so a copy of this source in another process shares no position with it.

    Args:
        store: the file.
        key: name of the array.

    Raises:
        BadData: the array has fewer than two axes, no example, or more than the file can hold.
    """

    def __init__(self, store: ArrayStore, key: str) -> None:
        self.like: Info = store.arrays[key]
        if len(self.like.shape) < 2 or 0 in self.like.shape:
            raise BadData(
                f"{store.where(key)} has shape {self.like.shape}, but at least one row per example is required."
            )
        store.check_rows(key)
        self.store, self.key, self.name = store, key, store.name
        self.shape, self.dtype = self.like.shape[1:], self.like.dtype
        # decoding a chunk for one of its rows is expensive
        self.scattered = self.like.chunk == 0
        self._labels: Array | None = None
        self._lock = threading.Lock()

    def labeled(self, labels: Array | None) -> Self:
        """The same source with the class of each example, (N,).

        Raises:
            BadData: there is not one label per example.
        """
        if labels is not None and labels.shape != (len(self),):
            raise BadData(f"There are {len(self):,} examples in {self.name!r} but labels of shape {labels.shape}.")
        self._labels = labels
        return self

    def __len__(self) -> int:
        """Number of examples."""
        return self.like.shape[0]

    def read(self, start: int, stop: int, into: Array | None = None) -> RawChunk:
        """The examples ``start`` to ``stop``.

        Raises:
            BadData: the file was removed or changed, or cannot be read.
        """
        with self._lock:
            values = self.store.rows(self.key, start, stop)
        if values.shape != (stop - start, *self.shape):
            raise BadData(
                f"{self.store.where(self.key)} ends before row {stop}. The file was changed; create it again."
            )
        chunk = RawChunk(values.astype(self.dtype, copy=False))
        if into is None:
            return chunk
        copy_into(chunk, into)
        return RawChunk(into)

    def cuts(self) -> Array:
        """Cuts between the chunks of the file, so that each is decoded once; several small ones are read together."""
        if self.scattered:
            return super().cuts()
        step = self.like.chunk * max(1, BLOCK // (self.like.chunk * row_bytes(self)))
        return np.append(np.arange(0, len(self), step), len(self))

    def locate(self, row: int) -> Location:
        """Location of an example: its row in the array."""
        return Location(self.name, row)

    def labels_of(self, rows: Array) -> Array | None:
        """The labels of some examples, if there are any."""
        return None if self._labels is None else self._labels[rows]

    def files(self) -> tuple[SourceFile, ...]:
        """The record of the file."""
        file = self.store.file
        plain = file.path is not None and file.path.is_file()
        return (sampled_file(file.path) if plain and file.path is not None else file.record(),)
