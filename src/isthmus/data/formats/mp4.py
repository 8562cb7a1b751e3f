"""Numbers of frames that an MP4 or MOV file declares, by its boxes: a decoder reserves memory for all of them."""

import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

HOLDERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf")
"""Boxes that hold other boxes, down to those that declare frames."""
COUNTS = {b"stsz": 8, b"stz2": 8, b"trun": 4}
"""Boxes that declare a number of frames, and where it is in them."""
DEEPEST, MOST_BOXES = 8, 2**20


class Box(NamedTuple):
    """A box: its kind, and where its content starts and ends in the file."""

    kind: bytes
    start: int
    stop: int


def declared_frames(stream: BinaryIO, size: int) -> int:
    """The number of frames, sounds and texts that all tracks of a file of ``size`` bytes declare."""
    total = 0
    for box in _boxes(stream, 0, size, DEEPEST):
        if box.kind in COUNTS:
            stream.seek(box.start + COUNTS[box.kind])
            count = stream.read(4)
            total += int.from_bytes(count, "big") if len(count) == 4 else 0
    return total


def _boxes(stream: BinaryIO, start: int, stop: int, depth: int) -> Iterator[Box]:
    """All boxes between two places, and those in them; reading ends at the first that is damaged."""
    for _ in range(MOST_BOXES):
        stream.seek(start)
        head = stream.read(16)
        if start + 8 > stop or len(head) < 8:
            return
        size, kind = struct.unpack(">I4s", head[:8])
        first = 8
        if size == 1 and len(head) == 16:
            size, first = int.from_bytes(head[8:], "big"), 16
        end = start + size if size else stop
        if end < start + first:
            return
        yield Box(kind, start + first, min(end, stop))
        if kind in HOLDERS and depth:
            yield from _boxes(stream, start + first, min(end, stop), depth - 1)
        start = end
