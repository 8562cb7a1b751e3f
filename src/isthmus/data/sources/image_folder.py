"""A folder of images as a source; each image is decoded when it is read.

Only some headers are read at first, so that a million files need not be opened; an image that is damaged, or of another
size or mode than those, is detected when it is read.
"""

import hashlib
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.data.base import Array, Location, SourceFile
from isthmus.data.formats import files
from isthmus.data.formats.files import check_growth, reading
from isthmus.data.formats.pictures import PictureHeader, common_format, list_images, read_header, read_picture
from isthmus.data.sources.base import SAMPLES, RawChunk, Source, row_bytes
from isthmus.errors import BadData, IsthmusError, one_line
from isthmus.files.atomic import sha256
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

    def __init__(self, folder: Path, options: DataOptions | None = None) -> None:
        self.folder, self.name = folder, folder.name
        with reading(folder, "a folder of images"):
            paths, labels = list_images(folder)
        # bytes instead of strings or paths take a tenth of the memory
        self._names = np.array([os.fsencode(path.relative_to(folder)) for path in paths])
        self._labels = None if labels is None else np.array(labels)
        formats, faults = self._formats()
        if not formats:
            raise BadData(
                f"None of the images tried in the folder {folder.name!r} can be read; the first: "
                f"{one_line(faults[0])}. Check the files."
            )
        self.format = common_format(formats, options or DataOptions(), f"The folder {folder.name!r}")
        self.shape, self.dtype, self.brightest = self.format.shape, self.format.dtype, self.format.brightest
        self.axes = "HWC"[: len(self.shape)]

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
        with reading(self.folder, "a folder of images"):
            packed = sum(self._path(row).stat().st_size for row in range(start, stop))
        check_growth((stop - start) * row_bytes(self), packed, repr(self.name))

    def _decoded(self, row: int) -> Array:
        """One image.

        Raises:
            BadData: it is damaged, of another size, or colored although the others are gray.
        """
        path = self._path(row)
        with path.open("rb") as stream:
            return read_picture(stream, path.name, self.format)

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
        with reading(self.folder, "a folder of images"):
            for row, name in enumerate(self._names):
                size = self._path(row).stat().st_size
                total += size
                digest.update(name + f" {size}\n".encode())
            for row in self._evenly(SAMPLES):
                digest.update(self._path(row).read_bytes())
        return (SourceFile(self.folder.name, total, digest.hexdigest(), sampled=True),)

    def whole_record(self) -> SourceFile:
        """The record of the folder with the SHA-256 of every image, for images that are all read into memory."""
        digest = hashlib.sha256()
        total = 0
        with reading(self.folder, "a folder of images"):
            for row, name in enumerate(self._names):
                path = self._path(row)
                total += path.stat().st_size
                digest.update(name + f" {sha256(path)}\n".encode())
        return SourceFile(self.folder.name, total, digest.hexdigest())

    def _path(self, row: int) -> Path:
        return self.folder / os.fsdecode(self._names[row])

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
                path = self._path(row)
                with path.open("rb") as stream:
                    formats[read_header(stream, path.name)] += 1
            except BadData as fault:
                faults.append(fault)
        return formats, faults
