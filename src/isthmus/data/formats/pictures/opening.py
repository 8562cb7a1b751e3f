"""From the first bytes of a file to the decoder of its format, whatever the extension."""

from collections.abc import Callable
from functools import cache
from typing import Any, BinaryIO

from isthmus.data.formats.pictures.dicom import MARK, PLACE, DicomPicture
from isthmus.data.formats.pictures.gif import GifPicture
from isthmus.data.formats.pictures.header import Picture, PictureHeader, check_pixels
from isthmus.data.formats.pictures.netpbm import NetpbmPicture
from isthmus.data.formats.pictures.pillow import PillowPicture
from isthmus.data.formats.pictures.png import MAGIC, open_png
from isthmus.data.formats.pictures.quiet import quiet
from isthmus.data.formats.pictures.tiff import TiffPicture
from isthmus.data.formats.pictures.wavelets import CODESTREAM, open_avif, open_jpeg2000
from isthmus.errors import BadData

ENDINGS: dict[str, tuple[str, ...]] = {
    "PNG": (".png", ".apng"),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "WebP": (".webp",),
    "BMP": (".bmp", ".dib"),
    "GIF": (".gif",),
    "TIFF": (".tif", ".tiff"),
    "PGM and PPM": (".pgm", ".ppm", ".pbm", ".pnm", ".pam"),
    "JPEG 2000": (".jp2", ".j2k", ".j2c", ".jpf", ".jpx"),
    "AVIF": (".avif",),
    "DICOM": (".dcm", ".dicom"),
}
"""Extensions by format, the usual one first. No other format is read: Pillow knows many, and EPS runs Ghostscript."""
EXTENSIONS: tuple[str, ...] = tuple(sorted(ending for endings in ENDINGS.values() for ending in endings))
HEAD = PLACE + len(MARK)
JPEG = b"\xff\xd8\xff"
TIFFS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
JP2 = b"\0\0\0\x0cjP  \r\n\x87\n"
AVIFS = (b"avif", b"avis", b"mif1", b"msf1", b"miaf")
WEBP_SIZES = {b"VP8 ": 26, b"VP8L": 21, b"VP8X": 24}


@cache
def jpeg_class() -> Any:
    """Pillow's class, imported when it is needed."""
    from PIL.JpegImagePlugin import JpegImageFile

    return JpegImageFile


def open_picture(stream: BinaryIO, name: str, head: bytes) -> Picture:
    """An opened picture of any format; ``head`` are its first bytes.

    Raises:
        BadData: it is of none of the formats, or damaged.
        MissingExtra: its decoder is not installed.
    """
    opener = next((made for accepts, made in OPENERS if accepts(head)), None)
    if opener is None and name.lower().endswith(ENDINGS["DICOM"]):
        opener = _dicom
    if not head:
        raise BadData(f"{name!r} cannot be read as an image: it is empty. Download or create it again.")
    if opener is None:
        raise BadData(
            f"{name!r} cannot be read as an image: it does not start like one. Use PNG, JPEG, WebP, BMP, GIF, TIFF, "
            "PGM, PPM, JPEG 2000, AVIF or DICOM, or check that the file is complete."
        )
    stream.seek(0)
    with quiet():
        return opener(stream, name, head)


def _jpeg(stream: BinaryIO, name: str, head: bytes) -> Picture:
    # further pictures of an MPO file are previews and maps of depth
    return PillowPicture(jpeg_class()(stream), name, 1)


def _bmp(stream: BinaryIO, name: str, head: bytes) -> Picture:
    from PIL.BmpImagePlugin import BmpImageFile

    return PillowPicture(BmpImageFile(stream), name, 1)


def _webp(stream: BinaryIO, name: str, head: bytes) -> Picture:
    from PIL.WebPImagePlugin import WebPImageFile

    check_webp(stream, name, head)
    return PillowPicture(WebPImageFile(stream), name)


def check_webp(stream: BinaryIO, name: str, head: bytes) -> None:
    """Refuse a WebP file whose canvas, which the decoder allocates when it opens the file, is that of a bomb.

    Raises:
        BadData: it is.
    """
    place = WEBP_SIZES.get(head[12:16])
    if place is None:
        raise BadData(f"{name!r} has no picture of WebP. Check that the file is complete, or create it again.")
    if head[12:16] == b"VP8X":
        width, height = (int.from_bytes(head[at : at + 3], "little") + 1 for at in (place, place + 3))
    else:
        packed = int.from_bytes(head[place : place + 4], "little")
        shift = 14 if head[12:16] == b"VP8L" else 16
        width, height = (packed & 0x3FFF) + 1, (packed >> shift & 0x3FFF) + 1
    check_pixels(PictureHeader(height, width, 4), stream, name)


def _dicom(stream: BinaryIO, name: str, head: bytes) -> Picture:
    return DicomPicture(stream, name)


OPENERS: tuple[tuple[Callable[[bytes], bool], Callable[[BinaryIO, str, bytes], Picture]], ...] = (
    # before its mark, a DICOM file may have the header of a TIFF file
    (lambda head: head[PLACE:HEAD] == MARK, _dicom),
    (lambda head: head.startswith(MAGIC) and len(head) > 26, open_png),
    (lambda head: head.startswith(JPEG), _jpeg),
    (lambda head: head.startswith(b"GIF8"), lambda stream, name, head: GifPicture(stream, name)),
    (lambda head: head.startswith(b"RIFF") and head[8:12] == b"WEBP", _webp),
    (lambda head: head.startswith(TIFFS), lambda stream, name, head: TiffPicture(stream, name)),
    (lambda head: head.startswith((JP2, CODESTREAM)), lambda stream, name, head: open_jpeg2000(stream, name)),
    (lambda head: head[4:8] == b"ftyp" and head[8:12] in AVIFS, lambda stream, name, head: open_avif(stream, name)),
    (lambda head: head.startswith(b"BM"), _bmp),
    (lambda head: head[:1] == b"P" and head[1:2] in b"1234567", lambda stream, name, head: NetpbmPicture(stream, name)),
)
"""Tests of the first bytes, and what opens such a file."""
