"""Pictures made by other libraries than the reader's, or by hand, byte by byte; and how tests read them."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from isthmus.data.formats.pictures import PictureFormat, PictureHeader, read_header, read_picture

Array = np.ndarray[Any, Any]


def random_pixels(*shape: int, bits: int = 8, seed: int = 0) -> Array:
    """Values of so many bits."""
    dtype = np.uint8 if bits <= 8 else np.uint16
    return np.random.default_rng(seed).integers(0, 2**bits, shape).astype(dtype)


def header_of(data: bytes, name: str = "x") -> PictureHeader:
    """What the header of a file says."""
    return read_header(io.BytesIO(data), name)


def pixels_of(data: bytes, name: str = "x", page: int = 0, background: str = "white") -> Array:
    """A picture in its own format."""
    found = header_of(data, name)
    wanted = PictureFormat(
        found.height, found.width, found.channels, found.dtype, found.brightest, None, background, found.unit
    )
    return read_picture(io.BytesIO(data), name, wanted, page)


def by_pillow(picture: Array | Image.Image, kind: str, **options: Any) -> bytes:
    """A file that Pillow writes."""
    out = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(out, kind, **options)
    return out.getvalue()


def by_tifffile(picture: Array, **options: Any) -> bytes:
    """A TIFF file that tifffile writes."""
    out = io.BytesIO()
    tifffile.imwrite(out, picture, **{"metadata": None, **options})
    return out.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(rows: list[bytes], width: int, depth: int, color: int, before: bytes = b"", after: bytes = b"") -> bytes:
    """A PNG file by hand: packed rows of pixels, with chunks before and after them."""
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, len(rows), depth, color, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return start + before + pixels + after + chunk(b"IEND", b"")


def deep_png(picture: Array, color: int, before: bytes = b"", after: bytes = b"") -> bytes:
    """A PNG file of 16 bits by hand."""
    rows = [row.astype(">u2").tobytes() for row in picture]
    return png(rows, picture.shape[1], 16, color, before, after)


def exif(orientation: int) -> bytes:
    """EXIF data of an orientation, as the TIFF structure that it is."""
    return struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, 274, 3, 1, orientation, 0, 0)


def write(folder: Path, files: dict[str, bytes]) -> Path:
    """A folder with these files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder
