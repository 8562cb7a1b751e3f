"""The images of a folder."""

import os
import re
from pathlib import Path

from isthmus.data.formats.files import check_inside
from isthmus.data.formats.pictures.opening import EXTENSIONS
from isthmus.errors import BadData


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
