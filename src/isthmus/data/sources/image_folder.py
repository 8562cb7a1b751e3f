"""A folder of images as a source; each image is decoded when it is read.

Only some headers are read at first, so that a million files need not be opened; an image that is damaged, or of another
size or mode than those, is detected when it is read.
"""

import hashlib
import os
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from isthmus.data.base import Array, Location, SourceFile
from isthmus.data.formats import files
from isthmus.data.formats.files import check_growth, reading
from isthmus.data.formats.pictures import EXTENSIONS, PictureHeader, common_format, read_header, read_picture
from isthmus.data.sources.base import SAMPLES, RawChunk, Source, row_bytes
from isthmus.data.storage.base import Tree, digest_of
from isthmus.data.storage.disk import DiskTree
from isthmus.errors import BadData, IsthmusError, one_line
from isthmus.options import DataOptions

LOOKED_AT = 1000
"""Headers that are read at first, spread evenly over the folder."""


class ImageFolder(Source):
    """The images of a folder in natural order (2 before 10), uint8 (H, W) or (H, W, 3).

    The names of sub-folders are the labels. Their size is the most frequent one among the headers that are read, and
    all are colored if one of those is.

    Raises:
        BadData: no image, images at both levels, or none that can be read.
    """

    dtype: np.dtype[Any] = np.dtype(np.uint8)
    row_title = "file"

    def __init__(self, folder: Path | Tree, options: DataOptions | None = None) -> None:
        self.tree = DiskTree(folder) if isinstance(folder, Path) else folder
        self.name = self.tree.name
        names = self.tree.names(np.arange(len(self.tree)))
        found = [row for row, name in enumerate(names) if name.lower().endswith(EXTENSIONS)]
        names = [names[row] for row in found]
        self._rows: Array = np.array(found, np.int64)
        _check_levels(names, self.name)
        # bytes instead of strings take a tenth of the memory
        self._names = np.array([os.fsencode(name) for name in names])
        self._labels = np.array([name.partition("/")[0] for name in names]) if "/" in names[0] else None
        formats, faults = self._formats()
        if not formats:
            raise BadData(
                f"None of the images tried in {self.name!r} can be read; the first: "
                f"{one_line(faults[0])}. Check the files."
            )
        self.format = common_format(formats, options or DataOptions(), f"The folder {self.name!r}")
        self.shape, self.dtype, self.brightest = self.format.shape, self.format.dtype, self.format.brightest

    def __len__(self) -> int:
        """Number of examples."""
        return len(self._names)

    def read(self, start: int, stop: int, into: Array | None = None) -> RawChunk:
        """The examples ``start`` to ``stop``; a damaged image is black and listed in the faults.

        Raises:
            BadData: so many images are compressed like a decompression bomb.
        """
        if (stop - start) * row_bytes(self) > files.FREE:
            self._check_growth(start, stop)
        values = np.zeros((stop - start, *self.shape), self.dtype)
        faults: dict[int, str] = {}
        for index in range(stop - start):
            try:
                values[index] = self._decoded(start + index)
            except IsthmusError as fault:
                faults[index] = one_line(fault)
        return RawChunk(values, faults)

    def _check_growth(self, start: int, stop: int) -> None:
        with reading(self.name, "a folder of images"):
            packed = sum(self.tree.packed(row) for row in self._rows[start:stop])
        check_growth((stop - start) * row_bytes(self), packed, repr(self.name))

    def _decoded(self, row: int) -> Array:
        """One image.

        Raises:
            BadData: it is damaged, of another size, or colored although the others are gray.
        """
        with self.tree.open(self._rows[row]) as stream:
            return read_picture(stream, self._base(row), self.format)

    def locate(self, row: int) -> Location:
        """Location of an example: its file, and its index among the sorted names."""
        return Location(os.fsdecode(self._names[row]), row)

    def names_of(self, rows: Array) -> Array:
        """The paths of some images inside the folder."""
        return np.array([os.fsdecode(name) for name in self._names[rows]])

    def labels_of(self, rows: Array) -> Array | None:
        """The names of the sub-folders of some examples, if the images are in sub-folders."""
        return None if self._labels is None else self._labels[rows]

    def files(self) -> tuple[SourceFile, ...]:
        """One record for the folder: the SHA-256 of all names and sizes, and of the bytes of some images."""
        digest = hashlib.sha256()
        total = 0
        with reading(self.name, "a folder of images"):
            for row, name in enumerate(self._names):
                size = self.tree.size(self._rows[row])
                total += size
                digest.update(name + f" {size}\n".encode())
            for row in self._evenly(SAMPLES):
                with self.tree.open(self._rows[row]) as stream:
                    digest.update(stream.read())
        return (SourceFile(self.name, total, digest.hexdigest(), sampled=True),)

    def whole_record(self) -> SourceFile:
        """The record of the folder with the SHA-256 of every image, for images that are all read into memory."""
        digest = hashlib.sha256()
        total = 0
        with reading(self.name, "a folder of images"):
            for row, name in enumerate(self._names):
                total += self.tree.size(self._rows[row])
                with self.tree.open(self._rows[row]) as stream:
                    digest.update(name + f" {digest_of(stream)}\n".encode())
        return SourceFile(self.name, total, digest.hexdigest())

    def _base(self, row: int) -> str:
        return PurePosixPath(os.fsdecode(self._names[row])).name

    def _evenly(self, count: int) -> list[int]:
        """Rows of ``count`` images spread evenly over the folder."""
        rows: list[int] = np.unique(np.linspace(0, len(self) - 1, count).astype(np.int64)).tolist()
        return rows

    def _formats(self) -> tuple[Counter[PictureHeader], list[BadData]]:
        """How often each size and color occurs among the headers of some images, and why others cannot be read."""
        formats: Counter[PictureHeader] = Counter()
        faults = []
        for row in self._evenly(LOOKED_AT):
            try:
                with self.tree.open(self._rows[row]) as stream:
                    formats[read_header(stream, self._base(row))] += 1
            except BadData as fault:
                faults.append(fault)
        return formats, faults


def _check_levels(names: list[str], where: str) -> None:
    """Refuse a folder without images, or with images at several levels.

    Raises:
        BadData: there is none, or some are in sub-folders and some are not.
    """
    if not names:
        raise BadData(
            f"The folder {where!r} holds no image. Use a folder of {', '.join(EXTENSIONS)} files (or of "
            "sub-folders named after their labels), or of MNIST-type IDX files."
        )
    if len({"/" in name for name in names}) > 1:
        raise BadData(
            f"The folder {where!r} holds images both directly and in sub-folders. "
            "Put all images in the folder, or all in sub-folders named after their labels."
        )
