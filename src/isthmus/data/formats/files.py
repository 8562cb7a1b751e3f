"""Shared by all readers: conversion of exceptions to ``BadData``, checksums, and size limits.

Nothing here depends on a file format.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from isthmus.data.base import SourceFile
from isthmus.errors import BadData, IsthmusError, one_line
from isthmus.files.atomic import sha256

LARGEST = 8 * 2**30
"""Largest size of a data set in memory, in bytes: 8 GiB."""
FREE, GROWTH = 2**28, 250
"""Size that compressed data may always expand to (256 MiB), and largest ratio to its size on disk beyond that."""


@contextmanager
def reading(name: str | Path, kind: str) -> Iterator[None]:
    """Convert any exception of a decoder inside the block to a ``BadData`` that names the file.

    Decoders of other libraries raise many types of exceptions on damaged bytes (``struct.error``, ``zlib.error``,
    ``SyntaxError`` from Pillow ...), so all are caught; the original is kept as the cause.

    Args:
        name: the file, or its name.
        kind: what it is read as, such as ``an IDX file``.

    Raises:
        BadData: for any exception except those of Isthmus, which are raised unchanged.
    """
    try:
        yield
    except IsthmusError:
        raise
    except Exception as fault:
        raise BadData(
            f"{name.name if isinstance(name, Path) else name!r} cannot be read as {kind}: {one_line(fault)}. "
            "Check that the file is complete and in that format, or create it again."
        ) from fault


def source_file(path: Path) -> SourceFile:
    """The record of a file: name, size and checksum."""
    with reading(path, "a file"):
        return SourceFile(path.name, path.stat().st_size, sha256(path))


def check_size(needed: int, where: str) -> None:
    """Refuse data of more than ``LARGEST`` bytes before it is allocated.

    Raises:
        BadData: ``needed`` is above the limit.
    """
    if needed > LARGEST:
        raise BadData(
            f"{where} needs {needed / 2**30:,.1f} GiB in memory, but at most {LARGEST // 2**30} GiB are read. "
            "Use a subset of the data, or save it as .npy or .parquet, which can be streamed from disk."
        )


def check_growth(needed: int, packed: int, where: str) -> None:
    """Refuse compressed data with the ratio of a decompression bomb before it is decompressed.

    Raises:
        BadData: ``needed`` bytes are more than ``GROWTH`` times the ``packed`` ones and more than ``FREE``.
    """
    check_size(needed, where)
    check_ratio(needed, packed, where)


def check_ratio(needed: int, packed: int, where: str) -> None:
    """Refuse data with the ratio of a decompression bomb, of any size: for data that is read in parts.

    Raises:
        BadData: ``needed`` bytes are more than ``GROWTH`` times the ``packed`` ones and more than ``FREE``.
    """
    if needed > max(FREE, GROWTH * packed):
        raise BadData(
            f"{where} would expand from {packed:,} bytes to {needed:,}, more than {GROWTH} times, as a decompression "
            "bomb does. If it is genuine, pass it uncompressed."
        )


def check_inside(path: Path, folder: Path) -> None:
    """Refuse a file or sub-folder of ``folder`` that is a link to a target outside it.

    Raises:
        BadData: the target is outside the folder.
    """
    if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
        raise BadData(
            f"{path.name!r} in {folder.name!r} is a link that leads out of the folder. Copy its target into the folder."
        )
