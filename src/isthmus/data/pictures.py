"""A folder of images as a source: each is decoded when it is read.

Only some headers are looked at to begin with, so a million files do not have to be opened first; a picture that is
damaged, or of another size or kind than those, is found when it is read.
"""

import hashlib
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.data.base import Array, Place, SourceFile
from isthmus.data.files import reading
from isthmus.data.images import header, listed, read_image
from isthmus.data.sources import SAMPLES, Piece, even_cuts
from isthmus.errors import BadData, IsthmusError, one_line

LOOKED_AT = 1000
"""Headers that are read to begin with, spread evenly over the folder."""


class Pictures:
    """The pictures of a folder in sorted order, (H, W) or (H, W, 3) of bytes; names of sub-folders are the labels.

    Size is that of most of the headers looked at, and all are coloured if one of them is.

    Raises:
        BadData: no picture, pictures at both levels, or none that can be read.
    """

    scattered = True
    dtype: np.dtype[Any] = np.dtype(np.uint8)

    def __init__(self, folder: Path) -> None:
        self.folder, self.name = folder, folder.name
        with reading(folder, "a folder of images"):
            paths, words = listed(folder)
        # bytes, not text or paths: a tenth of the memory for a million names
        self._names = np.array([os.fsencode(path.relative_to(folder)) for path in paths])
        self._words = None if words is None else np.array(words)
        looks = Counter(found for row in self._spread(LOOKED_AT) if (found := self._seen(row)) is not None)
        if not looks:
            raise BadData(f"No image looked at in the folder {folder.name!r} can be read. Check the files.")
        (width, height), _ = looks.most_common(1)[0][0]
        self.coloured = any(coloured for _, coloured in looks)
        self.shape: tuple[int, ...] = (height, width, 3) if self.coloured else (height, width)

    def __len__(self) -> int:
        """Number of examples."""
        return len(self._names)

    def read(self, start: int, stop: int, into: Array | None = None) -> Piece:
        """The examples ``start`` to ``stop``; a damaged picture is a fault, and black."""
        values = np.zeros((stop - start, *self.shape), np.uint8)
        faults: dict[int, str] = {}
        for index in range(stop - start):
            try:
                values[index] = self._decoded(start + index)
            except IsthmusError as fault:
                faults[index] = one_line(fault)
        return Piece(values, faults)

    def _decoded(self, row: int) -> Array:
        """One picture.

        Raises:
            BadData: it is damaged, of another size, or coloured where the others are grey.
        """
        path = self._path(row)
        size, coloured = header(path)
        if size != (self.shape[1], self.shape[0]):
            raise BadData(f"it is {size[0]} x {size[1]} pixels, most others are {self.shape[1]} x {self.shape[0]}")
        if coloured and not self.coloured:
            raise BadData("it is coloured, the others are grey")
        return read_image(path, "RGB" if self.coloured else "L")

    def cuts(self) -> Array:
        """Every ``BLOCK`` bytes of pixels."""
        return even_cuts(len(self), self.shape, self.dtype)

    def place(self, row: int) -> Place:
        """Where an example is: its file, and its number among the sorted names."""
        return Place(os.fsdecode(self._names[row]), row)

    def labels(self, rows: Array) -> Array | None:
        """The names of the sub-folders of some examples, where there are any."""
        return None if self._words is None else self._words[rows]

    def files(self) -> tuple[SourceFile, ...]:
        """One record for the folder: the SHA-256 of all names and sizes, and of the bytes of some pictures."""
        digest = hashlib.sha256()
        total = 0
        with reading(self.folder, "a folder of images"):
            for row, name in enumerate(self._names):
                size = self._path(row).stat().st_size
                total += size
                digest.update(name + f" {size}\n".encode())
            for row in self._spread(SAMPLES):
                digest.update(self._path(row).read_bytes())
        return (SourceFile(self.folder.name, total, digest.hexdigest(), sampled=True),)

    def _path(self, row: int) -> Path:
        return self.folder / os.fsdecode(self._names[row])

    def _spread(self, count: int) -> list[int]:
        rows: list[int] = np.unique(np.linspace(0, len(self) - 1, count).astype(np.int64)).tolist()
        return rows

    def _seen(self, row: int) -> tuple[tuple[int, int], bool] | None:
        """Size and colour of a picture by its header, or nothing where it is damaged."""
        try:
            return header(self._path(row))
        except BadData:
            return None
