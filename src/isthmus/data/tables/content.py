"""A text file as characters: decompressed by its first bytes, within bounds, and decoded."""

import bz2
import codecs
import gzip
import io
import lzma
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from isthmus.data.formats.files import check_growth
from isthmus.errors import BadData, BadOption

LONGEST_LINE, PIECE = 2**26, 2**24
DECODER_MEMORY = 2**28
"""Largest memory of an LZMA decoder: the header of its stream says how much it takes."""
COMPRESSIONS = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"PK\x03\x04": "zip"}
OTHERS = {b"\x28\xb5\x2f\xfd": "Zstandard", b"7z\xbc\xaf": "7-Zip", b"PAR1": "Parquet", b"\xd0\xcf\x11\xe0": "Excel"}
BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32"}
BOMS |= {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
UNDEFINED = b"\x81\x8d\x8f\x90\x9d"
"""Bytes without a character in Windows-1252."""


@dataclass(frozen=True)
class Content:
    """The characters of a text file.

    Args:
        path: the file.
        encoding: name of its encoding.
        compression: how it is compressed, or an empty string.
        data: its bytes, if it was compressed.
    """

    path: Path
    encoding: str
    compression: str = ""
    data: bytes | None = field(default=None, repr=False)

    def open(self) -> IO[str]:
        """The characters as a stream, with line ends as in the file."""
        raw: IO[bytes] = self.path.open("rb") if self.data is None else io.BytesIO(self.data)
        return io.TextIOWrapper(raw, encoding=self.encoding, newline="")

    @property
    def size(self) -> int:
        """Size in bytes, decompressed."""
        return self.path.stat().st_size if self.data is None else len(self.data)

    def count(self, marks: str) -> int:
        """How often any of these characters of ASCII occurs, or more often."""
        pieces = _pieces(self.path) if self.data is None else iter([self.data])
        return sum(piece.count(mark.encode()) for piece in pieces for mark in marks)


def kind_of(path: Path) -> str:
    """The kind of table for messages, such as ``a .csv table``.

    >>> kind_of(Path("a.csv.gz"))
    'a .csv table'
    """
    endings = [ending for ending in path.suffixes if ending.lower() not in (".gz", ".bz2", ".xz", ".zip")]
    return f"a {endings[-1].lower()[:12]} table" if endings else "a text table"


def load(path: Path, encoding: str = "auto") -> Content:
    """The content of a text file; of a compressed one, the bytes.

    Raises:
        BadData: it would expand too far, or is not text.
        BadOption: there is no such encoding.
    """
    with path.open("rb") as stream:
        head = stream.read(8)
    for magic, name in OTHERS.items():
        if head.startswith(magic):
            raise BadData(
                f"{path.name!r} cannot be read as {kind_of(path)}: it is a file of {name}. Save it as text, or with "
                "the extension of its format."
            )
    compression = next((name for magic, name in COMPRESSIONS.items() if head.startswith(magic)), "")
    data = _decompressed(path, compression) if compression else None
    pieces = iter([data]) if data is not None else _pieces(path)
    return Content(path, _encoding(pieces, path, encoding), compression, data)


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while piece := stream.read(PIECE):
            yield piece


def _decompressed(path: Path, compression: str) -> bytes:
    """All bytes of a compressed file.

    Raises:
        BadData: they are too many, or an archive does not hold exactly one file.
    """
    packed, out = path.stat().st_size, bytearray()
    openers = {"gzip": _ungzipped, "bzip2": _unpacked_bz2, "xz": _unpacked_xz, "zip": _unzipped}
    for piece in openers[compression](path):
        out += piece
        check_growth(len(out), packed, repr(path.name))
    return bytes(out)


def _ungzipped(path: Path) -> Iterator[bytes]:
    with gzip.open(path, "rb") as stream:
        while piece := stream.read(PIECE):
            yield piece


def _unpacked_bz2(path: Path) -> Iterator[bytes]:
    with bz2.open(path, "rb") as stream:
        while piece := stream.read(PIECE):
            yield piece


def _unpacked_xz(path: Path) -> Iterator[bytes]:
    """The pieces of an xz file, of one or several streams."""
    with path.open("rb") as stream:
        decoder, chunk = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=DECODER_MEMORY), stream.read(2**20)
        while chunk or not decoder.needs_input:
            yield decoder.decompress(chunk, PIECE)
            chunk = b""
            if decoder.eof:
                chunk = decoder.unused_data.lstrip(b"\0") or stream.read(2**20)
                if not chunk:
                    return
                decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=DECODER_MEMORY)
            elif decoder.needs_input:
                chunk = stream.read(2**20)
        if not decoder.eof:
            raise EOFError("the compressed data ends too early")


def _unzipped(path: Path) -> Iterator[bytes]:
    """The pieces of the only file in a zip archive."""
    with zipfile.ZipFile(path) as archive:
        members = [m for m in archive.infolist() if not m.is_dir() and not m.filename.startswith(("__MACOSX/", "."))]
        if any(member.filename == "[Content_Types].xml" for member in members):
            raise BadData(f"{path.name!r} is a workbook of Excel. Save its sheet as a .csv file.")
        if len(members) != 1:
            raise BadData(
                f"{path.name!r} holds {len(members)} files, but one table is expected. Extract it, and pass one."
            )
        if members[0].compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise BadData(
                f"{path.name!r} is compressed in a way that is not supported. Extract the table, and pass it."
            )
        check_growth(members[0].file_size, path.stat().st_size, repr(path.name))
        with archive.open(members[0]) as stream:
            while piece := stream.read(PIECE):
                yield piece


def _encoding(pieces: Iterator[bytes], path: Path, encoding: str) -> str:
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
            f"{path.name!r} cannot be read as {kind_of(path)}: it holds zero bytes, which a text does not have. "
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
