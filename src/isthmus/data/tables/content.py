"""A text file as characters: decompressed by its first bytes, within bounds, and decoded."""

import codecs
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO

from isthmus.data.storage.base import File, plain_name
from isthmus.data.storage.compressed import plain, start_of
from isthmus.errors import BadData, BadOption

LONGEST_LINE, PIECE = 2**26, 2**24
OTHERS = {b"PK\x03\x04": "zip", b"7z\xbc\xaf": "7-Zip", b"PAR1": "Parquet", b"\xd0\xcf\x11\xe0": "Excel"}
BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32"}
BOMS |= {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
UNDEFINED = b"\x81\x8d\x8f\x90\x9d"
"""Bytes without a character in Windows-1252."""


@dataclass(frozen=True)
class Content:
    """The characters of a text file.

    Args:
        file: the file.
        encoding: name of its encoding.
    """

    file: File
    encoding: str

    def open(self) -> IO[str]:
        """The characters as a stream, with line ends as in the file."""
        return io.TextIOWrapper(self.file.open(), encoding=self.encoding, newline="")

    @property
    def size(self) -> int:
        """Size in bytes, decompressed."""
        return self.file.size

    @property
    def compression(self) -> str:
        """How the file is compressed, or an empty string."""
        return self.file.compression

    def count(self, marks: str) -> int:
        """How often any of these characters of ASCII occurs, or more often."""
        return sum(piece.count(mark.encode()) for piece in _pieces(self.file) for mark in marks)


def kind_of(name: str) -> str:
    """The kind of table for messages, such as ``a .csv table``.

    >>> kind_of("a.csv.gz")
    'a .csv table'
    """
    ending = PurePosixPath(plain_name(name).removesuffix(".zip")).suffix
    return f"a {ending.lower()[:12]} table" if ending else "a text table"


def load(file: File, encoding: str = "auto") -> Content:
    """The content of a text file, decompressed if its first bytes say that it is compressed.

    Raises:
        BadData: it would expand too far, or is not text.
        BadOption: there is no such encoding.
    """
    file = plain(file)
    head = start_of(file, 8)
    for magic, name in OTHERS.items():
        if head.startswith(magic):
            raise BadData(
                f"{file.name!r} cannot be read as {kind_of(file.name)}: it is a file of {name}. Save it as text, or "
                "with the extension of its format."
            )
    return Content(file, _encoding(_pieces(file), file.name, encoding))


def _pieces(file: File) -> Iterator[bytes]:
    with file.open() as stream:
        while piece := stream.read(PIECE):
            yield piece


def _encoding(pieces: Iterator[bytes], name: str, encoding: str) -> str:
    """The encoding of a file: that of its first bytes, else UTF-8 if all of it is valid, else one of single bytes.

    Raises:
        BadData: the bytes are not text.
        BadOption: there is no such encoding.
    """
    first = next(pieces, b"")
    chosen = _checked(encoding) if encoding != "auto" else _by_start(first[: 2**16])
    decoder = codecs.getincrementaldecoder("utf-8")()
    valid, windows, zeros = True, True, False
    piece: bytes | None = first
    while piece:
        zeros = zeros or 0 in piece
        if valid and not chosen:
            try:
                decoder.decode(piece)
            except UnicodeDecodeError:
                valid = False
        windows = windows and (piece.isascii() or not any(byte in piece for byte in UNDEFINED))
        piece = next(pieces, None)
    if zeros and not (chosen or "").startswith(("utf-16", "utf-32", "utf_16", "utf_32")):
        raise BadData(
            f"{name!r} cannot be read as {kind_of(name)}: it holds zero bytes, which a text does not have. "
            "Check the file, or set its encoding with data.encoding."
        )
    if valid and not chosen:
        try:
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            valid = False
    return chosen or ("utf-8" if valid else "cp1252" if windows else "latin-1")


def _checked(encoding: str) -> str:
    try:
        info = codecs.lookup(encoding)
    except (LookupError, ValueError):
        info = None
    if info is None or not getattr(info, "_is_text_encoding", True):
        raise BadOption(f"data.encoding cannot be {encoding!r}. Use utf-8, utf-16, cp1252 or latin-1, for example.")
    return "utf-8-sig" if info.name == "utf-8" else info.name


def _by_start(start: bytes) -> str:
    """The encoding that a mark at the start tells, or the zero bytes of UTF-16 without one; else an empty string."""
    for mark, name in sorted(BOMS.items(), key=lambda pair: -len(pair[0])):
        if start.startswith(mark):
            return name
    even, odd = start[::2], start[1::2]
    if len(odd) > 1 and 2 * odd.count(0) > len(odd) and not even.count(0):
        return "utf-16-le"
    return "utf-16-be" if len(odd) > 1 and 2 * even.count(0) > len(even) and not odd.count(0) else ""
