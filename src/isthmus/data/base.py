"""Records about data: location of an example, files that were read, and provenance.

Nothing here reads a file or changes a value.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Location(NamedTuple):
    """Location of an example: its file (empty for data in memory), its 0-based row in that file, and its name."""

    file: str
    row: int
    name: str = ""

    def __str__(self) -> str:
        """Text for messages."""
        row = f"row {self.row}" + (f" ({self.name})" if self.name and self.name != self.file else "")
        return f"{self.file!r}, {row}" if self.file else row


@dataclass(frozen=True)
class SourceFile:
    """A file that was read: its name without folder, size in bytes and SHA-256.

    If ``sampled``, the SHA-256 is that of the size and of chunks spread over the file, which is too large to be read
    completely at every start.
    """

    name: str
    bytes: int
    sha256: str
    sampled: bool = False


@dataclass(frozen=True)
class Provenance:
    """Provenance of data: the requested name, the files with checksums, terms of use and credit."""

    name: str
    files: tuple[SourceFile, ...] = ()
    terms: str = ""
    credit: str = ""


def texts(values: Array) -> list[str]:
    """Names as text; a byte of a file name that is not UTF-8 becomes a replacement character.

    >>> texts(np.array(["2024-05-01T12:30"], "datetime64[ns]"))
    ['2024-05-01 12:30:00']
    """
    names = np.asarray(values)
    if names.dtype.kind == "M" and np.datetime_data(names.dtype)[0] in ("ns", "ps", "fs", "as"):
        # lists of dates with nanoseconds are numbers
        short = names.astype("datetime64[us]")
        names = short if bool((short == names).all()) else np.char.replace(np.datetime_as_string(names), "T", " ")
    return [str(value).encode("utf-8", "replace").decode("utf-8", "replace") for value in names.tolist()]
