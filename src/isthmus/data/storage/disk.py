"""Files on disk."""

from pathlib import Path
from typing import BinaryIO, cast

from isthmus.data.base import SourceFile
from isthmus.data.formats.files import reading, source_file
from isthmus.data.storage.base import File


class DiskFile(File):
    """A plain file on disk.

    Raises:
        BadData: it does not exist or cannot be read.
    """

    path: Path

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, path.name
        with reading(path, "a file"):
            self.size = self.packed = path.stat().st_size

    def open(self) -> BinaryIO:
        """A new stream of its bytes."""
        return cast(BinaryIO, self.path.open("rb"))

    def record(self) -> SourceFile:
        """Name, size and checksum."""
        return source_file(self.path)
