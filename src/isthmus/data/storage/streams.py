"""Streams of bytes that lie inside others, or that were decompressed."""

import io
import os
import tempfile
import threading
from collections.abc import Callable, Iterable
from typing import BinaryIO, cast

from isthmus.data.formats.files import check_growth

PIECE = 2**20
"""Bytes that are read or decompressed at a time: 1 MiB."""
SPILL = 2**26
"""Bytes that are kept in memory; more are kept in a temporary file without a name: 64 MiB."""


class Slice(io.RawIOBase):
    """A stream of a range of bytes.

    Args:
        read_at: reads some bytes from a position.
        start: first position of the range.
        size: its length in bytes.
        close: called when the stream is closed.
    """

    def __init__(
        self, read_at: Callable[[int, int], bytes], start: int, size: int, close: Callable[[], None] = lambda: None
    ) -> None:
        self._read_at, self._start, self._size, self._close, self._at = read_at, start, size, close, 0

    def readable(self) -> bool:
        """Always true."""
        return True

    def seekable(self) -> bool:
        """Always true."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position, from 0."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError(f"negative position {base + offset}")
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        """The position, from 0."""
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read up to the length of a buffer."""
        wanted = max(0, min(len(buffer), self._size - self._at))
        data = self._read_at(self._start + self._at, wanted) if wanted else b""
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        """Close the stream."""
        if not self.closed:
            self._close()
        super().close()


def sliced(stream: BinaryIO, start: int, size: int) -> BinaryIO:
    """A stream of a range of another one, which is closed with it."""

    def read_at(position: int, count: int) -> bytes:
        stream.seek(position)
        return stream.read(count)

    return cast(BinaryIO, io.BufferedReader(Slice(read_at, start, size, stream.close)))


class Held:
    """Bytes that were decompressed: in memory, or in a temporary file without a name if they are many.

    Args:
        pieces: the bytes, piece by piece.
        packed: their size before, in bytes.
        where: the file, for messages.

    Raises:
        BadData: they expand like a decompression bomb.
    """

    def __init__(self, pieces: Iterable[bytes], packed: int, where: str) -> None:
        self._handle, self._data, self.size, self._lock = -1, b"", 0, threading.Lock()
        with tempfile.SpooledTemporaryFile(SPILL) as spool:
            for piece in pieces:
                self.size += len(piece)
                check_growth(self.size, packed, where)
                spool.write(piece)
            spool.seek(0)
            if self.size <= SPILL:
                self._data = spool.read()
            else:
                # the spool closes its own handle
                self._handle = os.dup(spool.fileno())

    def __del__(self) -> None:
        """Close the temporary file, which then is gone."""
        if self._handle >= 0:
            os.close(self._handle)

    def open(self) -> BinaryIO:
        """A new stream of the bytes, independent of others in other threads and processes."""
        if self._handle < 0:
            return io.BytesIO(self._data)
        return cast(BinaryIO, io.BufferedReader(Slice(self._read_at, 0, self.size), PIECE))

    def _read_at(self, position: int, count: int) -> bytes:
        if hasattr(os, "pread"):
            return os.pread(self._handle, count, position)
        with self._lock:  # Windows
            os.lseek(self._handle, position, os.SEEK_SET)
            return os.read(self._handle, count)
