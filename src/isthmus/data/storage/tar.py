"""Files in tar archives; a compressed archive is decompressed to a temporary file without a name first."""

import io
import tarfile
from collections.abc import Iterator
from typing import BinaryIO, cast

from isthmus.data.storage.archives import ArchiveTree, Member, Members, check_members, cleaned, target_of
from isthmus.data.storage.streams import sliced
from isthmus.errors import BadData

LONGEST_HEADER, BLOCK = 2**20, 512
"""Largest header of a file, in bytes, and the unit of the format."""
START = 257
"""Position of the letters ``ustar`` in a tar archive."""


class TarTree(ArchiveTree):
    """The files in a tar archive; devices and pipes are left out, and links are the files that they lead to.

    Raises:
        BadData: it is damaged, holds too many files, or names or links that lead out of it.
    """

    kind = "tar"

    def _listed(self, stream: BinaryIO) -> tuple[Members, dict[str, str]]:
        where, links = repr(self.name), dict[str, str]()
        members = Members(where)
        for count, info in enumerate(_headers(stream, where)):
            check_members(count + 1, where)
            if info.isdir():
                continue
            name = cleaned(info.name, where)
            if info.issparse():
                raise BadData(f"{where} holds {name[:60]!r} as a sparse file. Create the archive without --sparse.")
            if info.isreg():
                links.pop(name, None)
                members.add(name, Member(info.offset_data, info.size, info.size))
            elif info.issym():
                links[name] = target_of(name, info.linkname, where)
            elif info.islnk():
                links[name] = cleaned(info.linkname, where)
        return members, links

    def _opened(self, row: int) -> BinaryIO:
        stream, (start, size, *_) = self.archive.open(), self.member(row)
        if stream.seek(0, io.SEEK_END) < start + size:
            stream.close()
            raise BadData(f"{self.name!r} ends too early. The archive was truncated; create it again.")
        return sliced(stream, start, size)


class _Headers(io.RawIOBase):
    """The stream of an archive that refuses to read much at once: a header may declare any length."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= LONGEST_HEADER:
            raise ValueError(f"a header declares {size:,} bytes, at most {LONGEST_HEADER:,} are read")
        return self._stream.read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()


def _headers(stream: BinaryIO, where: str) -> Iterator[tarfile.TarInfo]:
    """The entries of an archive in order.

    Raises:
        BadData: the archive is damaged.
    """
    with tarfile.TarFile(fileobj=cast(BinaryIO, _Headers(stream))) as archive:
        at = -1
        while (info := archive.next()) is not None:
            # a negative size would lead back to the same header forever
            if info.size < 0 or archive.offset <= at:
                raise BadData(f"{where} has a damaged header: a file of {info.size:,} bytes. Create it again.")
            at = archive.offset
            archive.members.clear()  # type: ignore[attr-defined]
            yield info
        stream.seek(archive.offset)
        # such a block ends the list for tarfile, as an empty one does
        if any(stream.read(BLOCK)):
            raise BadData(f"{where} is damaged after {at:,} bytes. Create the archive again.")
