"""The interface of a file, and of a tree of files, wherever they lie.

A reader opens a file as a stream, so that it need not know whether it lies on disk or in an archive. A file on disk has
a path too, for readers by position.
"""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import BinaryIO

from isthmus.data.base import Array, SourceFile


class File(ABC):
    """A file that can be opened.

    Attributes:
        name: its name, for messages; inside an archive, its path there.
        size: number of bytes that a reader gets, as declared.
        packed: number of bytes that it takes on disk.
        path: where it lies, if it is a plain file on disk.
    """

    name: str
    size: int
    packed: int
    path: Path | None = None

    @abstractmethod
    def open(self) -> BinaryIO:
        """A new stream of its bytes, which can seek.

        Raises:
            BadData: the file is damaged, or expands like a decompression bomb.
        """

    @abstractmethod
    def record(self) -> SourceFile:
        """Name, size and checksum."""

    @property
    def suffix(self) -> str:
        """Extension in lower case, such as ``.npy``."""
        return Path(self.name).suffix.lower()


class Tree(ABC):
    """Files by relative path, sorted in natural order: those of a folder with all its sub-folders, or of an archive.

    Attributes:
        name: name of the folder or archive, for messages.
    """

    name: str

    @abstractmethod
    def __len__(self) -> int:
        """Number of files."""

    @abstractmethod
    def names(self, rows: Array) -> list[str]:
        """Relative paths of some files, with ``/`` between folders."""

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
