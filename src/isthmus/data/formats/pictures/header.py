"""What the header of a picture says, what pictures become, and the interface of an opened picture."""

from abc import ABC, abstractmethod
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from isthmus.data.base import Array
from isthmus.data.formats.files import FREE, check_growth
from isthmus.errors import BadData, MissingExtra

Color = tuple[int, int, int]
"""Red, green and blue from 0 to 255."""
BYTE = np.dtype(np.uint8)


class PictureHeader(NamedTuple):
    """What the header of a picture says.

    Attributes:
        height: height in pixels, as it is shown (turned by EXIF).
        width: width in pixels, as it is shown.
        channels: 1 for gray, 3 for color, other numbers for other channels; transparency is none of them.
        dtype: data type of the values, such as ``uint8``.
        brightest: value of full brightness, if the format states it; else ``None``.
        pages: number of frames or pages, or 1 where they are not counted.
        alpha: whether it has transparent pixels, which show the background.
        unit: physical unit of the values, such as ``HU``, if the file states one.
    """

    height: int
    width: int
    channels: int
    dtype: np.dtype[Any] = BYTE
    brightest: float | None = 255.0
    pages: int = 1
    alpha: bool = False
    unit: str = ""


class PictureFormat(NamedTuple):
    """What all pictures of a data set become: (height, width) for one channel, else (height, width, channels).

    Attributes:
        height: height in pixels.
        width: width in pixels.
        channels: number of channels.
        dtype: data type of the values.
        brightest: value of full brightness, or ``None`` for plain numbers.
        resize: how pictures of other sizes get this one: ``pad``, ``crop``, ``stretch``, ``scale`` if they have the
            same shape, or not at all.
        background: color behind transparent and around padded pictures.
        unit: physical unit of the values, if any.
    """

    height: int
    width: int
    channels: int
    dtype: np.dtype[Any] = BYTE
    brightest: float | None = 255.0
    resize: str | None = None
    background: str = "white"
    unit: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a picture as an array."""
        return (self.height, self.width) if self.channels == 1 else (self.height, self.width, self.channels)

    @property
    def axes(self) -> str:
        """Letters of the axes of a picture."""
        return "HW" if self.channels == 1 else "HWC"


class Picture(ABC):
    """An opened picture of one or more pages.

    Attributes:
        pages: number of pages or frames.
    """

    pages: int = 1

    @abstractmethod
    def header(self, page: int = 0) -> PictureHeader:
        """What the header of a page says; no pixel is decoded."""

    @abstractmethod
    def pixels(self, page: int, background: Color) -> Array:
        """A page as it is shown, (height, width) or (height, width, channels), over a background if transparent.

        A transparent gray picture over a background of another color has three channels.
        """


def check_pixels(header: PictureHeader, stream: BinaryIO, name: str) -> None:
    """Refuse a picture whose header declares far more pixels than its bytes can hold, before they are decoded.

    Raises:
        BadData: it expands like a decompression bomb, is too large, or has no pixel.
    """
    if header.height < 1 or header.width < 1:
        raise BadData(
            f"{name!r} declares {header.height} x {header.width} pixels. The file is damaged; create it again."
        )
    # decoders take up to four bytes per pixel of color
    check_bytes(header.height * header.width * max(header.channels, 4) * header.dtype.itemsize, stream, name)


def check_bytes(needed: int, stream: BinaryIO, name: str) -> None:
    """Refuse a number of decoded bytes that is far more than a stream can hold.

    Raises:
        BadData: it is.
    """
    if needed > FREE:
        where = stream.tell()
        check_growth(needed, stream.seek(0, 2), repr(name))
        stream.seek(where)


def missing_decoder(name: str, library: str, fault: ImportError) -> MissingExtra:
    """The error for a picture whose decoder is not installed."""
    error = MissingExtra(
        f"Reading {name!r} requires {library}, which is not installed. Install it with pip install 'isthmus[images]'."
    )
    error.__cause__ = fault
    return error
