"""Readers of image files, through Pillow."""

import os
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np

from isthmus.data.base import Array
from isthmus.data.formats.files import reading
from isthmus.errors import BadData
from isthmus.options import DataOptions

if TYPE_CHECKING:
    from PIL.Image import Image

EXTENSIONS = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".webp")
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "WEBP")
"""Formats that Pillow may detect, whatever the extension: it knows many more, and EPS runs Ghostscript."""
GREY = ("1", "L", "LA", "La")
DEEP = ("I", "F")


class PictureHeader(NamedTuple):
    """What the header of a picture says.

    Attributes:
        height: height in pixels, as it is shown (turned by EXIF).
        width: width in pixels, as it is shown.
        channels: 1 for gray, 3 for color, other numbers for other channels; transparency is none of them.
        dtype: data type of the values, such as ``uint8``.
        brightest: value of full brightness, if the format states it; else ``None``.
        pages: number of frames or pages, or 1 where they are not counted.
    """

    height: int
    width: int
    channels: int
    dtype: np.dtype[Any] = np.dtype(np.uint8)
    brightest: float | None = 255.0
    pages: int = 1


class PictureFormat(NamedTuple):
    """What all pictures of a data set become: (height, width) for one channel, else (height, width, channels)."""

    height: int
    width: int
    channels: int
    dtype: np.dtype[Any] = np.dtype(np.uint8)
    brightest: float | None = 255.0
    resize: str | None = None
    background: str = "white"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a picture as an array."""
        return (self.height, self.width) if self.channels == 1 else (self.height, self.width, self.channels)


def common_format(headers: Counter[PictureHeader], options: DataOptions, where: str) -> PictureFormat:
    """The format that all pictures with these headers can be brought to.

    Raises:
        BadData: they cannot; the message says the sizes found and the options to set.
    """
    (height, width), _ = Counter((h.height, h.width) for h in headers.elements()).most_common(1)[0]
    channels = max(header.channels for header in headers)
    return PictureFormat(height, width, channels)


def read_header(stream: BinaryIO, name: str) -> PictureHeader:
    """What the header of a picture says; its pixels are not decoded.

    Raises:
        BadData: the stream is not a picture, or one that is not supported.
    """
    with _opened(stream, name) as image:
        return _header(image, name)


def read_picture(stream: BinaryIO, name: str, wanted: PictureFormat, page: int = 0) -> Array:
    """A picture in the wanted format, of shape ``wanted.shape``.

    Raises:
        BadData: it is damaged, or cannot be brought to that format.
    """
    with _opened(stream, name) as image:
        header = _header(image, name)
        if (header.height, header.width) != (wanted.height, wanted.width):
            raise BadData(
                f"it is {header.width} x {header.height} pixels, most others are {wanted.width} x {wanted.height}"
            )
        if header.channels > wanted.channels:
            raise BadData("it is colored, the others are gray")
        return np.asarray(image.convert("RGB" if wanted.channels == 3 else "L"))


def _header(image: "Image", name: str) -> PictureHeader:
    mode = image.mode
    if mode.startswith(DEEP):
        raise BadData(f"{name!r} has pixels of more than 8 bits (mode {mode}). Save it with 8 bits per channel.")
    colored = mode not in GREY
    if mode == "P":
        palette = np.array(image.getpalette("RGB") or [0, 0, 0]).reshape(-1, 3)
        colored = bool((palette != palette[:, :1]).any())
    return PictureHeader(image.height, image.width, 3 if colored else 1)


@contextmanager
def _opened(stream: BinaryIO, name: str) -> "Iterator[Image]":
    """An open image; Pillow's warning of a decompression bomb is an error."""
    from PIL import Image

    with reading(Path(name), "an image"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(stream, formats=FORMATS) as image:
            yield image


def natural(path: Path) -> tuple[list[tuple[int, int | str]], str]:
    """Key of the natural order of file names, in which 2 comes before 10.

    >>> sorted([Path("10.png"), Path("2.png"), Path("b.png")], key=natural)[0].name
    '2.png'
    """
    words = re.split(r"([0-9]+)", path.name)
    return [(0, int(word)) if word.isdecimal() else (1, word.casefold()) for word in words], os.fspath(path)
