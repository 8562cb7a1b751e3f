"""The interface of a file, and of a tree of files, wherever they lie.

A reader opens a file as a stream, so that it need not know whether it lies on disk or in an archive. A file on disk has
a path too, for readers by position.
"""

import hashlib
from abc import ABC, abstractmethod
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

import numpy as np

from isthmus.data.base import Array, SourceFile
from isthmus.data.storage.names import Names


class File(ABC):
    """A file that can be opened.

    Attributes:
        name: its name, for messages; inside an archive, its path there.
        size: number of bytes that a reader gets; of a file in an archive, as declared.
        packed: number of bytes that it takes on disk.
        path: where it lies, if it is a plain file on disk.
        compression: how it is compressed, such as ``gzip``, or an empty string.
        ending: extension of its format, where its name has another one.
        origin: what is read again for the same bytes: a path, or an address; inside an archive, that of the archive.
    """

    name: str
    size: int
    packed: int
    path: Path | None = None
    compression: str = ""
    ending: str = ""
    origin: str = ""

    @abstractmethod
    def open(self) -> BinaryIO:
        """A new stream of its bytes, which can seek.

        Raises:
            BadData: the file is damaged, or expands like a decompression bomb.
        """

    @abstractmethod
    def record(self) -> SourceFile:
        """Name, size and checksum of the file on disk: of an archive, if it lies in one."""

    def beside(self, name: str) -> "File | None":
        """Another file in the same folder, by its name there; ``None`` if there is none, or no folder.

        Raises:
            BadData: it leads out of the folder.
        """
        return None

    @property
    def suffix(self) -> str:
        """Extension in lower case, such as ``.npy``; that of a compression is left out."""
        return self.ending or PurePosixPath(plain_name(self.name)).suffix.lower()


class Tree(ABC):
    """Files by relative path, sorted in natural order: those of a folder with all its sub-folders, or of an archive.

    Hidden files and those that systems add to folders are left out.

    Attributes:
        name: name of the folder or archive, for messages.
        origin: path or address that is opened again for the same files.
        common: folders that the names of all files of an archive start with there, which are left out of the names.
    """

    name: str
    origin: str = ""
    common: str = ""

    _names: Names

    def __len__(self) -> int:
        """Number of files."""
        return len(self._names)

    def names(self, rows: Array) -> list[str]:
        """Relative paths of some files, with ``/`` between folders."""
        return self._names.of(rows)

    def table(self) -> Names:
        """The paths of all files, with their folders and extensions as numbers."""
        return self._names

    @abstractmethod
    def size(self, row: int) -> int:
        """Number of bytes of a file, as declared."""

    @abstractmethod
    def packed(self, row: int) -> int:
        """Number of bytes that a file takes on disk."""

    @abstractmethod
    def open(self, row: int) -> BinaryIO:
        """A stream of the bytes of a file, which can seek.

        Raises:
            BadData: it is damaged or leads out of the tree.
        """

    @abstractmethod
    def file(self, row: int) -> File:
        """One of the files."""

    def record(self) -> SourceFile:
        """Name, size and checksum of all files: by their names and sizes."""
        digest, total = hashlib.sha256(), 0
        for row in range(len(self)):
            size = self.size(row)
            total += size
            digest.update(f"{self.names(np.array([row]))[0]} {size}\n".encode(errors="surrogateescape"))
        return SourceFile(self.name, total, digest.hexdigest(), sampled=True)


def digest_of(stream: BinaryIO) -> str:
    """SHA-256 of the bytes of a stream, 64 hexadecimal digits."""
    return hashlib.file_digest(cast(Any, stream), "sha256").hexdigest()


COMPRESSED = {".gz": "", ".bz2": "", ".xz": "", ".zst": ""}
"""Extensions of compressed files, with what they stand for."""
SHORT = {".tgz": ".tar", ".tbz": ".tar", ".tbz2": ".tar", ".txz": ".tar", ".tzst": ".tar"}
"""Extensions of compressed archives in one word."""


def plain_name(name: str) -> str:
    """The name of a file without the extension of its compression.

    >>> plain_name("a.csv.GZ"), plain_name("a.tgz"), plain_name("a.csv")
    ('a.csv', 'a.tar', 'a.csv')
    """
    for ending, stands_for in (COMPRESSED | SHORT).items():
        if name.lower().endswith(ending):
            return name[: -len(ending)] + stands_for
    return name
