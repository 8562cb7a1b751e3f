"""Pictures of a folder or of an archive as a source; each one is decoded when it is read.

Only some headers are read at first, so that a million files need not be opened; a picture that is damaged, or cannot be
brought to the format of those, is detected when it is read.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from isthmus.data.base import Array, Location, SourceFile
from isthmus.data.formats import files
from isthmus.data.formats.files import check_growth
from isthmus.data.formats.pictures import (
    PictureFormat,
    PictureHeader,
    read_header,
    read_headers,
    read_pages,
    read_picture,
)
from isthmus.data.sources.base import SAMPLES, RawChunk, Source, row_bytes
from isthmus.data.sources.recordings import Recordings
from isthmus.data.storage.base import Tree, digest_of
from isthmus.errors import BadData, one_line

WORTH_A_THREAD = 2**14
"""Size of a picture, in bytes, from which on two threads decode faster than one: 16 KiB."""
NAMED_AT_ONCE = 2**14
"""Files whose names are in memory at a time."""


class ImageFolder(Source):
    """Some pictures of a tree of files, in one format.

    Args:
        tree: the files.
        wanted: what each picture becomes.
        rows: rows of the pictures in the tree, ascending.
        labels: number of the label of each folder of the tree, (FOLDERS,); ``None`` without labels.
        pages: number of pages of each picture that are examples, (N,); ``None`` for the first of each.
        name: name for messages; that of the tree if empty.
    """

    row_title = "file"

    def __init__(
        self,
        tree: Tree,
        wanted: PictureFormat,
        rows: Array,
        labels: Array | None = None,
        pages: Array | None = None,
        name: str = "",
    ) -> None:
        self.tree, self.format, self.name = tree, wanted, name or tree.name
        self.shape, self.dtype, self.brightest, self.axes = wanted.shape, wanted.dtype, wanted.brightest, wanted.axes
        self._rows, self._labels = rows, labels
        self._starts = None if pages is None or bool((pages == 1).all()) else np.append(0, np.cumsum(pages))

    def __len__(self) -> int:
        """Number of examples."""
        return len(self._rows) if self._starts is None else int(self._starts[-1])

    def read(self, start: int, stop: int, into: Array | None = None) -> RawChunk:
        """The examples ``start`` to ``stop``; a damaged picture is all zeros and listed in the faults.

        Raises:
            BadData: so many pictures are compressed like a decompression bomb.
        """
        if (stop - start) * row_bytes(self) > files.FREE:
            self._check_growth(start, stop)
        values = np.empty((stop - start, *self.shape), self.dtype) if into is None else into
        if row_bytes(self) < WORTH_A_THREAD or len(values) == 1:
            return RawChunk(values, self._decode(values, start))
        half = len(values) // 2
        with ThreadPoolExecutor(1, thread_name_prefix="isthmus-pictures") as other:
            second = other.submit(self._decode, values[half:], start + half)
            faults = self._decode(values[:half], start)
            faults |= {half + index: why for index, why in second.result().items()}
        return RawChunk(values, faults)

    def _decode(self, values: Array, first: int) -> dict[int, str]:
        """Write the pictures from ``first`` on to ``values``; the indices of damaged ones, with the reason."""
        faults: dict[int, str] = {}
        names, index = self.tree.table(), 0
        while index < len(values):
            row, page, pages = self._place(first + index)
            try:
                with self.tree.open(row) as stream:
                    name = names[row]
                    if pages == 1:
                        values[index] = read_picture(stream, name, self.format, page)
                        index += 1
                        continue
                    for picture in read_pages(stream, name, self.format, range(page, pages)[: len(values) - index]):
                        values[index] = picture
                        index += 1
            except BadData as fault:
                values[index] = 0
                # the location of the example names it already
                faults[index] = one_line(fault).replace(f"{names[row]!r} ", "it ", 1)
                index += 1
        return faults

    def _check_growth(self, start: int, stop: int) -> None:
        rows = np.unique(self._files(np.arange(start, stop))).tolist()
        packed = sum(map(self.tree.packed, rows))
        check_growth((stop - start) * row_bytes(self), packed, repr(self.name))

    def locate(self, row: int) -> Location:
        """Location of an example: its file, and its index among the sorted names."""
        return Location(self.names_of(np.array([row])).tolist()[0], row)

    def names_of(self, rows: Array) -> Array:
        """The paths of some pictures inside the folder; of one of several pages with ``#`` and its number from 0."""
        own = self._files(rows)
        names = self.tree.names(own)
        if self._starts is not None:
            places = np.searchsorted(self._starts, rows, side="right") - 1
            numbers, several = rows - self._starts[places], np.diff(self._starts)[places] > 1
            names = [
                f"{name}#{number}" if many else name
                for name, number, many in zip(names, numbers.tolist(), several.tolist(), strict=True)
            ]
        return np.array(names, dtype=str)

    def recordings(self) -> Recordings:
        """One per folder, whose pictures in natural order are its frames; or one per file, if files have pages."""
        if self._starts is not None:
            return Recordings(self._starts[:-1], self.tree.names(self._rows))
        folders = self.folder_numbers()
        starts = np.flatnonzero(np.append(True, folders[1:] != folders[:-1]))
        return Recordings(
            starts, [self.tree.table().folders[number] or self.name for number in folders[starts].tolist()]
        )

    def labels_of(self, rows: Array) -> Array | None:
        """The numbers of the labels of some examples, if the folders are labels."""
        return None if self._labels is None else self._labels[self._folders()[self._files(rows)]].astype(np.int64)

    def groups(self) -> Array | None:
        """The file of each example, as a number, if some files are several examples."""
        return None if self._starts is None else np.repeat(np.arange(len(self._rows)), np.diff(self._starts))

    def folder_numbers(self) -> Array:
        """The folder of each example as a number, (N,); ascending where no folder has both files and folders."""
        return self._folders()[self._files(np.arange(len(self)))]

    def files(self) -> tuple[SourceFile, ...]:
        """One record for the folder: the SHA-256 of all names and sizes, and of the bytes of some pictures."""
        digest = hashlib.sha256()
        total = 0
        for name, row in self._named():
            size = self.tree.size(row)
            total += size
            digest.update(os.fsencode(name) + f" {size}\n".encode())
        for row in self._rows[evenly(len(self._rows), SAMPLES)].tolist():
            with self.tree.open(row) as stream:
                digest.update(stream.read())
        return (SourceFile(self.name, total, digest.hexdigest(), sampled=True),)

    def whole_record(self) -> SourceFile:
        """The record of the folder with the SHA-256 of every picture, for pictures that are all read into memory."""
        digest = hashlib.sha256()
        total = 0
        for name, row in self._named():
            with self.tree.open(row) as stream:
                total += stream.seek(0, os.SEEK_END)
                stream.seek(0)
                digest.update(os.fsencode(name) + f" {digest_of(stream)}\n".encode())
        return SourceFile(self.name, total, digest.hexdigest())

    def _named(self) -> Iterable[tuple[str, int]]:
        """Name of each picture, and its row in the tree."""
        for start in range(0, len(self._rows), NAMED_AT_ONCE):
            rows = self._rows[start : start + NAMED_AT_ONCE]
            yield from zip(self.tree.names(rows), rows.tolist(), strict=True)

    def _files(self, rows: Array) -> Array:
        """Rows in the tree of the files of some examples."""
        if self._starts is None:
            return self._rows[rows]
        return self._rows[np.searchsorted(self._starts, rows, side="right") - 1]

    def _place(self, row: int) -> tuple[int, int, int]:
        """Row in the tree of the file of an example, its page there, and the number of pages of the file."""
        if self._starts is None:
            return int(self._rows[row]), 0, 1
        place = int(np.searchsorted(self._starts, row, side="right")) - 1
        start, end = self._starts[place : place + 2].tolist()
        return int(self._rows[place]), row - start, end - start

    def _folders(self) -> Array:
        return self.tree.table().folder_of


def evenly(length: int, count: int) -> Array:
    """At most ``count`` indices spread evenly over a length.

    >>> evenly(5, 3).tolist(), evenly(2, 3).tolist()
    ([0, 2, 4], [0, 1])
    """
    rows: Array = np.unique(np.linspace(0, length - 1, min(count, length)).astype(np.int64))
    return rows


class Looked:
    """What the headers of some pictures of a tree say.

    Args:
        tree: the files.
        rows: rows of the pictures.
        whole: whether the headers of all pages are read, not only those of the first.
        stacked: whether the pages of a file are the channels of one picture.

    Attributes:
        headers: how often each occurs.
        pages: number of pages of each picture, (N,); 1 for damaged ones.
        faults: why the others cannot be read.
    """

    def __init__(self, tree: Tree, rows: Array, *, whole: bool = False, stacked: bool = False) -> None:
        self.headers: Counter[PictureHeader] = Counter()
        self.pages: Array = np.ones(len(rows), np.int64)
        self.faults: list[BadData] = []
        table = tree.table()
        for index, row in enumerate(rows.tolist()):
            try:
                with tree.open(row) as stream:
                    name = table[row]
                    found = read_headers(stream, name) if whole else [read_header(stream, name, stacked=stacked)]
            except BadData as fault:
                self.faults.append(fault)
            else:
                self.headers.update(found)
                self.pages[index] = found[0].pages
