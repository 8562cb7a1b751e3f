"""Pictures from bytes, and images of Pillow, in the format that all pictures of a data set get."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from isthmus.data.base import Array
from isthmus.data.formats.files import FREE, reading
from isthmus.data.formats.pictures.background import color_of
from isthmus.data.formats.pictures.common import brought
from isthmus.data.formats.pictures.header import BYTE, Picture, PictureFormat, PictureHeader, check_pixels
from isthmus.data.formats.pictures.opening import HEAD, JPEG, jpeg_class, open_picture
from isthmus.data.formats.pictures.pillow import PillowPicture, described, values_of
from isthmus.data.formats.pictures.png import COLORS, MAGIC, is_deep, open_png
from isthmus.data.formats.pictures.quiet import quiet
from isthmus.data.formats.pictures.stacked import StackedPicture
from isthmus.data.formats.pictures.turning import CARRIERS, orientation_of, turned

if TYPE_CHECKING:
    from PIL.Image import Image

MODES = {(1, "L"), (3, "RGB")}
"""Modes of Pillow that need no conversion, with the channels of the wanted format."""


SMALL = FREE // 4
"""Pixels whose number is not compared with the size of the file: they take 256 MiB at most."""
ANIMATION = b"acTL"
"""Chunk of an animated PNG file, about which Pillow may warn."""


def read_header(stream: BinaryIO, name: str, *, stacked: bool = False) -> PictureHeader:
    """What the header of a picture says, that of its first page; its pixels are not decoded.

    If it is ``stacked``, all pages are the channels of one picture.

    Raises:
        BadData: the stream is not a picture, or one that is not supported.
        MissingExtra: its decoder is not installed.
    """
    with _opened(stream, name, stacked=stacked) as picture:
        header = picture.header()
        check_pixels(header, stream, name)
        return header


def read_headers(stream: BinaryIO, name: str, *, stacked: bool = False) -> list[PictureHeader]:
    """What the headers of all pages of a picture say, each with the number of pages.

    Raises:
        BadData: the stream is not a picture, or one that is not supported.
        MissingExtra: its decoder is not installed.
    """
    with _opened(stream, name, stacked=stacked) as picture:
        # only the pages of a TIFF file differ from each other
        one_for_all = not hasattr(picture, "directories")
        pages = [picture.header()] * picture.pages if one_for_all else [*map(picture.header, range(picture.pages))]
        for header in dict.fromkeys(pages):
            check_pixels(header, stream, name)
        return pages


def read_picture(stream: BinaryIO, name: str, wanted: PictureFormat, page: int = 0) -> Array:
    """A picture in the wanted format, of shape ``wanted.shape``; unchanged to the bit if it has that format already.

    Raises:
        BadData: it is damaged, or cannot be brought to that format.
        MissingExtra: its decoder is not installed.
    """
    opened: PillowPicture | None = None
    try:
        head = stream.read(HEAD)
        stream.seek(0)
        opened = _common(stream, name, head) if page == 0 else None
        if opened is not None and _is_wanted(opened.image, wanted):
            # faster than numpy.asarray, which asks for an interface of arrays
            values = np.frombuffer(opened.image.tobytes(), BYTE).reshape(wanted.shape)
            # a PNG file may state its orientation after the pixels
            if CARRIERS.isdisjoint(opened.image.info):
                return values
    except Exception:
        # the long way tells what is wrong
        opened = None
    if opened is None:
        stream.seek(0)
        (picture,) = read_pages(stream, name, wanted, [page])
        return picture
    with reading(name, "an image"), quiet():
        return _page(opened, page, stream, name, wanted)


def read_pages(stream: BinaryIO, name: str, wanted: PictureFormat, pages: Iterable[int]) -> Iterator[Array]:
    """Some pages of a picture in the wanted format, which is opened once; inexpensive in ascending order.

    Raises:
        BadData: it is damaged, or cannot be brought to that format.
        MissingExtra: its decoder is not installed.
    """
    with _opened(stream, name, stacked=wanted.stacked) as picture:
        for page in pages:
            yield _page(picture, page, stream, name, wanted)


def _page(picture: Picture, page: int, stream: BinaryIO, name: str, wanted: PictureFormat) -> Array:
    """A page of an opened picture in the wanted format."""
    header = picture.header(page)
    check_pixels(header, stream, name)
    return brought(picture.pixels(page, color_of(wanted.background)), header, wanted)


def image_header(image: "Image", name: str = "The image") -> PictureHeader:
    """What an image of Pillow says about itself, as :func:`read_header` for a file."""
    with reading(name, "an image"):
        return described(image, name)


def read_image(image: "Image", wanted: PictureFormat | None = None, name: str = "The image") -> Array:
    """An image of Pillow in the wanted format, as :func:`read_picture` for a file; in its own on white if ``None``.

    Raises:
        BadData: it is damaged, or cannot be brought to that format.
    """
    with reading(name, "an image"), quiet():
        header = described(image, name)
        values = values_of(image, color_of("white" if wanted is None else wanted.background))
        values = turned(values, orientation_of(image))
        return values if wanted is None else brought(values, header, wanted)


def _common(stream: BinaryIO, name: str, head: bytes) -> PillowPicture | None:
    """An opened picture of the two most common formats, if it can be read the short way."""
    if head.startswith(MAGIC):
        return None if len(head) <= COLORS or is_deep(head) or ANIMATION in head else open_png(stream, name, head)
    return PillowPicture(jpeg_class()(stream), name, 1) if head.startswith(JPEG) else None


def _is_wanted(image: "Image", wanted: PictureFormat) -> bool:
    """Whether the pixels of an image are wanted as they are: it states no orientation and no transparent color."""
    return (
        image.size == (wanted.width, wanted.height)
        and (wanted.channels, image.mode) in MODES
        and wanted.height * wanted.width <= SMALL
        and wanted.brightest == 255
        and wanted.dtype == BYTE
        and CARRIERS.isdisjoint(image.info)
        and "transparency" not in image.info
    )


@contextmanager
def _opened(stream: BinaryIO, name: str, *, stacked: bool = False) -> Iterator[Picture]:
    """An opened picture; warnings of decoders about what they overlook are not shown."""
    with reading(name, "an image"), quiet():
        head = stream.read(HEAD)
        picture = open_picture(stream, name, head)
        if isinstance(picture, PillowPicture):
            check_pixels(picture.header(), stream, name)
        yield StackedPicture(picture, name) if stacked and picture.pages > 1 else picture
