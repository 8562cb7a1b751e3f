"""PNG: through Pillow, and through imagecodecs where Pillow reduces 16 bits to 8 without a word."""

from functools import cache
from typing import Any, BinaryIO

import numpy as np

from isthmus.data.base import Array
from isthmus.data.formats.pictures.background import composited
from isthmus.data.formats.pictures.header import Color, PictureHeader, check_pixels, missing_decoder
from isthmus.data.formats.pictures.pillow import PillowPicture
from isthmus.data.formats.pictures.turning import orientation_of, turned

MAGIC = b"\x89PNG\r\n\x1a\n"
IHDR, DEPTH, COLORS = 16, 24, 25
"""Positions of the width, the bit depth and the kind of color."""
GRAY, RGB, ALPHA = 0, 2, 4


@cache
def png_class() -> Any:
    """Pillow's class, imported when it is needed."""
    from PIL.PngImagePlugin import PngImageFile

    return PngImageFile


def is_deep(head: bytes) -> bool:
    """Whether a PNG has 16 bits per value that Pillow would reduce: all except plain gray."""
    return head[DEPTH] == 16 and head[COLORS] != GRAY


def open_png(stream: BinaryIO, name: str, head: bytes) -> PillowPicture:
    """A picture in a PNG file.

    Raises:
        BadData: it is damaged.
        MissingExtra: it has 16 bits per color, and imagecodecs is not installed.
    """
    if is_deep(head):
        return DeepPng(stream, name, head)
    depth = head[DEPTH]
    levels = 255 // (2**depth - 1) if depth in (2, 4) and head[COLORS] == GRAY else 1
    return PngPicture(stream, name, levels)


class PngPicture(PillowPicture):
    """A PNG file that Pillow decodes exactly."""

    def __init__(self, stream: BinaryIO, name: str, levels: int = 1) -> None:
        super().__init__(png_class()(stream), name, levels=levels)
        self.stream = stream

    def header(self, page: int = 0) -> PictureHeader:
        """What the header of a page says, with an orientation that is stored after the pixels."""
        if "exif" not in self.image.info:
            where = self.stream.tell()
            for kind, start, length in chunks(self.stream):
                if kind == b"eXIf":
                    self.stream.seek(start)
                    self.image.info["exif"] = b"Exif\0\0" + self.stream.read(length)
            self.stream.seek(where)
        return super().header(page)


class DeepPng(PngPicture):
    """A PNG file of color, or of gray and alpha, with 16 bits per value."""

    def __init__(self, stream: BinaryIO, name: str, head: bytes) -> None:
        try:
            import imagecodecs
        except ImportError as fault:
            raise missing_decoder(name, "imagecodecs", fault) from fault
        super().__init__(stream, name)
        self.decode, self.kind, self.pages = imagecodecs.png_decode, head[COLORS], 1

    def header(self, page: int = 0) -> PictureHeader:
        """What the header says."""
        found = super().header(page)
        channels = 3 if self.kind & RGB else 1
        return found._replace(channels=channels, dtype=np.dtype(np.uint16), brightest=65535.0)

    def pixels(self, page: int, background: Color) -> Array:
        """The picture as it is shown."""
        check_pixels(self.header(), self.stream, self.name)
        self.stream.seek(0)
        values = np.asarray(self.decode(self.stream.read()))
        # a color that is transparent becomes alpha in the decoder
        if values.shape[-1] in (2, 4):
            bare = values[..., 0] if values.shape[-1] == 2 else values[..., :3]
            values = composited(bare, values[..., -1], background, 65535)
        return turned(values, orientation_of(self.image))


def chunks(stream: BinaryIO) -> Any:
    """Kind, position and length of each chunk of a PNG file, up to the end or the first that is cut off."""
    position = len(MAGIC)
    while True:
        stream.seek(position)
        head = stream.read(8)
        if len(head) < 8 or head[4:] == b"IEND":
            return
        length = int.from_bytes(head[:4], "big")
        yield head[4:], position + 8, length
        position += 12 + length
