"""Files in zip archives: the list of them is read in bounded memory, and each one as a stream of checked bytes."""

import io
import stat
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import numpy as np

from isthmus.data.formats.files import check_growth
from isthmus.data.storage.archives import ArchiveTree, Member, Members, check_members, cleaned, target_of
from isthmus.data.storage.streams import PIECE, SPILL, Held, sliced
from isthmus.errors import BadData

LONGEST_COMMENT, LONGEST_TARGET = 2**16, 2**12
STORED, DEFLATED, LOCKED = 0, 8, -1
ENCRYPTED, IN_UTF8 = 1, 0x800
END, END64, ENTRY, LOCAL = b"PK\5\6", b"PK\6\6", b"PK\1\2", b"PK\3\4"
MARKS = (LOCAL, END)
"""First bytes of a zip archive, and of one without files."""
FULL, FULL16 = 2**32 - 1, 2**16 - 1
"""Values that stand for a larger one elsewhere."""
LISTED = struct.Struct("<5xB2x2H4x3L4H2xLL")
"""An entry of the list: system, flags, compression, checksum, sizes, lengths of what follows, disk, mode and place."""
LOCAL_SIZE, UNIX = 30, 3


class _End(NamedTuple):
    """What the end of an archive says.

    Attributes:
        entries: number of entries.
        start: position of their list.
        length: its length in bytes.
        shift: number of bytes before the archive, by which positions are larger than they say.
    """

    entries: int
    start: int
    length: int
    shift: int


class ZipTree(ArchiveTree):
    """The files in a zip archive.

    Raises:
        BadData: it is damaged or encrypted, its files overlap, or names or links lead out of it.
    """

    kind = "zip"

    def _listed(self, stream: BinaryIO) -> tuple[Members, dict[str, str]]:
        where, size = repr(self.name), stream.seek(0, 2)
        end = _end(stream, size, where)
        check_members(end.entries, where)
        members, links = Members(where), Members(where)
        stream.seek(end.start)
        for name, member, mode in _entries(stream, end, where):
            if not name.endswith(("/", "\\")):
                (links if stat.S_ISLNK(mode) else members).add(cleaned(name, where), member)
        _check_places(members, links, end.start, where)
        return members, _targets(stream, links)

    def _opened(self, row: int) -> BinaryIO:
        where, member = f"{self._names[row][:200]!r} in {self.name!r}", self.member(row)
        with self.archive.open() as stream:
            if member.kind == STORED and member.size > SPILL:
                # read twice, because a wrong checksum is only known at the end
                for _ in _unpacked(stream, member, where):
                    pass
                return sliced(self.archive.open(), _start(stream, member.place, where), member.size)
            pieces = _unpacked(stream, member, where)
            return io.BytesIO(b"".join(pieces)) if member.size <= SPILL else Held(pieces, member.packed, where).open()


def _targets(stream: BinaryIO, links: Members) -> dict[str, str]:
    """The paths in the archive that its symbolic links lead to.

    Raises:
        BadData: one leads out of it.
    """
    targets = {}
    for name, *numbers in zip(links.names, *links.columns, strict=True):
        link, where = Member(*numbers), f"{name[:60]!r} in {links.where}"
        if link.size > LONGEST_TARGET:
            raise BadData(f"The link {where} has {link.size:,} bytes. Create the archive again.")
        target = b"".join(_unpacked(stream, link, where)).decode(errors="surrogateescape")
        targets[name] = target_of(name, target, links.where)
    return targets


def _end(stream: BinaryIO, size: int, where: str) -> _End:
    """The record at the end.

    Raises:
        BadData: there is none.
    """
    stream.seek(max(0, size - LONGEST_COMMENT - 22))
    tail = stream.read(LONGEST_COMMENT + 22)
    found = tail.rfind(END)
    if found < 0 or len(tail) - found < 22:
        raise BadData(f"{where} is no zip archive, or a truncated one: its end is missing. Create it again.")
    position = size - len(tail) + found
    _, disk, _, _, count, length, start = struct.unpack("<4s4H2L", tail[found : found + 20])
    if FULL in (length, start) or count == FULL16 or disk == FULL16:
        stream.seek(max(0, position - 20))
        mark, _, place, _ = struct.unpack("<4sLQL", stream.read(20).ljust(20))
        if mark == b"PK\6\7":
            # it precedes its locator, also where other bytes precede the archive
            for at in (position - 20 - 56, place):
                stream.seek(max(0, at))
                record = stream.read(56)
                if len(record) == 56 and record.startswith(END64):
                    disk, _, _, count, length, start = struct.unpack("<2L4Q", record[16:56])
                    position = max(0, at)
                    break
    if disk not in (0, FULL16) or length > position or start > position - length:
        raise BadData(f"{where} has a damaged end, or is a part of an archive of several files. Create it again.")
    return _End(count, position - length, length, position - length - start)


def _entries(stream: BinaryIO, end: _End, where: str) -> Iterator[tuple[str, Member, int]]:
    """The entries of the list at the end of an archive: name, member, and mode on Unix.

    Raises:
        BadData: the list is damaged.
    """
    left = end.length
    while left > 0:
        head = stream.read(46)
        if len(head) < 46 or not head.startswith(ENTRY):
            raise BadData(f"{where} has a damaged list of files. Create the archive again.")
        system, flags, kind, check, packed, size, named, more, comment, _, mode, place = LISTED.unpack(head)
        rest = stream.read(named + more + comment)
        left -= 46 + len(rest)
        if FULL in (packed, size, place):
            size, packed, place = _larger(rest[named : named + more], size, packed, place)
        name = _decoded(rest[:named], flags)
        member = Member(place + end.shift, packed, size, LOCKED if flags & ENCRYPTED else kind, check)
        yield name, member, mode >> 16 if system == UNIX else 0


def _check_kind(kind: int, where: str) -> None:
    """Refuse what cannot be decompressed.

    Raises:
        BadData: the file is encrypted, or compressed in a way that is not supported.
    """
    if kind == LOCKED:
        raise BadData(f"{where} is encrypted. Extract it with its password, and pass what you get.")
    if kind not in (STORED, DEFLATED):
        raise BadData(
            f"{where} is compressed in a way that is not supported (number {kind}). Extract it, and pass what you get."
        )


def _decoded(raw: bytes, flags: int) -> str:
    """A name: UTF-8 if it is so marked or valid, else the code page of DOS."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode(errors="surrogateescape") if flags & IN_UTF8 else raw.decode("cp437")


def _larger(extra: bytes, size: int, packed: int, place: int) -> tuple[int, int, int]:
    """The size, packed size and place of an entry of zip64: those that are full are in its extra field, in order."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == 1:
            values = struct.unpack_from(f"<{length // 8}Q", extra.ljust(at + 4 + length), at + 4)
            left = iter(values)
            found = [next(left, FULL) if value == FULL else value for value in (size, packed, place)]
            return found[0], found[1], found[2]
        at += 4 + length
    return size, packed, place


def _check_places(members: Members, links: Members, end: int, where: str) -> None:
    """Refuse files that overlap each other or the list of files.

    Raises:
        BadData: some do.
    """
    starts, packed = (np.array([*members.columns[n], *links.columns[n]], np.int64) for n in (0, 1))
    order = np.argsort(starts, kind="stable")
    stops = (starts + packed + LOCAL_SIZE)[order]
    if (stops[:-1] > starts[order][1:]).any() or (packed < 0).any() or (stops[-1:] > end).any():
        raise BadData(f"{where} holds files that overlap, as those of a decompression bomb do. Create it again.")


def _start(stream: BinaryIO, place: int, where: str) -> int:
    """Position of the bytes of a file, after its own header.

    Raises:
        BadData: there is no such header.
    """
    stream.seek(place)
    header = stream.read(LOCAL_SIZE)
    if len(header) < LOCAL_SIZE or not header.startswith(LOCAL):
        raise BadData(f"{where} has a damaged header. Create the archive again.")
    named, more = struct.unpack("<2H", header[26:30])
    return stream.seek(place + LOCAL_SIZE + int(named) + int(more))


def _unpacked(stream: BinaryIO, member: Member, where: str) -> Iterator[bytes]:
    """The bytes of a file, piece by piece; their number and checksum are those of the list.

    Raises:
        BadData: they are not, expand like a decompression bomb, are encrypted or compressed in an unknown way.
    """
    _check_kind(member.kind, where)
    check_growth(member.size, member.packed, where)
    _start(stream, member.place, where)
    pieces = _raw(stream, member.packed) if member.kind == STORED else _inflated(_raw(stream, member.packed))
    check = count = 0
    for piece in pieces:
        count += len(piece)
        if count > member.size:
            raise BadData(f"{where} has more bytes than the {member.size:,} declared, as a bomb does. Create it again.")
        check = zlib.crc32(piece, check)
        yield piece
    if count < member.size:
        raise BadData(f"{where} has {count:,} bytes, but {member.size:,} are declared. Create the archive again.")
    if check != member.check:
        raise BadData(f"{where} is damaged: its checksum is wrong. Create the archive again.")


def _raw(stream: BinaryIO, count: int) -> Iterator[bytes]:
    while count > 0:
        piece = stream.read(min(PIECE, count))
        if not piece:
            return
        count -= len(piece)
        yield piece


def _inflated(pieces: Iterator[bytes]) -> Iterator[bytes]:
    decoder = zlib.decompressobj(-15)
    for piece in pieces:
        left = piece
        while left and not decoder.eof:
            yield decoder.decompress(left, PIECE)
            left = decoder.unconsumed_tail
    while not decoder.eof and (more := decoder.decompress(b"", PIECE)):
        yield more
