"""Names of files: their natural order, which of them are no data, and millions of them in little memory."""

import os
import re
from array import array
from collections.abc import Iterable

import numpy as np

from isthmus.data.base import Array
from isthmus.errors import BadData

MOST_FILES = 2**23
"""Largest number of files in a folder or an archive: 8 million."""
JUNK = frozenset({"__macosx", "thumbs.db", "desktop.ini"})
"""Names that systems add to folders, in lower case."""
DIGITS = re.compile(r"([0-9]+)")


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


class Names:
    """Names in one piece of memory: about their length and 8 bytes each.

    Raises:
        BadData: there are more than ``MOST_FILES``.
    """

    def __init__(self, names: Iterable[str], where: str) -> None:
        blob, ends = bytearray(), array("q", [0])
        for name in names:
            blob += os.fsencode(name)
            ends.append(len(blob))
            check_count(len(ends) - 1, where)
        self._blob = bytes(blob)
        self._ends: Array = np.frombuffer(ends, np.int64)

    def __len__(self) -> int:
        """Number of names."""
        return len(self._ends) - 1

    def __getitem__(self, row: int) -> str:
        """A name."""
        return os.fsdecode(self._blob[self._ends[row] : self._ends[row + 1]])

    def of(self, rows: Array) -> list[str]:
        """The names at ``rows``."""
        return [self[row] for row in rows]


def check_count(count: int, where: str) -> None:
    """Refuse a folder or an archive of too many files.

    Raises:
        BadData: there are more than ``MOST_FILES``.
    """
    if count > MOST_FILES:
        raise BadData(
            f"{where} holds more than {MOST_FILES:,} files, but at most that many are read. Use a part of them, or "
            "save the examples as one .npy file."
        )
