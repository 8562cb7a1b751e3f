"""The directories of a TIFF file, one for each page, read without following them in circles or without end."""

import json
import math
import struct
from typing import Any, BinaryIO, NamedTuple

from isthmus.errors import BadData

MOST_PAGES = 2**18
"""Largest number of pages that are counted."""
MOST_ENTRIES = 4096
MOST_VALUES = 2**18
"""Largest number of values of a tag that is read, and of entries of a directory."""
TYPES = {1: "B", 2: "s", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 16: "Q"}
SUBFILE, WIDTH, HEIGHT, BITS, PHOTOMETRIC, DESCRIPTION = 254, 256, 257, 258, 262, 270
ORIENTATION, SAMPLES, PLANAR, COLORMAP, EXTRA, KIND = 274, 277, 284, 320, 338, 339
TILE_WIDTH, TILE_HEIGHT = 322, 323
NO_VALUE = 42113
"""Tag of GDAL, for the number of pixels without a value."""
READ = {EXTRA, KIND, DESCRIPTION, NO_VALUE}.union(
    (SUBFILE, WIDTH, HEIGHT, BITS, PHOTOMETRIC, ORIENTATION, SAMPLES, PLANAR, COLORMAP, TILE_WIDTH, TILE_HEIGHT)
)
MOST_CHANNELS = 13
"""Most channels of an array whose rows are pages."""
SMALLER, MASK = 1, 4
"""Flags of directories that are no page: a smaller copy of one, and its mask."""


class Directory(NamedTuple):
    """A page: its number among all directories, and the values of its tags."""

    number: int
    tags: dict[int, tuple[Any, ...]]

    def one(self, tag: int, default: int = 0) -> int:
        """The first value of a tag."""
        found: int = (self.tags.get(tag) or (default,))[0]
        return found

    @property
    def missing(self) -> str:
        """The finite number of pixels without a value, as text, if one is stated."""
        text = bytes(self.tags.get(NO_VALUE, (b"",))[0]).rstrip(b"\0 ").decode("ascii", "replace").strip()
        try:
            return text if math.isfinite(float(text)) else ""
        except ValueError:
            return ""

    @property
    def samples(self) -> int:
        """Number of samples per pixel."""
        return self.one(SAMPLES, 1)

    @property
    def bits(self) -> tuple[int, ...]:
        """Different numbers of bits of the samples."""
        return tuple(sorted(set(self.tags.get(BITS, (1,)))))

    @property
    def kinds(self) -> tuple[int, ...]:
        """Different kinds of the samples: 1 unsigned, 2 signed, 3 floating-point."""
        return tuple(sorted(set(self.tags.get(KIND, (1,)))))


class _Words(NamedTuple):
    """Formats of the numbers of a file: byte order, count of entries, an entry, an offset and bytes kept inside."""

    order: str
    entries: str
    entry: str
    offset: str
    inside: int


def directories(stream: BinaryIO, name: str) -> list[Directory]:
    """The pages of a TIFF file, without smaller copies of pages and masks.

    Raises:
        BadData: the file is damaged, has no page, has its pages in a circle, or more than ``MOST_PAGES``.
    """
    stream.seek(0)
    words, position = _start(stream, name)
    found: list[Directory] = []
    seen: set[int] = set()
    number = 0
    while position:
        if position in seen or len(seen) >= MOST_PAGES:
            why = "leads in a circle" if position in seen else f"has more than {MOST_PAGES:,} pages"
            raise BadData(f"The list of pages of {name!r} {why}. Check the file, or create it again.")
        seen.add(position)
        tags, position = _directory(stream, words, position, name)
        if not tags.get(SUBFILE, (0,))[0] & (SMALLER | MASK) or not found:
            found.append(Directory(number, tags))
        number += 1
    if not found:
        raise BadData(f"{name!r} has no page. Check that the file is complete, or create it again.")
    return found


def _start(stream: BinaryIO, name: str) -> tuple[_Words, int]:
    """How numbers are stored, and where the first directory is."""
    head = stream.read(16)
    order = "<" if head[:2] == b"II" else ">"
    version = struct.unpack_from(order + "H", head.ljust(16, b"\0"), 2)[0]
    if len(head) < 8 or version not in (42, 43) or (version == 43 and len(head) < 16):
        raise BadData(f"{name!r} has no header of a TIFF file. Check that the file is complete, or create it again.")
    if version == 42:
        return _Words(order, "H", "HHI4s", "I", 4), struct.unpack_from(order + "I", head, 4)[0]
    return _Words(order, "Q", "HHQ8s", "Q", 8), struct.unpack_from(order + "Q", head, 8)[0]


def _directory(stream: BinaryIO, words: _Words, position: int, name: str) -> tuple[dict[int, Any], int]:
    """The tags of a directory, and where the next one is."""
    stream.seek(position)
    (count,) = _unpacked(stream, words.order + words.entries, name)
    if count > MOST_ENTRIES:
        raise BadData(f"A page of {name!r} has {count:,} entries, but at most {MOST_ENTRIES:,} are read. Check it.")
    entry = struct.Struct(words.order + words.entry)
    table = stream.read(count * entry.size)
    (following,) = _unpacked(stream, words.order + words.offset, name)
    tags = {}
    for tag, kind, amount, value in entry.iter_unpack(table):
        if tag not in READ or kind not in TYPES or not 0 < amount <= MOST_VALUES:
            continue
        layout = f"{words.order}{amount}{TYPES[kind]}"
        if struct.calcsize(layout) > words.inside:
            stream.seek(struct.unpack(words.order + words.offset, value)[0])
            tags[tag] = _unpacked(stream, layout, name)
        else:
            tags[tag] = struct.unpack_from(layout, value)
    return tags, following


def _unpacked(stream: BinaryIO, layout: str, name: str) -> tuple[Any, ...]:
    data = stream.read(struct.calcsize(layout))
    if len(data) < struct.calcsize(layout):
        raise BadData(f"{name!r} is truncated: a page lies beyond its end. Download or create the file again.")
    return struct.unpack(layout, data)


def array_shape(pages: list[Directory]) -> tuple[int, int, int] | None:
    """Height, width and channels of an array that tifffile wrote with each row of pixels as a page of its own.

    It does so if it is not told that the last axis is the channels, and states the shape in the description.
    """
    try:
        stated = json.loads(bytes(pages[0].tags[DESCRIPTION][0]).rstrip(b"\0"))["shape"]
        height, width, channels = (int(length) for length in stated)
    except (LookupError, ValueError, TypeError, RecursionError):
        return None
    first = pages[0]
    is_row = (first.one(HEIGHT), first.one(WIDTH), first.samples) == (width, channels, 1)
    few = channels <= MOST_CHANNELS and 2 * channels <= min(height, width)
    return (height, width, channels) if is_row and few and len(pages) == height else None
