"""The interface of a file format: what it is called, how it is read, and what can be said about it in a table."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from isthmus.data.dataset import Dataset
from isthmus.data.storage.base import File, plain_name
from isthmus.data.tables.schema import Schema
from isthmus.errors import BadData
from isthmus.options import DataOptions

Reader = Callable[[File, DataOptions, Schema | None], Dataset]
"""Reads a file by the options; the schema has the columns of the training table, for new data.

Raises ``BadData`` for a file that cannot be read, and ``MissingExtra`` if the library is not installed.
"""


@dataclass(frozen=True)
class Format:
    """A file format.

    Args:
        name: what its users call it, such as ``HDF5``.
        endings: extensions in lower case, the usual one first, without those of compressions.
        read: its reader.
        holds: what a file has: named arrays, a table, images, or sequences of frames.
        library: distribution that decodes it.
        extra: extra of this package that installs the library; empty if every installation has it.
        guessed: what is guessed, in a few words; printed with the option when it was.
        options: options of the data that override the guesses.
        limits: what is not read, in a few words.
    """

    name: str
    endings: tuple[str, ...]
    read: Reader
    holds: Literal["arrays", "table", "images", "frames"]
    library: str
    extra: str = ""
    guessed: str = ""
    options: tuple[str, ...] = ()
    limits: str = ""

    def matches(self, name: str) -> bool:
        """Whether a file is of this format, by its name; the extension of a compression is left out."""
        return plain_name(name).lower().endswith(self.endings)


def refuse_labels(name: str, options: DataOptions, schema: Schema | None) -> None:
    """Refuse ``data.labels`` for data whose labels have no name.

    Raises:
        BadData: it is set.
    """
    if options.labels is not None and schema is None:
        raise BadData(
            f"data.labels names a column of a .csv or .parquet table, but {name!r} is not a table. Leave it out."
        )
