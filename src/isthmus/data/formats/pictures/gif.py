"""GIF: its frames are counted, and their palettes looked at, without decoding them."""

from typing import BinaryIO, NamedTuple

import numpy as np

from isthmus.data.base import Array
from isthmus.data.formats.pictures.background import is_gray
from isthmus.data.formats.pictures.header import BYTE, Color, PictureHeader
from isthmus.data.formats.pictures.pillow import PillowPicture

EXTENSION, IMAGE, CONTROL = 0x21, 0x2C, 0xF9
TABLE, TABLE_BITS, TRANSPARENT, CLEARED = 0x80, 0x07, 0x01, 0x08


class Frames(NamedTuple):
    """Number of frames, and whether one of them has colors or transparent pixels."""

    number: int
    colored: bool
    transparent: bool


class GifPicture(PillowPicture):
    """A GIF file; each frame is what is shown at its time."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        from PIL.GifImagePlugin import GifImageFile

        stream.seek(0)
        self.frames = scanned(stream)
        stream.seek(0)
        super().__init__(GifImageFile(stream), name, max(1, self.frames.number))

    def header(self, page: int = 0) -> PictureHeader:
        """What the headers of all frames say, which share a size."""
        channels = 3 if self.frames.colored else 1
        return PictureHeader(
            self.image.height, self.image.width, channels, BYTE, 255.0, self.pages, self.frames.transparent
        )

    def pixels(self, page: int, background: Color) -> Array:
        """A frame as it is shown."""
        values = super().pixels(page, background)
        # Pillow gives every frame after the first in color
        gray = not self.frames.colored and values.ndim == 3 and is_gray(background)
        values = values[..., 0] if gray else values
        return np.repeat(values[..., None], 3, axis=-1) if self.frames.colored and values.ndim == 2 else values


def scanned(stream: BinaryIO) -> Frames:
    """The frames of a GIF file, up to its end or the first that is cut off."""
    head = stream.read(13)
    count, transparent, flags = 0, False, 0
    colored = _colored(stream, head[10]) if len(head) == 13 else False
    while (kind := stream.read(1)) and kind[0] in (EXTENSION, IMAGE):
        if kind[0] == IMAGE:
            place = stream.read(9)
            if len(place) < 9:
                break
            colored |= _colored(stream, place[8])
            # the least number of bits of a code
            stream.read(1)
            count += 1
            first = _skipped(stream)
        else:
            label = stream.read(1)
            first = _skipped(stream)
            if label == bytes([CONTROL]) and first:
                # later frames leave pixels out that do not change, unless they are cleared before
                flags |= first[0] & (CLEARED | TRANSPARENT)
                transparent |= bool(first[0] & TRANSPARENT) and (count == 0 or bool(flags & CLEARED))
    return Frames(count, colored, transparent)


def _colored(stream: BinaryIO, flags: int) -> bool:
    """Whether the palette that follows, if any, has a color that is no gray."""
    if not flags & TABLE:
        return False
    table = stream.read(3 * 2 ** ((flags & TABLE_BITS) + 1))
    return not table[0::3] == table[1::3] == table[2::3]


def _skipped(stream: BinaryIO) -> bytes:
    """The first of a chain of blocks, which is read to its end."""
    first = b""
    while (size := stream.read(1)) and size[0]:
        block = stream.read(size[0])
        first = first or block
    return first
