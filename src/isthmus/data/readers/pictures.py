"""Readers of single pictures; their pages or frames are examples."""

from isthmus.data.base import Provenance
from isthmus.data.dataset import Dataset
from isthmus.data.formats.pictures import ENDINGS
from isthmus.data.memory import held
from isthmus.data.readers.format import Format, refuse_labels
from isthmus.data.sources.picture_file import PictureFile
from isthmus.data.storage.base import File
from isthmus.data.tables.schema import Schema
from isthmus.options import DataOptions

SINGLE = ("PNG", "JPEG", "BMP", "PGM and PPM", "JPEG 2000")
LIBRARIES = {"TIFF": "tifffile", "JPEG 2000": "imagecodecs", "DICOM": "pydicom"}
"""Libraries of the extra; the other formats need Pillow only, and PNG and AVIF imagecodecs for 16 bits per color."""
LIMITS = {
    "PNG": "16 bits per color with the extra images only",
    "AVIF": "10 and 12 bits with the extra images only",
    "TIFF": "gray, RGB, CMYK and other channels; no CIELab",
    "JPEG": "8 bits; the first picture of several",
    "DICOM": "no JPEG-LS and lossless JPEG, no deflated files",
}


def read_picture_file(file: File, options: DataOptions, schema: Schema | None) -> Dataset:
    """A picture as one example, or its pages as several."""
    refuse_labels(file.name, options, schema)
    found = PictureFile(file, options)
    source, streamed = held(found, options)
    provenance = Provenance(str(file.path or file.name), found.files())
    return Dataset(file.name, source, provenance=provenance, notes=found.notes, streamed=streamed)


FORMATS = tuple(
    Format(
        name,
        endings,
        read_picture_file,
        "images",
        LIBRARIES.get(name, "Pillow"),
        "images" if name in LIBRARIES else "",
        guessed="" if name in SINGLE else "pages are examples",
        options=("size", "resize", "background") + (() if name in SINGLE else ("pages",)),
        limits=LIMITS.get(name, ""),
    )
    for name, endings in ENDINGS.items()
)
