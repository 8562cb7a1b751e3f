"""Readers of image files, through Pillow."""

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from isthmus.data.base import Array
from isthmus.data.formats.files import check_inside, reading
from isthmus.errors import BadData

if TYPE_CHECKING:
    from PIL.Image import Image

EXTENSIONS = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".webp")
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "WEBP")
"""Formats that Pillow may detect, whatever the extension: it knows many more, and EPS runs Ghostscript."""
GREY = ("1", "L", "LA", "La")
DEEP = ("I", "F")


def read_image(path: Path, mode: str) -> Array:
    """An image as uint8, (H, W) for mode ``L`` and (H, W, 3) for ``RGB``; alpha is dropped."""
    with _opened(path) as image:
        return np.asarray(image.convert(mode))


def header(path: Path) -> tuple[tuple[int, int], bool]:
    """Width and height of an image, and whether it is colored; only the header is read."""
    with _opened(path) as image:
        mode = image.mode
        if mode.startswith(DEEP):
            raise BadData(
                f"{path.name!r} has pixels of more than 8 bits (mode {mode}). Save it with 8 bits per channel."
            )
        if mode == "P":
            palette = np.array(image.getpalette("RGB") or [0, 0, 0]).reshape(-1, 3)
            return image.size, bool((palette != palette[:, :1]).any())
        return image.size, mode not in GREY


@contextmanager
def _opened(path: Path) -> "Iterator[Image]":
    """An open image; Pillow's warning of a decompression bomb is an error."""
    from PIL import Image

    with reading(path, "an image"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path, formats=FORMATS) as image:
            yield image


def list_images(folder: Path) -> tuple[list[Path], list[str] | None]:
    """The images of a folder in natural order, and the name of the sub-folder of each if they are in sub-folders."""
    here = _images(folder)
    subs = sorted((sub for sub in folder.iterdir() if sub.is_dir()), key=natural)
    for sub in subs:
        check_inside(sub, folder)
    below = [p for sub in subs for p in _images(sub)]
    for path in here or below:
        check_inside(path, folder)
    if here and below:
        raise BadData(
            f"The folder {folder.name!r} holds images both directly and in sub-folders. "
            "Put all images in the folder, or all in sub-folders named after their labels."
        )
    if not here and not below:
        raise BadData(
            f"The folder {folder.name!r} holds no image. Use a folder of {', '.join(EXTENSIONS)} files (or of "
            "sub-folders named after their labels), or of MNIST-type IDX files."
        )
    return (here, None) if here else (below, [p.parent.name for p in below])


def _images(folder: Path) -> list[Path]:
    found = (p for p in folder.iterdir() if p.suffix.lower() in EXTENSIONS and not p.name.startswith("."))
    return sorted((p for p in found if p.is_file()), key=natural)


def natural(path: Path) -> tuple[list[tuple[int, int | str]], str]:
    """Key of the natural order of file names, in which 2 comes before 10.

    >>> sorted([Path("10.png"), Path("2.png"), Path("b.png")], key=natural)[0].name
    '2.png'
    """
    words = re.split(r"([0-9]+)", path.name)
    return [(0, int(word)) if word.isdecimal() else (1, word.casefold()) for word in words], os.fspath(path)
