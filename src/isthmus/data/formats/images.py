"""Readers of image files, through Pillow.

All images of a folder become one array, so they must have the same size; they are gray unless one is colored.
"""

import hashlib
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from isthmus.data.base import Array, SourceFile
from isthmus.data.formats.files import check_growth, check_inside, reading
from isthmus.errors import BadData
from isthmus.files.atomic import sha256

if TYPE_CHECKING:
    from PIL.Image import Image

EXTENSIONS = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".webp")
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "WEBP")
"""Formats that Pillow may detect, whatever the extension: it knows many more, and EPS runs Ghostscript."""
GREY = ("1", "L", "LA", "La")
DEEP = ("I", "F")


def read_folder(folder: Path) -> tuple[Array, Array | None, SourceFile]:
    """The images of a folder in sorted order: x (N, H, W) or (N, H, W, 3), labels, and the folder's record.

    If the images are in sub-folders (one level), the names of the sub-folders are the labels (N,).

    Raises:
        BadData: no image, images at both levels, a damaged image, or images that differ in size.
    """
    with reading(folder, "a folder of images"):
        paths, labels = list_images(folder)
    headers = [header(path) for path in paths]
    colored = any(color for _, color in headers)
    size = headers[0][0]
    for path, (own, _) in zip(paths, headers, strict=True):
        if own != size:
            raise BadData(
                f"{path.name!r} is {own[0]} x {own[1]} pixels, but {paths[0].name!r}, the first in "
                f"{folder.name!r}, is {size[0]} x {size[1]}. Resize all images to one size."
            )
    shape = (len(paths), size[1], size[0], *((3,) if colored else ()))
    check_growth(math.prod(shape), sum(path.stat().st_size for path in paths), repr(folder.name))
    x = np.empty(shape, dtype=np.uint8)
    for row, path in enumerate(paths):
        x[row] = read_image(path, "RGB" if colored else "L")
    return x, None if labels is None else np.array(labels), _record(folder, paths)


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
    """The images of a folder, sorted, and the name of the sub-folder of each if they are in sub-folders."""
    here = _images(folder)
    subs = sorted(sub for sub in folder.iterdir() if sub.is_dir())
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
    return sorted(p for p in found if p.is_file())


def _record(folder: Path, paths: list[Path]) -> SourceFile:
    """One record for a folder: total size in bytes, and the SHA-256 of the sorted lines "name sha"."""
    with reading(folder, "a folder of images"):
        lines = sorted(f"{path.relative_to(folder).as_posix()} {sha256(path)}\n" for path in paths)
        total = sum(path.stat().st_size for path in paths)
    return SourceFile(folder.name, total, hashlib.sha256("".join(lines).encode()).hexdigest())
