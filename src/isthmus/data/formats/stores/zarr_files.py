"""The files of a Zarr store: of a folder, or of a zip file; only files inside it are opened."""

import hashlib
import os
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import numpy as np

from isthmus.data.base import SourceFile
from isthmus.data.formats.files import check_growth, reading
from isthmus.data.formats.stores.base import MOST_ARRAYS
from isthmus.data.storage.base import File
from isthmus.errors import BadData
from isthmus.files.untrusted import misplaced, parse_json

DESCRIPTIONS = (".zarray", "zarr.json")
"""Files that describe an array."""
SAMPLES = 64


def is_zarr(folder: Path) -> bool:
    """Whether a folder is a Zarr store, by its description or its name."""
    described = any((folder / name).is_file() for name in (*DESCRIPTIONS, ".zgroup", ".zmetadata"))
    return described or folder.name.lower().endswith(".zarr")


class ZarrFiles(ABC):
    """The files of a store by relative path."""

    @abstractmethod
    def get(self, name: str, most: int) -> bytes | None:
        """The bytes of a file, or ``None`` if there is none.

        Raises:
            BadData: it has more than ``most`` bytes, or lies outside the store.
        """

    @abstractmethod
    def arrays(self) -> Iterator[tuple[str, str]]:
        """The folders of arrays, empty or with ``/`` at the end, each with the name of the file that describes it."""

    def _describes(self, name: str) -> bool:
        """Whether a ``zarr.json`` describes an array, and not a group."""
        data = self.get(name, 2**24)
        found = {} if data is None else parse_json(data.decode())
        return isinstance(found, dict) and found.get("node_type") == "array"


class FolderFiles(ZarrFiles):
    """The files of a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, name: str, most: int) -> bytes | None:
        """The bytes of a file."""
        path = self.folder / name
        if not path.is_file():
            return None
        why = misplaced(path, self.folder)
        if why is not None:
            raise BadData(f"{name[-60:]!r} in {self.folder.name!r} {why}. Copy it into the folder.")
        _check_length(path.stat().st_size, most, name, self.folder.name)
        return path.read_bytes()

    def arrays(self) -> Iterator[tuple[str, str]]:
        """The folders of arrays; those below an array hold its chunks."""
        count = 0
        for parent, folders, names in os.walk(self.folder):
            relative = Path(parent).relative_to(self.folder).as_posix()
            prefix = "" if relative == "." else f"{relative}/"
            folders.sort()
            found = next((name for name in DESCRIPTIONS if name in names), None)
            if found == "zarr.json" and not self._describes(f"{prefix}{found}"):
                found = None
            count += len(names) + 1
            if found is not None:
                folders.clear()
                yield prefix, found
            elif count > 100 * MOST_ARRAYS:
                raise BadData(
                    f"{self.folder.name!r} holds too many files that are no Zarr array. Pass the array itself."
                )


class ZippedFiles(ZarrFiles):
    """The files of a zip file."""

    def __init__(self, file: File) -> None:
        self.file = file
        with reading(file.name, "a zip file"), file.open() as stream, zipfile.ZipFile(stream) as archive:
            self._members = {item.filename: item for item in archive.infolist()}

    def get(self, name: str, most: int) -> bytes | None:
        """The bytes of a file."""
        item = self._members.get(name)
        if item is None:
            return None
        _check_length(item.file_size, most, name, self.file.name)
        check_growth(item.file_size, self.file.packed, f"{name[-60:]!r} in {self.file.name!r}")
        with self.file.open() as stream, zipfile.ZipFile(stream) as archive, archive.open(item) as member:
            return member.read(item.file_size)

    def arrays(self) -> Iterator[tuple[str, str]]:
        """The folders of arrays."""
        for name in sorted(self._members):
            folder, _, last = name.rpartition("/")
            if last == ".zarray" or (last == "zarr.json" and self._describes(name)):
                yield (f"{folder}/" if folder else ""), last


def _check_length(size: int, most: int, name: str, where: str) -> None:
    if size > most:
        raise BadData(
            f"{name[-60:]!r} in {where!r} has {size:,} bytes, but at most {most:,} are read. Create it again."
        )


class FolderOfZarr(File):
    """A folder as a file, for its name, its size and its record.

    Raises:
        BadData: it cannot be read.
    """

    path: Path

    def __init__(self, path: Path) -> None:
        self.path, self.name, self.origin = path, path.name, str(path)

    @cached_property
    def _sizes(self) -> dict[str, int]:
        """The size of every file, by relative path in order."""
        with reading(self.path, "a Zarr store"):
            found = {
                (Path(parent) / name).relative_to(self.path).as_posix(): (Path(parent) / name).lstat().st_size
                for parent, _, names in os.walk(self.path)
                for name in names
            }
        return dict(sorted(found.items()))

    @property
    def packed(self) -> int:  # type: ignore[override]
        """Bytes of all files."""
        return sum(self._sizes.values())

    size = packed

    def open(self) -> BinaryIO:
        """A folder has no bytes.

        Raises:
            BadData: always.
        """
        raise BadData(f"{self.name!r} is a folder, not a file.")

    def record(self) -> SourceFile:
        """The SHA-256 of the names and sizes of all files, and of the bytes of some, spread evenly."""
        digest = hashlib.sha256()
        names = list(self._sizes)
        for name in names:
            digest.update(os.fsencode(f"{name} {self._sizes[name]}\n"))
        files = FolderFiles(self.path)
        for row in np.unique(np.linspace(0, len(names) - 1, SAMPLES).astype(np.int64)).tolist() if names else ():
            digest.update(files.get(names[row], 2**63) or b"")
        return SourceFile(self.name, self.packed, digest.hexdigest(), sampled=True)
