"""Images of Pillow as arrays, whatever their mode."""

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from isthmus.data.base import Array
from isthmus.data.formats.pictures.background import composited
from isthmus.data.formats.pictures.header import BYTE, Color, Picture, PictureHeader
from isthmus.data.formats.pictures.quiet import quiet
from isthmus.data.formats.pictures.turning import is_lying, orientation_of, turned
from isthmus.errors import BadData

if TYPE_CHECKING:
    from PIL.Image import Image

GRAY = ("1", "L", "LA", "La")
COLORED = ("RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV")
ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")
NUMBERS: dict[str, np.dtype[Any]] = {"I": np.dtype(np.int32), "F": np.dtype(np.float32)}
DEEP = "I;16"
"""How the modes of 16 bits start."""


class PillowPicture(Picture):
    """A picture that Pillow decodes exactly.

    Args:
        image: the opened image.
        name: its name, for messages.
        pages: number of frames; ``None`` if Pillow knows it without reading the file.
        levels: what a level of the pixels is expanded to: 17 for 4 bits, 1 for 8.
    """

    def __init__(self, image: "Image", name: str, pages: int | None = None, levels: int = 1) -> None:
        self.image, self.name, self.levels = image, name, levels
        self.pages = getattr(image, "n_frames", 1) if pages is None else pages

    def header(self, page: int = 0) -> PictureHeader:
        """What the header of a page says."""
        self.image.seek(page)
        return described(self.image, self.name)._replace(pages=self.pages)

    def pixels(self, page: int, background: Color) -> Array:
        """A page as it is shown."""
        self.image.seek(page)
        values = values_of(self.image, background, self.levels)
        return turned(values, orientation_of(self.image))


def is_picture(value: object) -> bool:
    """Whether an object is an image of Pillow, which is not imported for it."""
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(value, module.Image)


def described(image: "Image", name: str) -> PictureHeader:
    """What an image of Pillow says about itself.

    Raises:
        BadData: a mode that has neither brightness nor numbers, such as LAB.
    """
    mode = image.mode
    height, width = image.height, image.width
    with quiet():
        if is_lying(orientation_of(image)) and image.format != "TIFF":
            height, width = width, height
    if mode in NUMBERS:
        return PictureHeader(height, width, 1, NUMBERS[mode], None)
    alpha = mode in ALPHA or "transparency" in image.info or (mode == "P" and _palette_mode(image).endswith("A"))
    if mode.startswith(DEEP):
        return PictureHeader(height, width, 1, np.dtype(np.uint16), 65535.0, alpha=alpha)
    if mode in ("P", "PA"):
        return PictureHeader(height, width, 1 if _gray_palette(image) else 3, alpha=alpha)
    if mode in GRAY or mode in COLORED:
        return PictureHeader(height, width, 1 if mode in GRAY else 3, BYTE, alpha=alpha)
    raise BadData(f"{name!r} has colors of the kind {mode}, which are not read. Save it as gray or RGB.")


def _palette_mode(image: "Image") -> str:
    return str(getattr(image.palette, "mode", ""))


def _gray_palette(image: "Image") -> bool:
    """Whether all colors of a palette are gray; the pixels are not decoded, as ``getpalette`` would do."""
    palette = image.palette
    if palette is None:
        return True
    order = str(palette.rawmode or palette.mode)
    values = np.frombuffer(bytes(palette.palette), BYTE)
    # such as RGB, BGRX, or RGB;L with all reds first
    width = len(order.partition(";")[0])
    values = values[: len(values) // width * width]
    colors = values.reshape(width, -1).T if order.endswith(";L") else values.reshape(-1, width)
    return not bool((colors[:, :3] != colors[:, :1]).any())


def values_of(image: "Image", background: Color, levels: int = 1) -> Array:
    """The pixels of an image of Pillow as they are stored, over a background if they are transparent."""
    mode, key = image.mode, image.info.get("transparency")
    if mode in ("L", "RGB", *NUMBERS) and key is None:
        return np.asarray(image)
    if mode.startswith(DEEP):
        values = np.asarray(image).astype(np.uint16)
        return values if key is None else _keyed(values, key, background)
    if mode in ("1", "L"):
        values = np.asarray(image.convert("L"))
        return values if key is None else _keyed(values, key * (255 if mode == "1" else levels), background)
    if mode == "RGB":
        return _keyed(np.asarray(image), key, background)
    if mode in ("P", "PA"):
        return _of_palette(image, background)
    if mode in ALPHA:
        values = np.asarray(image.convert(mode.upper()) if mode in ("La", "RGBa") else image)
        return composited(_squeezed(values[..., :-1]), values[..., -1], background, 255)
    return _in_color(image)


def _keyed(values: Array, key: Any, background: Color) -> Array:
    """Values of which one gray level, or one color, is transparent."""
    brightest = int(np.iinfo(values.dtype).max)
    seen = values != np.asarray(key, np.int64)
    alpha = (seen.any(-1) if values.ndim == 3 else seen) * values.dtype.type(brightest)
    return composited(values, alpha, background, brightest)


def _of_palette(image: "Image", background: Color) -> Array:
    """The colors that the indices of a palette stand for."""
    gray = _gray_palette(image)
    if image.mode == "P" and "transparency" not in image.info and not _palette_mode(image).endswith("A"):
        values = np.asarray(image.convert("RGB"))
        return values[..., 0] if gray else values
    values = np.asarray(image.convert("RGBA"))
    return composited(values[..., 0] if gray else values[..., :3], values[..., 3], background, 255)


def _squeezed(values: Array) -> Array:
    return values[..., 0] if values.shape[-1] == 1 else values


def _in_color(image: "Image") -> Array:
    """Inks, or brightness and two differences of color, as red, green and blue."""
    if image.mode == "CMYK" and image.format == "JPEG" and "adobe" not in image.info:
        # Pillow takes the inverted inks of Adobe for granted
        from PIL import ImageChops

        image = ImageChops.invert(image)
    return np.asarray(image.convert("RGB"))
