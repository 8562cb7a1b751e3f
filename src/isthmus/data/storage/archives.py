"""The files in an archive as a tree: what zip and tar archives have in common."""

import posixpath
from abc import abstractmethod
from array import array
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from isthmus.data.base import Array, SourceFile
from isthmus.data.formats.files import reading
from isthmus.data.storage.base import File, Tree
from isthmus.data.storage.names import Names, check_count, is_junk, natural
from isthmus.errors import BadData

MOST_MEMBERS, MOST_LINKS = 2**21, 16
"""Largest number of files in an archive (2 million), and of links from one to the next."""


class Members:
    """The entries of an archive that are files, in about 40 bytes each and their names."""

    def __init__(self, where: str) -> None:
        self.where, self.names = where, list[str]()
        self.columns = [array("q") for _ in Member._fields]

    def add(self, name: str, member: "Member") -> None:
        """Add a file by its path in the archive.

        Raises:
            BadData: there are more than ``MOST_MEMBERS``.
        """
        self.names.append(name)
        check_members(len(self.names), self.where)
        for column, value in zip(self.columns, member, strict=True):
            column.append(value)


class Member(NamedTuple):
    """Where a file of an archive lies.

    Attributes:
        place: position of its bytes, or of its header before them.
        packed: number of bytes in the archive.
        size: number of bytes that a reader gets.
        kind: how it is compressed, as a number of the format.
        check: its checksum in the archive, if the format has one.
    """

    place: int
    packed: int
    size: int
    kind: int = 0
    check: int = 0


class ArchiveTree(Tree):
    """The files in an archive, read in place: their names are never used as those of files on disk.

    If all of them are in the same folder, their names start below it.

    Raises:
        BadData: it is damaged, holds too many files, or names that lead out of it.
    """

    kind = "archive"

    def __init__(self, file: File) -> None:
        self.archive, self.name, self.origin = file, file.name, file.origin
        with reading(file.name, f"a {self.kind} archive"), file.open() as stream:
            members, links = self._listed(stream)
            self._keep(members, links)

    @abstractmethod
    def _listed(self, stream: BinaryIO) -> tuple[Members, dict[str, str]]:
        """The files in the archive; and its links, by name, with their targets as paths in the archive."""

    @abstractmethod
    def _opened(self, row: int) -> BinaryIO:
        """The bytes of a file."""

    def size(self, row: int) -> int:
        """Number of bytes of a file, as declared."""
        return self.member(row).size

    def packed(self, row: int) -> int:
        """Number of bytes that a file takes in the archive."""
        return self.member(row).packed

    def open(self, row: int) -> BinaryIO:
        """A stream of the bytes of a file.

        Raises:
            BadData: it is damaged, or expands like a decompression bomb.
        """
        name = self._names[row]
        with reading(f"{name} in {self.name}", "a file"):
            return self._opened(row)

    def file(self, row: int) -> File:
        """One of the files."""
        return MemberFile(self, row)

    def record(self) -> SourceFile:
        """Name, size and checksum of the archive."""
        return self.archive.record()

    def member(self, row: int) -> Member:
        """Where a file lies."""
        return Member(*self._members[:, row].tolist())

    def _keep(self, members: Members, links: dict[str, str]) -> None:
        """Keep the files in natural order; of several with the same name the last one, as programs extract them."""
        where = repr(self.name)
        found = {name: index for index, name in enumerate(members.names)}
        found |= {name: found[target] for name, target in resolved(links, found, where).items() if name not in found}
        names = sorted((name for name in found if not any(map(is_junk, name.split("/")))), key=natural)
        self.common = _common(names)
        self._names = Names((name[len(self.common) :] for name in names), where)
        chosen = np.array([found[name] for name in names], np.int64)
        self._members: Array = np.array([np.frombuffer(column, np.int64)[chosen] for column in members.columns])


class MemberFile(File):
    """A file in an archive."""

    def __init__(self, tree: ArchiveTree, row: int) -> None:
        self._tree, self._row = tree, row
        self.name = tree.names(np.array([row]))[0]
        self.size, self.packed = tree.size(row), tree.packed(row)
        self.compression, self.origin = tree.kind, tree.origin

    def open(self) -> BinaryIO:
        """A new stream of its bytes."""
        return self._tree.open(self._row)

    def record(self) -> SourceFile:
        """Name, size and checksum of the archive."""
        return self._tree.record()

    def beside(self, name: str) -> File | None:
        """Another file in the same folder of the archive."""
        path = posixpath.join(posixpath.dirname(self.name), name)
        row = next((row for row in range(len(self._tree)) if self._tree.names(np.array([row])) == [path]), None)
        return None if row is None else self._tree.file(row)


def cleaned(name: str, where: str) -> str:
    """The path of a file in an archive with ``/`` between folders, without ``./``.

    Raises:
        BadData: it leads out of the archive, or is no path at all.
    """
    path = name.replace("\\", "/")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith("/") or ".." in parts or not parts or "\0" in path or parts[0][1:2] == ":":
        raise BadData(
            f"{where} holds a file with the path {name[:60]!r}, which leads out of the archive or is none. Create the "
            "archive again, with relative paths."
        )
    return "/".join(parts)


def target_of(link: str, target: str, where: str) -> str:
    """The path in the archive that a symbolic link leads to.

    Raises:
        BadData: it leads out of the archive.
    """
    path = posixpath.normpath(posixpath.join(posixpath.dirname(link), target))
    if path.startswith(("/", "../")) or path == "..":
        raise BadData(
            f"{where} holds a link {link[:60]!r} that leads out of the archive. Create the archive again with the file "
            "instead of the link (the option dereference of tar)."
        )
    return path


def resolved(links: dict[str, str], found: dict[str, Any], where: str) -> dict[str, str]:
    """The file that each link leads to, over other links too; those to folders or to nothing are left out.

    Raises:
        BadData: links lead in a circle.
    """
    known = {}
    for name in links:
        target, steps = name, 0
        while target in links and target not in found:
            target, steps = links[target], steps + 1
            if steps > MOST_LINKS:
                raise BadData(f"{where} holds a link {name[:60]!r} that leads in a circle. Create the archive again.")
        if target in found:
            known[name] = target
    return known


def _common(names: list[str]) -> str:
    """The folders that all files are in, with a ``/`` at the end, or an empty string.

    >>> _common(["a/b/1.png", "a/b/2.png"]), _common(["a/1.png", "b/1.png"])
    ('a/b/', '')
    """
    if not names:
        return ""
    # all others lie between these two
    first, last = min(names).split("/")[:-1], max(names).split("/")[:-1]
    depth = 0
    while depth < min(len(first), len(last)) and first[depth] == last[depth]:
        depth += 1
    return "".join(f"{part}/" for part in first[:depth])


def check_members(count: int, where: str) -> None:
    """Refuse an archive of more than ``MOST_MEMBERS`` files, whose list is kept in memory while it is read."""
    check_count(count, where, MOST_MEMBERS)
