"""Files on disk, and the files of a folder."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from isthmus.data.base import Array, SourceFile
from isthmus.data.formats.files import check_inside, reading, source_file
from isthmus.data.storage.base import File, Tree
from isthmus.data.storage.names import Names, is_junk, natural
from isthmus.errors import BadData


class DiskFile(File):
    """A plain file on disk.

    Args:
        path: where it lies.
        name: its name, for messages; that of the path if empty.
        origin: the address that it is a copy of; the path if empty.

    Raises:
        BadData: it does not exist or cannot be read.
    """

    path: Path

    def __init__(self, path: Path, name: str = "", origin: str = "") -> None:
        self.path, self.name, self.origin = path, name or path.name, origin or str(path)
        with reading(self.name, "a file"):
            self.size = self.packed = path.stat().st_size

    def open(self) -> BinaryIO:
        """A new stream of its bytes."""
        return cast(BinaryIO, self.path.open("rb"))

    def record(self) -> SourceFile:
        """Name, size and checksum."""
        return source_file(self.path)

    def beside(self, name: str) -> "DiskFile | None":
        """Another file in the same folder."""
        path = self.path.with_name(name)
        if not path.is_file():
            return None
        check_inside(path, path.parent)
        return DiskFile(path)


class DiskTree(Tree):
    """All files of a folder at any depth, in natural order.

    Pipes and devices are left out, and so are links to folders inside the folder, whose files are listed anyway.

    Raises:
        BadData: the folder cannot be read, holds too many files, or has a link that leads out of it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.name, self.origin = folder, folder.name, str(folder)
        with reading(self.name, "a folder"):
            self._names = Names(_walked(folder), f"The folder {self.name!r}")

    def __len__(self) -> int:
        """Number of files."""
        return len(self._names)

    def names(self, rows: Array) -> list[str]:
        """Relative paths of some files."""
        return self._names.of(rows)

    def size(self, row: int) -> int:
        """Number of bytes of a file."""
        return self.path(row).stat().st_size

    def packed(self, row: int) -> int:
        """Number of bytes of a file."""
        return self.size(row)

    def open(self, row: int) -> BinaryIO:
        """A stream of the bytes of a file.

        Raises:
            BadData: it cannot be read, is no file any more, or leads out of the folder.
        """
        name = self._names[row]
        path = self.folder / name
        with reading(name, "a file"):
            found = path.lstat().st_mode
            if not stat.S_ISREG(found):
                check_inside(path, self.folder)
                # a pipe would block until somebody writes to it
                if not path.is_file():
                    raise BadData(f"{name!r} in {self.name!r} is not a file any more. Create it again.")
            return cast(BinaryIO, path.open("rb"))

    def file(self, row: int) -> DiskFile:
        """One of the files."""
        return DiskFile(self.path(row), self._names[row])

    def path(self, row: int) -> Path:
        """Where a file lies."""
        return self.folder / self._names[row]


def _walked(folder: Path) -> Iterator[str]:
    """Relative paths of all files, in natural order: only one folder at each depth is in memory at a time."""
    open_folders = [iter(_entries(folder, ""))]
    while open_folders:
        found = next(open_folders[-1], None)
        if found is None:
            open_folders.pop()
        elif found[1]:
            open_folders.append(iter(_entries(folder, f"{found[0]}/")))
        else:
            yield found[0]


def _entries(root: Path, below: str) -> list[tuple[str, bool]]:
    """The files and folders in one folder in natural order, as relative path and whether it is a folder.

    Raises:
        BadData: one is a link that leads out of the root.
    """
    found = []
    with os.scandir(root / below) as entries:
        for entry in entries:
            if is_junk(entry.name):
                continue
            if entry.is_symlink():
                check_inside(Path(entry.path), root)
            is_folder = entry.is_dir(follow_symlinks=False)
            if is_folder or entry.is_file():
                found.append((f"{below}{entry.name}", is_folder))
    return sorted(found, key=lambda pair: natural(pair[0]))


def rows_of(tree: Tree) -> Array:
    """The rows of all files of a tree."""
    return np.arange(len(tree))
