"""TIFF: any number of pages and channels, of 1 to 64 bits; through Pillow where it reads exactly, else tifffile."""

from typing import BinaryIO

import numpy as np

from isthmus.data.base import Array
from isthmus.data.formats.pictures.background import composited
from isthmus.data.formats.pictures.header import (
    Color,
    Picture,
    PictureHeader,
    check_bytes,
    check_pixels,
    missing_decoder,
)
from isthmus.data.formats.pictures.pillow import values_of
from isthmus.data.formats.pictures.tiff_pages import (
    COLORMAP,
    EXTRA,
    HEIGHT,
    ORIENTATION,
    PHOTOMETRIC,
    PLANAR,
    TILE_HEIGHT,
    TILE_WIDTH,
    WIDTH,
    Directory,
    array_shape,
    directories,
)
from isthmus.data.formats.pictures.turning import is_lying, orientation_of, turned
from isthmus.errors import BadData

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, INKS, LUMINANCE = 0, 1, 2, 3, 5, 6
COLORS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, PALETTE: 1, INKS: 4, LUMINANCE: 3}
"""Samples per pixel that the kinds of color have, before extra ones."""
MULTIPLIED, OPACITY = 1, 2
UNSIGNED, SIGNED, FLOAT = 1, 2, 3
BIG = b"MM\0+"
"""Start of a file of more than 4 GiB whose numbers have their largest byte first."""
LARGE = 2**26
"""Pixels above which Pillow takes a picture for a decompression bomb, whatever the size of the file."""


class TiffPicture(Picture):
    """A TIFF file.

    Raises:
        BadData: it is damaged, or has no page.
    """

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self.stream, self.name = stream, name
        self.directories = directories(stream, name)
        self.array = array_shape(self.directories)
        self.pages = 1 if self.array else len(self.directories)
        stream.seek(0)
        self._unknown_to_pillow = stream.read(len(BIG)) == BIG

    def header(self, page: int = 0) -> PictureHeader:
        """What the header of a page says."""
        at = self._at(page)
        height, width = self.array[:2] if self.array else (at.one(HEIGHT), at.one(WIDTH))
        if is_lying(self._orientation(at)):
            height, width = width, height
        alpha = bool(_opacity(at))
        if self._by_pillow(at) and at.one(PHOTOMETRIC) != BLACK_IS_ZERO:
            channels = 1 if _is_gray(at) else 3
        elif at.one(PHOTOMETRIC) == INKS:
            channels = 3
        else:
            channels = self.array[2] if self.array else at.samples - alpha
        dtype = _dtype(at)
        brightest = 2.0 ** max(8, at.bits[0]) - 1 if dtype.kind == "u" and dtype.itemsize <= 2 else None
        if not (height and width and channels):
            raise BadData(f"{self.name!r} has a page without pixels. Check the file, or create it again.")
        return PictureHeader(height, width, channels, dtype, brightest, self.pages, alpha, missing=at.missing)

    def pixels(self, page: int, background: Color) -> Array:
        """A page as it is shown."""
        at, header = self._at(page), self.header(page)
        check_pixels(header, self.stream, self.name)
        tile = at.one(TILE_WIDTH) * at.one(TILE_HEIGHT) * at.samples * header.dtype.itemsize
        check_bytes(tile, self.stream, self.name)
        if self._by_pillow(at):
            return self._decoded(at, background)
        return turned(self._read(at, header, background), self._orientation(at))

    def _at(self, page: int) -> Directory:
        if page >= self.pages:
            raise BadData(f"{self.name!r} has {self.pages:,} pages, so that there is no page {page}")
        found = self.directories[page]
        self._check(found)
        return found

    def _check(self, at: Directory) -> None:
        """Refuse what cannot be interpreted.

        Raises:
            BadData: samples of different kinds, complex numbers, or colors that are neither gray, RGB nor CMYK.
        """
        photometric = at.one(PHOTOMETRIC, BLACK_IS_ZERO)
        if photometric not in COLORS or (photometric == PALETTE and not self._by_pillow(at)):
            raise BadData(
                f"{self.name!r} has colors of kind {photometric}, but only gray, RGB, CMYK and palettes are read. "
                "Save it as gray or RGB."
            )
        if len(at.bits) > 1 or len(at.kinds) > 1 or at.kinds[0] not in (UNSIGNED, SIGNED, FLOAT) or at.bits[0] > 64:
            raise BadData(
                f"{self.name!r} has samples of {' and '.join(map(str, at.bits))} bits (kind "
                f"{' and '.join(map(str, at.kinds))}), but integers or floating-point numbers of one size are read. "
                "Save it with one type of numbers."
            )

    def _by_pillow(self, at: Directory) -> bool:
        return not self._unknown_to_pillow and self.array is None and _by_pillow(at)

    def _orientation(self, at: Directory) -> int:
        found = at.one(ORIENTATION, 1)
        return found if 1 <= found <= 8 else 1

    def _decoded(self, at: Directory, background: Color) -> Array:
        """A page that Pillow reads exactly."""
        from PIL.TiffImagePlugin import TiffImageFile

        self.stream.seek(0)
        image = TiffImageFile(self.stream)
        image.seek(at.number)
        image.load()
        # recent versions of Pillow turn TIFF images when they are decoded, and then forget the orientation
        left = orientation_of(image)
        return turned(values_of(image, background), left)

    def _read(self, at: Directory, header: PictureHeader, background: Color) -> Array:
        """A page through tifffile, not turned yet."""
        try:
            import imagecodecs  # noqa: F401
            import tifffile
        except ImportError as fault:
            raise missing_decoder(self.name, "tifffile and imagecodecs", fault) from fault
        self.stream.seek(0)
        with tifffile.TiffFile(self.stream, name=self.name) as file:
            if self.array:
                values = np.asarray(file.asarray(key=[page.number for page in self.directories], maxworkers=1))
                return values.reshape(self.array).astype(header.dtype)
            values = np.asarray(file.pages[at.number].asarray(maxworkers=1))
        shape = at.one(HEIGHT), at.one(WIDTH), at.samples
        if at.one(PLANAR, 1) == 2 and at.samples > 1:
            values = np.moveaxis(values.reshape(shape[2], *shape[:2]), 0, -1)
        values = np.ascontiguousarray(values.reshape(shape))
        if values.dtype.kind == "b":
            values = values * np.uint8(255)
        return _interpreted(values.astype(header.dtype), at, header, background)


def _interpreted(values: Array, at: Directory, header: PictureHeader, background: Color) -> Array:
    """Samples (height, width, samples) as brightness: not inverted, without opacity, in red, green and blue."""
    photometric = at.one(PHOTOMETRIC, BLACK_IS_ZERO)
    opacity = _opacity(at)
    alpha = None
    if opacity:
        place = at.samples - len(at.tags[EXTRA]) + opacity[0]
        alpha, values = values[..., place], np.delete(values, place, axis=-1)
    if header.brightest is not None:
        most = values.dtype.type(header.brightest)
        values = most - values if photometric == WHITE_IS_ZERO else values
        if photometric == INKS:
            inks = values[..., :4].astype(np.float64)
            values = ((most - inks[..., :3]) * (most - inks[..., 3:]) / most).round().astype(values.dtype)
    values = values[..., 0] if values.shape[-1] == 1 else values
    if alpha is None or header.brightest is None:
        return values
    multiplied = at.tags[EXTRA][opacity[0]] == MULTIPLIED
    return composited(values, alpha, background, int(header.brightest), multiplied=multiplied)


def _opacity(at: Directory) -> tuple[int, ...]:
    """Index among the extra samples of the one that is opacity, if any."""
    extra = at.tags.get(EXTRA, ())
    found = [index for index, kind in enumerate(extra) if kind in (MULTIPLIED, OPACITY)]
    if not extra and at.one(PHOTOMETRIC) == RGB and at.samples == 4 and at.bits == (8,):
        return (0,)
    return tuple(found[:1]) if at.samples > len(extra) else ()


def _dtype(at: Directory) -> np.dtype:
    """The data type of the samples."""
    bits, kind = at.bits[0], at.kinds[0]
    size = next(size for size in (8, 16, 32, 64) if bits <= size)
    if kind == FLOAT:
        return np.dtype(f"f{max(size, 16) // 8}")
    return np.dtype(f"{'i' if kind == SIGNED else 'u'}{size // 8}")


def _by_pillow(at: Directory) -> bool:
    """Whether Pillow reads a page exactly."""
    photometric, bits, kind = at.one(PHOTOMETRIC, BLACK_IS_ZERO), at.bits, at.kinds
    if len(bits) > 1 or len(kind) > 1 or at.one(HEIGHT) * at.one(WIDTH) > LARGE:
        return False
    alone, extra = at.samples == 1, at.tags.get(EXTRA, ())
    if kind == (FLOAT,):
        return alone and bits == (32,) and photometric == BLACK_IS_ZERO
    if kind != (UNSIGNED,):
        return False
    if alone and bits[0] in (1, 2, 4, 8):
        return photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO, PALETTE)
    if bits == (16,):
        return alone and photometric == BLACK_IS_ZERO
    return bits == (8,) and {
        RGB: at.samples == 3 or (at.samples == 4 and extra in ((), (OPACITY,))),
        INKS: at.samples == 4 and not extra,
        LUMINANCE: at.samples == 3,
    }.get(photometric, False)


def _is_gray(at: Directory) -> bool:
    """Whether a page that Pillow reads is gray: by its kind, or by its palette."""
    if at.one(PHOTOMETRIC) == PALETTE:
        table = np.array(at.tags.get(COLORMAP, (0, 0, 0)))
        table = table[: len(table) // 3 * 3].reshape(3, -1) >> 8
        return not bool((table != table[:1]).any())
    return at.one(PHOTOMETRIC) == WHITE_IS_ZERO
