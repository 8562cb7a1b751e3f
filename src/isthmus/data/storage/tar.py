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
UNUSUAL = (b"size", b"linkpath", b"hdrcharset", b"GNU.sparse.major", b"GNU.sparse.name", b"GNU.sparse.size", b"charset")
"""Records that change how a file is read, other than its path."""
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
                raise BadData(
                    f"{where} holds {name[:60]!r} as a sparse file. Create the archive without the option sparse."
                )
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
    at, size = 0, stream.seek(0, io.SEEK_END)
    while True:
        info, following = _usual(stream, at) or _by_tarfile(stream, at)
        if info is None:
            break
        # a negative size would lead back to the same header forever
        if info.size < 0 or following <= at:
            raise BadData(f"{where} has a damaged header: a file of {info.size:,} bytes. Create it again.")
        if following > size:
            raise BadData(f"{where} ends too early. The archive was truncated; create it again.")
        at = following
        yield info
    stream.seek(at)
    # such a block ends the list for tarfile, as an empty one does
    if any(stream.read(BLOCK)):
        raise BadData(f"{where} is damaged after {at:,} bytes. Create the archive again.")


def _by_tarfile(stream: BinaryIO, at: int) -> tuple[tarfile.TarInfo | None, int]:
    """The entry at a position, or ``None`` at the end; and the position of the next one."""
    stream.seek(at)
    with tarfile.TarFile(fileobj=cast(BinaryIO, _Headers(stream))) as archive:
        return archive.next(), archive.offset


def _usual(stream: BinaryIO, at: int) -> tuple[tarfile.TarInfo, int] | None:
    """The entry at a position, and that of the next one, for files with usual headers: five times faster."""
    stream.seek(at)
    block, records = stream.read(BLOCK), dict[bytes, bytes]()
    head = _simple(block, at)
    if head is not None and block[156:157] == b"x" and head.size <= LONGEST_HEADER:
        records = _records(stream.read(_blocks(head.size))[: head.size])
        at += BLOCK + _blocks(head.size)
        block = stream.read(BLOCK)
        head = _simple(block, at)
    if head is None or block[156:157] == b"x" or not records.keys().isdisjoint(UNUSUAL):
        return None
    head.name = records.get(b"path", b"").decode(errors="surrogateescape") or head.name
    return None if head.name.endswith("/") else (head, at + BLOCK + _blocks(head.size))


def _blocks(size: int) -> int:
    """Bytes that so many bytes take in an archive."""
    return -(-size // BLOCK) * BLOCK


def _records(data: bytes) -> dict[bytes, bytes]:
    """The records of a header of POSIX, such as ``27 path=...``; damaged ones are unusual."""
    found = {}
    while data:
        length, _, rest = data.partition(b" ")
        if not length.isdigit() or not len(length) + 2 < int(length) <= len(data):
            return {b"size": b""}
        key, _, value = rest[: int(length) - len(length) - 2].partition(b"=")
        found[key], data = value, data[int(length) :]
    return found


def _simple(block: bytes, at: int) -> tarfile.TarInfo | None:
    """The header of a file, or of records about the next one, with nothing unusual in it; else ``None``."""
    if block[156:157] not in (b"0", b"\0", b"x") or block[257:262] != b"ustar":
        return None
    try:
        size, check = (int(block[start:stop].strip(b" \0"), 8) for start, stop in ((124, 136), (148, 156)))
    except ValueError:
        return None
    name, folder = (block[start:stop].partition(b"\0")[0] for start, stop in ((0, 100), (345, 500)))
    # the letters of GNU tar end with spaces, and its headers have other fields in place of the folder
    path = b"%s/%s" % (folder, name) if folder and block[262:263] == b"\0" else name
    if size < 0 or sum(block) - sum(block[148:156]) + 8 * ord(" ") != check:
        return None
    info = tarfile.TarInfo(path.decode(errors="surrogateescape"))
    info.size, info.offset_data = size, at + BLOCK
    return info
