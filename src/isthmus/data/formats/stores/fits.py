"""FITS files through Astropy: images, and the columns of binary tables."""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from isthmus.data.base import Array
from isthmus.data.formats.files import reading
from isthmus.data.formats.stores.base import ArrayStore, Info, missing_extra
from isthmus.data.formats.stores.inflating import may_burst
from isthmus.data.storage.base import File
from isthmus.errors import BadData

MOST_UNITS = 1000
"""Most images and tables of a file that are listed."""
STORED = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
"""Data type of the values by BITPIX."""


class FitsStore(ArrayStore):
    """The images of a FITS file by name, and the columns of its tables as ``/TABLE/column``.

    Values are those after BSCALE and BZERO, with NaN for BLANK.

    Raises:
        BadData: the file is damaged or truncated.
        MissingExtra: Astropy is not installed.
    """

    kind = "a FITS file"
    packs = True

    def __init__(self, file: File) -> None:
        super().__init__(file)
        self._units: dict[str, tuple[int, str]] = {}
        with self._opened() as units:
            for number, unit in enumerate(units):
                if number >= MOST_UNITS:
                    raise BadData(f"{self.name!r} holds more than {MOST_UNITS:,} images and tables. Split the file.")
                self._list(number, unit)

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        """The file, opened with Astropy."""
        try:
            from astropy.io import fits
        except ImportError as fault:
            raise missing_extra(self.name, "astropy", "arrays") from fault
        with reading(self.name, self.kind), self.file.open() as stream:
            # Astropy would decompress other bytes without a bound
            if stream.read(9) != b"SIMPLE  =":
                raise BadData(f"{self.name!r} does not start like a FITS file, with SIMPLE. Check that it is one.")
            stream.seek(0)
            with warnings.catch_warnings():
                # of what is refused below, or can be read all the same
                warnings.simplefilter("ignore")
                with fits.open(stream, memmap=False, lazy_load_hdus=True) as units:
                    yield units

    def _list(self, number: int, unit: Any) -> None:
        """List an image, or the columns of a table."""
        from astropy.io import fits

        name = unit.name or f"unit{number}"
        name = f"{name}_{number}" if any(key.strip("/").split("/")[0] == name for key in self._units) else name
        if isinstance(unit, fits.CompImageHDU):
            self._add_compressed(name, number, unit)
        elif unit.is_image and unit.shape:
            self._check_length(name, unit, math.prod(unit.shape) * abs(unit.header["BITPIX"]) // 8)
            self._add(name, Info(tuple(unit.shape), _type(unit.header)), number)
        elif isinstance(unit, fits.BinTableHDU):
            rows, width = int(unit.header["NAXIS2"]), int(unit.header["NAXIS1"])
            self._check_length(name, unit, rows * width)
            for column in unit.columns:
                self._add_column(f"/{name}/{column.name}", number, column, rows)

    def _add(self, key: str, info: Info, number: int, column: str = "") -> None:
        self.add(key, info)
        self._units[key] = number, column

    def _check_length(self, name: str, unit: Any, needed: int) -> None:
        """Refuse values beyond the end of the file.

        Raises:
            BadData: the file ends before.
        """
        start = int(unit.fileinfo()["datLoc"])
        if start + needed > self.file.size:
            raise BadData(
                f"The header of {self.where(name)} declares {needed:,} bytes of values, but the file has "
                f"{max(0, self.file.size - start):,}. The file is truncated or damaged; create it again."
            )

    def _add_compressed(self, name: str, number: int, unit: Any) -> None:
        """List an image that is stored in compressed tiles."""
        stored = unit._bintable
        columns = {column.name for column in stored.columns}
        gzipped = "GZIP_COMPRESSED_DATA" in columns or str(unit.compression_type).startswith("GZIP")
        if gzipped and may_burst(int(stored.header.get("PCOUNT", 0))):
            self.left_out[name] = f"{self.where(name)} is compressed with gzip, which is not read. Decompress it first."
            return
        self._add(name, Info(tuple(unit.shape), np.dtype(np.float64)), number)

    def _add_column(self, key: str, number: int, column: Any, rows: int) -> None:
        """List the column of a table."""
        dtype = np.dtype(column.dtype)
        base, inner = dtype.subdtype or (dtype, ())
        if any(letter in str(column.format) for letter in "PQCMX") or base.kind not in "buifS":
            self.left_out[key] = f"{self.where(key)} has cells of format {column.format}, but numbers are required."
            return
        scaled = column.bscale not in (None, "", 1) or column.bzero not in (None, "", 0)
        self._add(key, Info((rows, *inner), np.dtype(np.float64) if scaled else base), number, column.name)

    def read(self, key: str) -> Array:
        """One image or column."""
        self.check_arrays(key)
        number, column = self._units[key]
        with self._opened() as units:
            unit = units[number]
            return np.array(unit.data[column] if column else unit.data)


def _type(header: Any) -> np.dtype[Any]:
    """The data type of an image after scaling, as Astropy chooses it."""
    bits = int(header["BITPIX"])
    scale, zero = float(header.get("BSCALE", 1)), float(header.get("BZERO", 0))
    stored = np.dtype(STORED[bits])
    if scale == 1 and zero == 0 and "BLANK" not in header:
        return stored
    if scale == 1 and zero == 2.0 ** (bits - 1) and bits in (16, 32, 64):
        return np.dtype(f"u{bits // 8}")
    return np.dtype(np.float32 if bits in (8, 16, -32) else np.float64)
