"""Readers of picture files, through Pillow.

All pictures of a folder become one array, so they must agree in size; they are grey unless one is coloured.
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
from isthmus.data.files import check_growth, check_inside, reading
from isthmus.errors import BadData
from isthmus.files import sha256

if TYPE_CHECKING:
    from PIL.Image import Image

ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".webp")
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "WEBP")
"""What Pillow may take a file for, whatever its name says: other formats are many, and one of them runs a program."""
GREY = ("1", "L", "LA", "La")
DEEP = ("I", "F")


def read_folder(folder: Path) -> tuple[Array, Array | None, SourceFile]:
    """The pictures of a folder in sorted order: x (N, H, W) or (N, H, W, 3), labels, and the folder's record.

    Where the pictures lie in sub-folders (one level), the sub-folders' names are the labels (N,).

    Raises:
        BadData: no picture, pictures at both levels, a damaged one, or one that differs in size.
    """
    with reading(folder, "a folder of images"):
        paths, words = listed(folder)
    looks = [header(path) for path in paths]
    coloured = any(look[1] for look in looks)
    size = looks[0][0]
    for path, look in zip(paths, looks, strict=True):
        if look[0] != size:
            raise BadData(
                f"{path.name!r} is {look[0][0]} x {look[0][1]} pixels, but {paths[0].name!r}, the first in "
                f"{folder.name!r}, is {size[0]} x {size[1]}. Bring all images to one size."
            )
    shape = (len(paths), size[1], size[0], *((3,) if coloured else ()))
    check_growth(math.prod(shape), sum(path.stat().st_size for path in paths), repr(folder.name))
    x = np.empty(shape, dtype=np.uint8)
    for row, path in enumerate(paths):
        x[row] = read_image(path, "RGB" if coloured else "L")
    return x, None if words is None else np.array(words), _record(folder, paths)


def read_image(path: Path, mode: str) -> Array:
    """One picture as uint8, (H, W) for mode ``L`` and (H, W, 3) for ``RGB``; alpha is dropped."""
    with _opened(path) as image:
        return np.asarray(image.convert(mode))


def header(path: Path) -> tuple[tuple[int, int], bool]:
    """Width and height of a picture, and whether it is coloured; only the header is read."""
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
    """An opened picture, with Pillow's warning of a decompression bomb as an error."""
    from PIL import Image

    with reading(path, "an image"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path, formats=FORMATS) as image:
            yield image


def listed(folder: Path) -> tuple[list[Path], list[str] | None]:
    """The pictures below a folder, sorted, and for each the name of its sub-folder where there are any."""
    here = _pictures(folder)
    subs = sorted(sub for sub in folder.iterdir() if sub.is_dir())
    for sub in subs:
        check_inside(sub, folder)
    below = [p for sub in subs for p in _pictures(sub)]
    for path in here or below:
        check_inside(path, folder)
    if here and below:
        raise BadData(
            f"The folder {folder.name!r} holds images both directly and in sub-folders. "
            "Put all in it, or all in sub-folders named after their labels."
        )
    if not here and not below:
        raise BadData(
            f"The folder {folder.name!r} holds no image. Give a folder with files ending in {', '.join(ENDINGS)} "
            "(or in sub-folders named after their labels), or with MNIST-type IDX files."
        )
    return (here, None) if here else (below, [p.parent.name for p in below])


def _pictures(folder: Path) -> list[Path]:
    found = (p for p in folder.iterdir() if p.suffix.lower() in ENDINGS and not p.name.startswith("."))
    return sorted(p for p in found if p.is_file())


def _record(folder: Path, paths: list[Path]) -> SourceFile:
    """One record for a folder: total bytes, and the SHA-256 of the sorted lines "name sha"."""
    with reading(folder, "a folder of images"):
        lines = sorted(f"{path.relative_to(folder).as_posix()} {sha256(path)}\n" for path in paths)
        total = sum(path.stat().st_size for path in paths)
    return SourceFile(folder.name, total, hashlib.sha256("".join(lines).encode()).hexdigest())
