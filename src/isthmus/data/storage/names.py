"""Names of files: their natural order, which of them are no data, and millions of them in little memory."""

import os
import re
import sys
from array import array
from collections.abc import Iterable

import numpy as np

from isthmus.data.base import Array
from isthmus.errors import BadData

MOST_FILES = 2**23
"""Largest number of files in a folder or an archive: 8 million."""
JUNK = frozenset({"__macosx", "thumbs.db", "desktop.ini"})
"""Names that systems add to folders, in lower case."""
CODE, ERRORS = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()
DIGITS = re.compile(r"([0-9]+)")
LONGEST_ENDING = 10
"""Most characters of an extension."""


def natural(name: str) -> bytes:
    """Key of the natural order of paths with ``/``, in which 2 comes before 10, and a folder before what follows it.

    >>> sorted(["b/1.png", "a10/1.png", "a2/1.png", "a2/B.png"], key=natural)
    ['a2/1.png', 'a2/B.png', 'a10/1.png', 'b/1.png']
    """
    # bytes take a tenth of the memory of the lists of words and numbers that they are compared like
    key = bytearray()
    for part in name.split("/"):
        words = DIGITS.split(part)
        for text, number in zip(words[::2], [*words[1::2], None], strict=True):
            key += os.fsencode(text.casefold()) + b"\0"
            if number is not None:
                digits = number.lstrip("0").encode()
                key += b"\1" + min(len(digits), 2**32 - 1).to_bytes(4, "big") + digits
        key += b"\0"
    return bytes(key) + os.fsencode(name)


def is_junk(name: str) -> bool:
    """Whether a file or folder is hidden, or one that systems add to folders.

    >>> is_junk(".DS_Store"), is_junk("Thumbs.db"), is_junk("1.png")
    (True, True, False)
    """
    return name.startswith(".") or name.casefold() in JUNK


def ending(name: str) -> str:
    """Extension of a file name in lower case; empty where what follows the last point is a number or long.

    >>> ending("a.b.PNG"), ending("scan.0001"), ending("README")
    ('.png', '', '')
    """
    stem, _, last = name.rpartition(".")
    return f".{last.lower()}" if stem and 0 < len(last) <= LONGEST_ENDING and not last.isdecimal() else ""


class Names:
    """Relative paths of files in little memory: each folder and each extension once, and names as bytes.

    Args:
        names: the paths, with ``/`` between folders.
        where: what holds them, for messages.

    Attributes:
        folders: relative paths of the folders that hold files; empty for the top one.
        folder_of: number of the folder of each file, (N,).
        endings: extensions of the files, as :func:`ending` gives them.
        ending_of: number of the extension of each file, (N,).

    Raises:
        BadData: there are more than ``MOST_FILES``.
    """

    def __init__(self, names: Iterable[str], where: str) -> None:
        folders: dict[str, int] = {}
        endings: dict[str, int] = {}
        blob, ends, folder_of, ending_of = bytearray(), array("q", [0]), array("i"), array("i")
        for path in names:
            folder, _, name = path.rpartition("/")
            blob += os.fsencode(name)
            ends.append(len(blob))
            folder_of.append(folders.setdefault(folder, len(folders)))
            ending_of.append(endings.setdefault(ending(name), len(endings)))
            check_count(len(folder_of), where)
        self._blob = bytes(blob)
        self.folders, self.endings = list(folders), list(endings)
        # single numbers are read faster from these than from arrays of NumPy, which share their memory
        self._ends, self._folder_of = ends, folder_of
        self.folder_of, self.ending_of = np.asarray(folder_of), np.asarray(ending_of)

    def __len__(self) -> int:
        """Number of names."""
        return len(self.folder_of)

    def __getitem__(self, row: int) -> str:
        """A path."""
        folder = self.folders[self._folder_of[row]]
        name = self._blob[self._ends[row] : self._ends[row + 1]].decode(CODE, ERRORS)
        return f"{folder}/{name}" if folder else name

    def of(self, rows: Array) -> list[str]:
        """The paths at ``rows``."""
        return [self[row] for row in np.asarray(rows).tolist()]


def check_count(count: int, where: str, most: int | None = None) -> None:
    """Refuse a folder or an archive of too many files: more than ``most``, by default ``MOST_FILES``.

    Raises:
        BadData: there are.
    """
    most = MOST_FILES if most is None else most
    if count > most:
        raise BadData(
            f"{where} holds more than {most:,} files, but at most that many are read. Use a part of them, or "
            "save the examples as one .npy file."
        )
