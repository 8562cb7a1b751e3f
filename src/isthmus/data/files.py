"""What all readers share: faults turned into ``BadData``, checksums, and the largest size that is read at all.

Nothing here knows a file format.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from isthmus.data.base import SourceFile
from isthmus.errors import BadData, IsthmusError, one_line
from isthmus.files import sha256

LARGEST = 8 * 2**30
"""The most bytes that one data set may take in memory: 8 GiB."""
FREE, GROWTH = 2**28, 250
"""Bytes that packed data may always grow to (256 MiB), and how many times its size on the disk it may grow beyond."""


@contextmanager
def reading(path: Path, kind: str) -> Iterator[None]:
    """Turn whatever a decoder raises inside the block into one ``BadData`` sentence that names the file.

    Decoders of other libraries raise almost anything on damaged bytes (``struct.error``, ``zlib.error``,
    ``SyntaxError`` from Pillow ...), so every exception is taken; the original stays as its cause.

    Raises:
        BadData: for any exception but Isthmus's own, which pass unchanged.
    """
    try:
        yield
    except IsthmusError:
        raise
    except Exception as fault:
        raise BadData(
            f"{path.name!r} cannot be read as {kind}: {one_line(fault)}. "
            "Check that the file is whole and of that kind, or make it again."
        ) from fault


def source_file(path: Path) -> SourceFile:
    """The record of a file: name, size and checksum."""
    with reading(path, "a file"):
        return SourceFile(path.name, path.stat().st_size, sha256(path))


def check_size(needed: int, where: str) -> None:
    """Refuse what would take more than ``LARGEST`` bytes, before it is allocated.

    Raises:
        BadData: ``needed`` is above the limit.
    """
    if needed > LARGEST:
        raise BadData(
            f"{where} needs {needed / 2**30:,.1f} GiB in memory, but at most {LARGEST // 2**30} GiB are read. "
            "Give a smaller part of the data, or write it as .npy or .parquet: those may stay on the disk."
        )


def check_growth(needed: int, packed: int, where: str) -> None:
    """Refuse packed data that grows as only a decompression bomb does, before it is unpacked.

    Raises:
        BadData: ``needed`` bytes are more than ``GROWTH`` times the ``packed`` ones, and more than ``FREE``.
    """
    check_size(needed, where)
    if needed > max(FREE, GROWTH * packed):
        raise BadData(
            f"{where} would grow from {packed:,} bytes to {needed:,}, more than {GROWTH} times, as no data does. Give "
            "it unpacked if it is meant."
        )


def check_inside(path: Path, folder: Path) -> None:
    """Refuse a file or sub-folder of ``folder`` that is a link to another place.

    Raises:
        BadData: it leads out.
    """
    if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
        raise BadData(
            f"{path.name!r} in {folder.name!r} is a link that leads out of the folder. Copy what it leads to into it."
        )
