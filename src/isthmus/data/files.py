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
            "Give a smaller part of the data."
        )
