"""Files on disk, and the files of a folder."""

import io
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

SMALL = 2**20
"""Size of files that are read at once, in bytes: 1 MiB."""
READ_ONLY = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))


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

    def size(self, row: int) -> int:
        """Number of bytes of a file."""
        with reading(self._names[row], "a file"):
            # objects of paths take longer than the call
            return os.stat(f"{self.folder}{os.sep}{self._names[row]}").st_size  # noqa: PTH116

    def packed(self, row: int) -> int:
        """Number of bytes of a file."""
        return self.size(row)

    def open(self, row: int) -> BinaryIO:
        """A stream of the bytes of a file.

        Raises:
            BadData: it cannot be read, is no file any more, or leads out of the folder.
        """
        name = self._names[row]
        try:
            return _opened(f"{self.folder}{os.sep}{name}")
        except (_NoPlainFile, OSError):
            with reading(name, "a file"):
                check_inside(self.folder / name, self.folder)
                if (self.folder / name).exists() and not (self.folder / name).is_file():
                    raise BadData(f"{name!r} in {self.name!r} is not a file any more. Create it again.") from None
                return cast(BinaryIO, (self.folder / name).open("rb"))

    def file(self, row: int) -> DiskFile:
        """One of the files."""
        return DiskFile(self.path(row), self._names[row])

    def path(self, row: int) -> Path:
        """Where a file lies."""
        return self.folder / self._names[row]


class _NoPlainFile(Exception):
    """Something else than a plain file, such as a pipe or a folder."""


def _opened(path: str) -> BinaryIO:
    """The bytes of a plain file; a small one is read at once, which is faster than a file on disk for most decoders.

    Raises:
        _NoPlainFile: it is something else.
        OSError: it is a link, or cannot be read.
    """
    # a pipe would block until somebody writes to it
    handle = os.open(path, READ_ONLY)
    found = os.fstat(handle)
    if stat.S_ISREG(found.st_mode) and found.st_size > SMALL:
        return os.fdopen(handle, "rb")
    try:
        if not stat.S_ISREG(found.st_mode):
            raise _NoPlainFile
        data = os.read(handle, found.st_size)
        while len(data) < found.st_size and (more := os.read(handle, found.st_size)):
            data += more
    finally:
        os.close(handle)
    return io.BytesIO(data)


def _walked(folder: Path) -> Iterator[str]:
    """Relative paths of all files, in natural order: only one folder at each depth is in memory at a time."""
    open_folders = [_entries(folder, "")]
    while open_folders:
        found = next(open_folders[-1], None)
        if found is None:
            open_folders.pop()
        elif found[1]:
            open_folders.append(_entries(folder, f"{found[0]}/"))
        else:
            yield found[0]


def _entries(root: Path, below: str) -> Iterator[tuple[str, bool]]:
    """The files and folders in one folder in natural order, as relative path and whether it is a folder.

    Raises:
        BadData: one is a link that leads out of the root.
    """
    found, folders = [], set()
    with os.scandir(root / below) as entries:
        for entry in entries:
            if is_junk(entry.name):
                continue
            if entry.is_symlink():
                check_inside(Path(entry.path), root)
            if entry.is_dir(follow_symlinks=False):
                folders.add(entry.name)
            elif not entry.is_file():
                continue
            found.append(natural(entry.name))
    # the key of a name ends with it, so that a folder of a million files takes one object for each
    found.sort()
    for key in found:
        name = os.fsdecode(key[key.rindex(b"\0") + 1 :])
        yield f"{below}{name}", name in folders


def rows_of(tree: Tree) -> Array:
    """The rows of all files of a tree."""
    return np.arange(len(tree))
