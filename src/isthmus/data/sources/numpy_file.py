"""A ``.npy`` file as a source."""

from pathlib import Path

import numpy as np

from isthmus.data.base import Array, SourceFile
from isthmus.data.formats.binary import npy_layout
from isthmus.data.formats.files import reading
from isthmus.data.sources.base import RawChunk, Source, row_bytes, sampled_file
from isthmus.data.storage.disk import DiskFile
from isthmus.errors import BadData


class NumpyFile(Source):
    """A ``.npy`` file, read by position instead of memory-mapped.

    Truncation of a memory-mapped file kills the process; that of a file that is read raises an error.

    Raises:
        BadData: the file is damaged, holds a pickle, or is in Fortran order.
    """

    def __init__(self, path: Path) -> None:
        shape, self.dtype, self.offset, by_column = npy_layout(DiskFile(path))
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

    def files(self) -> tuple[SourceFile, ...]:
        """The record of the file."""
        return (sampled_file(self.path),)
