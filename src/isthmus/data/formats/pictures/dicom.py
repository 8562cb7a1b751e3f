"""DICOM, through pydicom: in physical units where the file states them, else as brightness."""

from typing import Any, BinaryIO

import numpy as np

from isthmus.data.base import Array
from isthmus.data.formats.files import check_growth
from isthmus.data.formats.pictures.header import Color, Picture, PictureHeader, check_pixels, missing_decoder
from isthmus.data.formats.pictures.quiet import quiet
from isthmus.errors import BadData

MARK, PLACE = b"DICM", 128
DEFLATED = b"1.2.840.10008.1.2.1.99"
HEAD = 2**12
"""Bytes in which the transfer syntax is looked for."""
NEEDED = ("Rows", "Columns", "BitsAllocated", "BitsStored", "PixelRepresentation")
UNITS = {"": "", "US": ""}
"""Units that say nothing."""


class DicomPicture(Picture):
    """A DICOM file with pixels.

    Values are floating-point numbers in a physical unit if the file states a slope and an intercept, or a scaling of
    doses; else brightness, 2^bits - 1 at most. Where the smallest value is white, brightness is inverted.

    Raises:
        BadData: it has no pixels, or is compressed as a whole.
        MissingExtra: pydicom is not installed.
    """

    def __init__(self, stream: BinaryIO, name: str) -> None:
        try:
            import pydicom
        except ImportError as fault:
            raise missing_decoder(name, "pydicom", fault) from fault
        self.stream, self.name = stream, name
        stream.seek(0)
        if DEFLATED in stream.read(HEAD):
            raise BadData(f"{name!r} is a deflated DICOM file, which is not read. Save it uncompressed.")
        stream.seek(0)
        with quiet():
            self.entries = pydicom.dcmread(stream, stop_before_pixels=True, force=True)
            missing = [key for key in NEEDED if self.entries.get(key) is None]
        if missing:
            raise BadData(f"{name!r} has no pixels that can be read: it lacks {missing[0]}. Use an image.")
        self.pages = max(1, int(self._get("NumberOfFrames", 1)))
        self.linear = self._linear()

    def _get(self, key: str, default: Any) -> Any:
        found = self.entries.get(key)
        return default if found in (None, "") else found

    def _linear(self) -> tuple[float, float, str] | None:
        """Slope, intercept and unit of physical values, if the file states them."""
        dose = self._get("DoseGridScaling", None)
        if dose is not None:
            return float(dose), 0.0, str(self._get("DoseUnits", "dose"))
        slope, intercept = float(self._get("RescaleSlope", 1)), float(self._get("RescaleIntercept", 0))
        modality = str(self._get("Modality", ""))
        unit = str(self._get("RescaleType", self._get("Units", "HU" if modality == "CT" else "")))
        unit = UNITS.get(unit, unit)
        return None if (slope, intercept, unit) == (1.0, 0.0, "") else (slope, intercept, unit or "rescaled")

    @property
    def _bits(self) -> int:
        return int(self.entries.BitsStored)

    @property
    def _colors(self) -> str:
        return str(self._get("PhotometricInterpretation", "MONOCHROME2"))

    def header(self, page: int = 0) -> PictureHeader:
        """What the header says."""
        size = int(self.entries.Rows), int(self.entries.Columns)
        if self._colors == "PALETTE COLOR":
            table = self._get("RedPaletteColorLookupTableDescriptor", [0, 0, 16])
            deep = int(table[2]) > 8
            return PictureHeader(
                *size, 3, np.dtype(np.uint16 if deep else np.uint8), 65535.0 if deep else 255.0, self.pages
            )
        channels = int(self._get("SamplesPerPixel", 1))
        if self.linear is not None and channels == 1:
            return PictureHeader(*size, 1, np.dtype(np.float32), None, self.pages, unit=self.linear[2])
        allocated = max(8, int(self.entries.BitsAllocated))
        signed = bool(self.entries.PixelRepresentation)
        if allocated not in (8, 16, 32) or not 1 <= self._bits <= allocated or not all(size):
            raise BadData(f"{self.name!r} has values of {allocated} bits, but 8, 16 or 32 are read. Save it with 16.")
        dtype = np.dtype(f"{'i' if signed else 'u'}{allocated // 8}")
        return PictureHeader(*size, channels, dtype, None if signed else self._brightest, self.pages)

    @property
    def _brightest(self) -> float:
        # masks of one bit are black and white
        return 255.0 if self._bits == 1 else 2.0**self._bits - 1

    def pixels(self, page: int, background: Color) -> Array:
        """A frame."""
        from pydicom.pixels.processing import apply_color_lut
        from pydicom.pixels.utils import pixel_array

        header = self.header(page)
        self._check(header)
        self.stream.seek(0)
        with quiet():
            try:
                values = np.asarray(pixel_array(self.stream, index=page, decoding_plugin=""))
            except RuntimeError as fault:
                raise BadData(
                    f"{self.name!r} cannot be decoded: {self._compression()} requires a decoder that is not installed, "
                    "or its pixels are damaged. Save it uncompressed, for example with dcmdjpeg or gdcmconv."
                ) from fault
            if self._colors == "PALETTE COLOR":
                values = np.asarray(apply_color_lut(values, self.entries))
                return (values >> 8 if values.dtype.itemsize == 2 and header.dtype.itemsize == 1 else values).astype(
                    header.dtype
                )
        if self.linear is not None and header.channels == 1:
            slope, intercept, _ = self.linear
            return (values.astype(np.float64) * slope + intercept).astype(np.float32)
        values = values.astype(header.dtype)
        if self._bits == 1:
            values = values * np.uint8(255)
        if self._colors == "MONOCHROME1" and header.brightest is not None:
            values = values.dtype.type(header.brightest) - values
        return values

    def _compression(self) -> str:
        return str(getattr(self.entries.file_meta.get("TransferSyntaxUID"), "name", "its compression"))

    def _check(self, header: PictureHeader) -> None:
        """Refuse a file whose bytes cannot hold the frames that it declares."""
        check_pixels(header, self.stream, self.name)
        where = self.stream.tell()
        size = self.stream.seek(0, 2)
        self.stream.seek(where)
        check_growth(header.height * header.width * header.channels * header.dtype.itemsize, size, repr(self.name))
