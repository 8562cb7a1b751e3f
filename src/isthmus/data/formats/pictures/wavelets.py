"""JPEG 2000 and AVIF: through Pillow where they have 8 bits, else through imagecodecs with all bits that they have."""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import numpy as np

from isthmus.data.base import Array
from isthmus.data.formats.pictures.background import composited
from isthmus.data.formats.pictures.header import Color, Picture, PictureHeader, check_pixels, missing_decoder
from isthmus.data.formats.pictures.pillow import PillowPicture
from isthmus.data.formats.pictures.turning import orientation_of, turned
from isthmus.errors import BadData

HEAD = 2**16
"""Bytes in which the properties of an AVIF file are looked for."""
CODESTREAM = b"\xff\x4f\xff\x51"
TWELVE, TEN = 0x20, 0x40
"""Flags of the bits in the configuration of AV1."""
DEEPEST = 16
ALPHA_KINDS = (1, 2)
"""Opacity, and opacity that the colors are multiplied with."""


class _Samples(NamedTuple):
    """Size of a JPEG 2000 picture, bits and sign of each of its channels, and whether the last is opacity."""

    height: int
    width: int
    bits: tuple[int, ...]
    signed: bool
    alpha: bool


class DeepPicture(Picture):
    """A JPEG 2000 picture of other depth or number of channels than Pillow decodes.

    Raises:
        BadData: channels of different depths, or of more than 16 bits.
        MissingExtra: imagecodecs is not installed.
    """

    def __init__(self, stream: BinaryIO, name: str, samples: _Samples) -> None:
        try:
            import imagecodecs
        except ImportError as fault:
            raise missing_decoder(name, "imagecodecs", fault) from fault
        self.decode, self.stream, self.name, self.samples = imagecodecs.jpeg2k_decode, stream, name, samples
        if len(set(samples.bits)) > 1 or samples.bits[0] > DEEPEST:
            raise BadData(
                f"{name!r} has channels of {', '.join(map(str, sorted(set(samples.bits))))} bits, but equal numbers of "
                f"at most {DEEPEST} bits are read. Save it as TIFF."
            )

    def header(self, page: int = 0) -> PictureHeader:
        """What the header says."""
        found, deep = self.samples, self.samples.bits[0] > 8
        if found.signed:
            dtype, brightest = np.dtype(np.int16 if deep else np.int8), None
        else:
            dtype, brightest = np.dtype(np.uint16 if deep else np.uint8), 2.0 ** found.bits[0] - 1
        return PictureHeader(found.height, found.width, len(found.bits) - found.alpha, dtype, brightest, 1, found.alpha)

    def pixels(self, page: int, background: Color) -> Array:
        """The picture."""
        header = self.header()
        check_pixels(header, self.stream, self.name)
        self.stream.seek(0)
        values = np.asarray(self.decode(self.stream.read())).astype(header.dtype)
        if values.shape[:2] != (header.height, header.width):
            raise BadData(f"{self.name!r} has pixels of another size than its header says")
        if not header.alpha or header.brightest is None:
            return values
        bare = values[..., 0] if header.channels == 1 else values[..., :-1]
        return composited(bare, values[..., -1], background, int(header.brightest))


def open_jpeg2000(stream: BinaryIO, name: str) -> Picture:
    """A JPEG 2000 picture.

    Raises:
        BadData: it is damaged.
        MissingExtra: imagecodecs is required, but not installed.
    """
    samples = _samples(stream, name)
    plain = not samples.signed and set(samples.bits) == {8}
    if not plain or len(samples.bits) not in (1, 2, 3, 4) or (len(samples.bits) in (2, 4) and not samples.alpha):
        return DeepPicture(stream, name, samples)
    from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile

    stream.seek(0)
    return PillowPicture(Jpeg2KImageFile(stream), name)


def _boxes(stream: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of each box of a JP2 file, and of those inside its header."""
    position, end = 0, stream.seek(0, 2)
    for _ in range(1000):
        stream.seek(position)
        head = stream.read(8)
        if len(head) < 8:
            return
        length, start = int.from_bytes(head[:4], "big"), position + 8
        if length == 1:
            length, start = int.from_bytes(stream.read(8), "big"), position + 16
        stop = end if length == 0 else position + length
        if stop < start:
            return
        yield head[4:], start, stop
        # the boxes inside the header follow its own first bytes
        position = start if head[4:] == b"jp2h" else stop


def _samples(stream: BinaryIO, name: str) -> _Samples:
    """What the header of a JPEG 2000 picture says about its samples."""
    stream.seek(0)
    start, alpha = 0, False
    if stream.read(4) != CODESTREAM:
        start = -1
        for kind, first, stop in _boxes(stream):
            if kind == b"cdef":
                stream.seek(first)
                table = np.frombuffer(stream.read(min(stop - first, HEAD))[2:], ">u2")
                alpha = any(kind in ALPHA_KINDS for kind in table[1::3].tolist())
            if kind == b"jp2c":
                start = first
                break
    stream.seek(max(start, 0))
    head = stream.read(HEAD)
    count = int.from_bytes(head[40:42], "big")
    if start < 0 or head[:4] != CODESTREAM or not count or len(head) < 42 + 3 * count:
        raise BadData(f"{name!r} has no picture of JPEG 2000. Check that the file is complete, or create it again.")
    sides = [int.from_bytes(head[8 + 4 * i : 12 + 4 * i], "big") for i in range(4)]
    depths = [head[42 + 3 * i] for i in range(count)]
    bits = tuple((depth & 0x7F) + 1 for depth in depths)
    return _Samples(sides[1] - sides[3], sides[0] - sides[2], bits, depths[0] >= 0x80, alpha and count > 1)


class DeepAvif(PillowPicture):
    """An AVIF picture of 10 or 12 bits."""

    def __init__(self, stream: BinaryIO, name: str, image: PillowPicture, bits: int) -> None:
        try:
            import imagecodecs
        except ImportError as fault:
            raise missing_decoder(name, "imagecodecs", fault) from fault
        super().__init__(image.image, name)
        self.decode, self.stream, self.brightest = imagecodecs.avif_decode, stream, 2**bits - 1

    def header(self, page: int = 0) -> PictureHeader:
        """What the header of a page says."""
        return super().header(page)._replace(dtype=np.dtype(np.uint16), brightest=float(self.brightest))

    def pixels(self, page: int, background: Color) -> Array:
        """A page as it is shown."""
        header = self.header(page)
        check_pixels(header, self.stream, self.name)
        self.stream.seek(0)
        values = np.asarray(self.decode(self.stream.read(), index=page if self.pages > 1 else None))
        if header.alpha:
            bare = values[..., 0] if header.channels == 1 else values[..., :3]
            values = composited(bare, values[..., -1], background, self.brightest)
        return turned(values, orientation_of(self.image))


def open_avif(stream: BinaryIO, name: str) -> Picture:
    """An AVIF picture.

    Raises:
        BadData: it is damaged.
        MissingExtra: it has more than 8 bits, and imagecodecs is not installed.
    """
    from PIL.AvifImagePlugin import AvifImageFile

    stream.seek(0)
    flags = [part[2] for part in stream.read(HEAD).split(b"av1C")[1:] if len(part) > 2]
    stream.seek(0)
    picture = PillowPicture(AvifImageFile(stream), name)
    bits = max((12 if flag & TWELVE else 10 if flag & TEN else 8 for flag in flags), default=8)
    return picture if bits == 8 else DeepAvif(stream, name, picture, bits)
