"""PBM, PGM, PPM and PAM: bits, gray or color of any depth up to 16 bits, as bytes or as text."""

import re
from typing import BinaryIO, NamedTuple

import numpy as np

from isthmus.data.base import Array
from isthmus.data.formats.pictures.background import composited
from isthmus.data.formats.pictures.header import Color, Picture, PictureHeader, check_pixels
from isthmus.errors import BadData

LONGEST = 2**16
"""Largest header, in bytes."""
DEEPEST = 65535
DEPTHS = {b"P1": 1, b"P2": 1, b"P3": 3, b"P4": 1, b"P5": 1, b"P6": 3}
TEXTS, BITS = (b"P1", b"P2", b"P3"), (b"P1", b"P4")
HEADER = re.compile(rb"P[1-6](?:\s+|#[^\n\r]*[\n\r])")
NUMBER = re.compile(rb"(?:\s|#[^\n\r]*[\n\r])*(\d+)")
PAM = re.compile(rb"P7\s*?\n(.*?)ENDHDR\s*?\n", re.DOTALL)


class _Layout(NamedTuple):
    """Size, samples per pixel, largest value and position of the pixels."""

    kind: bytes
    height: int
    width: int
    samples: int
    most: int
    start: int
    alpha: bool = False


class NetpbmPicture(Picture):
    """A PBM, PGM, PPM or PAM file.

    Full brightness is 255 or 65535 if the largest value is a divisor of it, else the largest value itself.

    Raises:
        BadData: a header without a size, or a largest value above 65535.
    """

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self.stream, self.name = stream, name
        stream.seek(0)
        head = stream.read(LONGEST)
        found = _pam(head) if head[:2] == b"P7" else _plain(head)
        if found is None or not (found.height and found.width and found.samples and 1 <= found.most <= DEEPEST):
            raise BadData(
                f"{name!r} has no header of a PGM or PPM file: height, width and a largest value from 1 to {DEEPEST} "
                "are required. Create it again."
            )
        self.layout = found
        deep = found.most > 255
        self.dtype = np.dtype(np.uint16 if deep else np.uint8)
        full = DEEPEST if deep else 255
        self.brightest = full if full % found.most == 0 else found.most

    def header(self, page: int = 0) -> PictureHeader:
        """What the header says."""
        at = self.layout
        channels = at.samples - at.alpha
        return PictureHeader(at.height, at.width, channels, self.dtype, float(self.brightest), alpha=at.alpha)

    def pixels(self, page: int, background: Color) -> Array:
        """The picture."""
        check_pixels(self.header(), self.stream, self.name)
        at = self.layout
        values = self._values()
        if values.size and int(values.max()) > at.most:
            raise BadData(f"{self.name!r} has values above {at.most}, the largest that its header allows")
        values = values.reshape(at.height, at.width, at.samples).astype(self.dtype)
        values *= self.dtype.type(self.brightest // at.most)
        bare = values[..., 0] if at.samples - at.alpha == 1 else values[..., : at.samples - at.alpha]
        return composited(bare, values[..., -1], background, self.brightest) if at.alpha else bare

    def _values(self) -> Array:
        """All values in the order of the file."""
        at = self.layout
        count = at.height * at.width * at.samples
        self.stream.seek(at.start)
        if at.kind in TEXTS:
            return self._of_text(self.stream.read(), count)
        if at.kind == b"P4":
            packed = np.frombuffer(self._exactly(at.height * -(-at.width // 8)), np.uint8)
            bits = np.unpackbits(packed.reshape(at.height, -1), axis=1)[:, : at.width]
            return 1 - bits
        kind = np.dtype(">u2" if at.most > 255 else "u1")
        return np.frombuffer(self._exactly(count * kind.itemsize), kind)

    def _of_text(self, text: bytes, count: int) -> Array:
        text = re.sub(rb"#[^\n\r]*", b" ", text)
        if self.layout.kind == b"P1":
            # digits need not be separated
            found = 1 - (np.frombuffer(b"".join(text.split()), np.uint8) - ord("0"))
        else:
            found = np.array(text.split()[:count], np.int64)
        if len(found) < count:
            raise BadData(f"{self.name!r} is truncated: {count:,} values are required, but {len(found):,} are left")
        return found[:count]

    def _exactly(self, count: int) -> bytes:
        data = self.stream.read(count)
        if len(data) < count:
            raise BadData(f"{self.name!r} is truncated: {count:,} bytes are required, but {len(data):,} are left")
        return data


def _plain(head: bytes) -> _Layout | None:
    """The header of a PBM, PGM or PPM file."""
    if HEADER.match(head) is None:
        return None
    kind, place, numbers = head[:2], 2, []
    for _ in range(2 if kind in BITS else 3):
        number = NUMBER.match(head, place)
        if number is None or len(number[1]) > 10:
            return None
        numbers.append(int(number[1]))
        place = number.end()
    width, height, most = (*numbers, 1)[:3]
    return _Layout(kind, height, width, DEPTHS[kind], most, place + 1)


def _pam(head: bytes) -> _Layout | None:
    """The header of a PAM file."""
    found = PAM.match(head)
    if found is None:
        return None
    lines = [line.split(None, 1) for line in found[1].split(b"\n") if line.strip() and not line.startswith(b"#")]
    entries = {line[0]: line[-1].strip() for line in lines}
    numbers = [entries.get(key, b"") for key in (b"HEIGHT", b"WIDTH", b"DEPTH", b"MAXVAL")]
    if not all(number.isdigit() and len(number) <= 10 for number in numbers):
        return None
    height, width, samples, most = map(int, numbers)
    alpha = entries.get(b"TUPLTYPE", b"").endswith(b"_ALPHA") and samples > 1
    return _Layout(b"P7", height, width, samples, most, found.end(), alpha)
