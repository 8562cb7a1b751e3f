"""Compressed files, recognized by their first bytes and decompressed within bounds."""

import bz2
import gzip
import lzma
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from isthmus.data.base import SourceFile
from isthmus.data.formats.files import reading
from isthmus.data.storage.base import File
from isthmus.data.storage.disk import DiskFile
from isthmus.data.storage.streams import PIECE, Held
from isthmus.errors import MissingExtra

DECODER_MEMORY = 2**28
"""Largest memory of an LZMA decoder: the header of its stream says how much it takes."""
MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "Zstandard"}
LONGEST_MAGIC = 10
BLOCKS = (b"1AY&SY", b"\x17\x72\x45\x38\x50\x90")
"""Start of the first block of bzip2, or of its end: a text may start with the letters BZh."""


def compression_of(head: bytes) -> str:
    """The compression of a file by its first ten bytes, or an empty string.

    >>> compression_of(gzip.compress(b"")), compression_of(b"BZh9,width")
    ('gzip', '')
    """
    found = next((name for magic, name in MAGIC.items() if head.startswith(magic)), "")
    return "" if found == "bzip2" and not head[4:10].startswith(BLOCKS) else found


def start_of(file: File, count: int) -> bytes:
    """The first bytes of a file."""
    with reading(file.name, "a file"), file.open() as stream:
        return stream.read(count)


def plain(file: File) -> File:
    """The file, decompressed if its first bytes say that it is compressed.

    Raises:
        BadData: it is damaged, or expands like a decompression bomb.
        MissingExtra: the library that decompresses it is not installed.
    """
    compression = compression_of(start_of(file, LONGEST_MAGIC))
    return CompressedFile(file, compression) if compression else file


def on_disk(path: Path) -> File:
    """A file on disk, decompressed if its first bytes say that it is compressed.

    Raises:
        BadData: it cannot be read, or expands like a decompression bomb.
        MissingExtra: the library that decompresses it is not installed.
    """
    return plain(DiskFile(path))


def in_one_piece(file: File) -> File:
    """The file; one in a zip archive is decompressed once, for readers that open it several times.

    Raises:
        BadData: it is damaged, or expands like a decompression bomb.
    """
    return CompressedFile(file, "zip") if file.compression == "zip" else file


class CompressedFile(File):
    """What is in a compressed file; it is decompressed when this is created.

    Raises:
        BadData: it is damaged, or expands like a decompression bomb.
        MissingExtra: the library that decompresses it is not installed.
    """

    def __init__(self, file: File, compression: str) -> None:
        self._file, self.name, self.compression, self.origin = file, file.name, compression, file.origin
        self.packed = file.packed
        with reading(file.name, f"a file of {compression}"), file.open() as stream:
            self._held = Held(PIECES[compression](stream), file.packed, repr(file.name))
        self.size = self._held.size

    def open(self) -> BinaryIO:
        """A new stream of the decompressed bytes."""
        return self._held.open()

    def record(self) -> SourceFile:
        """Name, size and checksum of the compressed file."""
        return self._file.record()

    def beside(self, name: str) -> File | None:
        """Another file in the same folder."""
        return self._file.beside(name)


def _ungzipped(raw: BinaryIO) -> Iterator[bytes]:
    return _pieces(cast(IO[bytes], gzip.GzipFile(fileobj=raw)))


def _unpacked_bz2(raw: BinaryIO) -> Iterator[bytes]:
    return _pieces(cast(IO[bytes], bz2.BZ2File(raw)))


def _pieces(stream: IO[bytes]) -> Iterator[bytes]:
    with stream:
        while piece := stream.read(PIECE):
            yield piece


def _unpacked_xz(stream: BinaryIO) -> Iterator[bytes]:
    """The pieces of an xz file, of one or several streams."""
    decoder, chunk = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=DECODER_MEMORY), stream.read(PIECE)
    while chunk or not decoder.needs_input:
        yield decoder.decompress(chunk, PIECE)
        chunk = b""
        if decoder.eof:
            chunk = decoder.unused_data.lstrip(b"\0") or stream.read(PIECE)
            if not chunk:
                return
            decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=DECODER_MEMORY)
        elif decoder.needs_input:
            chunk = stream.read(PIECE)
    if not decoder.eof:
        raise EOFError("the compressed data ends too early")


def _unpacked_zst(raw: BinaryIO) -> Iterator[bytes]:
    """The pieces of a file of Zstandard, through Arrow."""
    try:
        import pyarrow as pa
    except ImportError as fault:
        raise MissingExtra(
            "Reading a file of Zstandard requires pyarrow, which is not installed. Install it with "
            "pip install 'isthmus[tabular]', or decompress the file."
        ) from fault
    with pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd") as stream:
        while piece := stream.read(PIECE):
            yield bytes(piece)


PIECES: dict[str, Callable[[BinaryIO], Iterator[Any]]] = {
    "gzip": _ungzipped,
    "bzip2": _unpacked_bz2,
    "xz": _unpacked_xz,
    "Zstandard": _unpacked_zst,
    "zip": _pieces,
}
