"""The pages or frames of one file as a source; each is decoded when it is read."""

from collections import Counter

import numpy as np

from isthmus.data.base import Array, Location, SourceFile
from isthmus.data.formats import files
from isthmus.data.formats.files import check_growth
from isthmus.data.formats.pictures import common_format, format_notes, read_headers, read_pages
from isthmus.data.sources.base import RawChunk, Source, row_bytes
from isthmus.data.storage.base import File
from isthmus.errors import BadData, one_line
from isthmus.options import DataOptions

MOST_FAULTS = 100
"""Damaged pages after which the others are not tried."""


class PictureFile(Source):
    """The pages of a picture in one format; all of them, the first, or all as channels, as ``data.pages`` says.

    Attributes:
        notes: what was decided about the format, one sentence each.

    Raises:
        BadData: it cannot be read, or its pages have several sizes.
        MissingExtra: its decoder is not installed.
    """

    scattered = False

    def __init__(self, file: File, options: DataOptions) -> None:
        self.file, self.name = file, file.name
        with file.open() as stream:
            headers = read_headers(stream, file.name, stacked=options.pages == "channels")
        self._pages = 1 if options.pages == "first" else len(headers)
        self.row_title = "page" if self._pages > 1 else "file"
        found = Counter(headers[: self._pages])
        self.format = common_format(found, options, f"The file {file.name!r}")
        self.shape, self.dtype, self.brightest = self.format.shape, self.format.dtype, self.format.brightest
        self.axes = self.format.axes
        self.notes = format_notes(found, self.format)
        if len(headers) > 1:
            taken = "The first page is" if self._pages == 1 else f"All {self._pages:,} pages are"
            other = "=first takes one, data.pages=channels makes them its channels" if options.pages == "auto" else ""
            self.notes = (f"{taken} taken (data.pages{other}).", *self.notes)

    def __len__(self) -> int:
        """Number of pages."""
        return self._pages

    def read(self, start: int, stop: int, into: Array | None = None) -> RawChunk:
        """The pages ``start`` to ``stop``; a damaged one is all zeros and listed in the faults.

        Raises:
            BadData: so many pages are compressed like a decompression bomb.
        """
        needed = (stop - start) * row_bytes(self)
        if needed > files.FREE:
            check_growth(needed, self.file.packed, repr(self.name))
        values = np.zeros((stop - start, *self.shape), self.dtype) if into is None else into
        faults: dict[int, str] = {}
        page = start
        while page < stop and len(faults) <= MOST_FAULTS:
            page = self._read(page, stop, values, start, faults)
        faults |= {index: faults[max(faults)] for index in range(page - start, stop - start)}
        return RawChunk(values, faults)

    def _read(self, page: int, stop: int, values: Array, start: int, faults: dict[int, str]) -> int:
        """Read pages up to ``stop`` or after the first damaged one; the next page."""
        try:
            with self.file.open() as stream:
                for picture in read_pages(stream, self.name, self.format, range(page, stop)):
                    values[page - start] = picture
                    page += 1
        except BadData as fault:
            values[page - start] = 0
            faults[page - start] = one_line(fault)
            page += 1
        return page

    def locate(self, row: int) -> Location:
        """Location of an example: its page in the file."""
        return Location(self.name, row, self._name(row))

    def names_of(self, rows: Array) -> Array:
        """The name of the file; with ``#`` and the number of the page from 0 if it has several."""
        return np.array([self._name(row) for row in rows.tolist()], dtype=str)

    def _name(self, row: int) -> str:
        return f"{self.name}#{row}" if self._pages > 1 else self.name

    def files(self) -> tuple[SourceFile, ...]:
        """The record of the file."""
        return (self.file.record(),)
