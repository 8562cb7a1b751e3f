"""Pictures of every common format as arrays, with bit depth and full brightness as their format states them."""

from isthmus.data.formats.pictures.common import common_format, format_notes
from isthmus.data.formats.pictures.header import PictureFormat, PictureHeader
from isthmus.data.formats.pictures.opening import ENDINGS, EXTENSIONS
from isthmus.data.formats.pictures.pillow import is_picture
from isthmus.data.formats.pictures.reading import (
    image_header,
    read_header,
    read_headers,
    read_image,
    read_pages,
    read_picture,
)

__all__ = [
    "ENDINGS",
    "EXTENSIONS",
    "PictureFormat",
    "PictureHeader",
    "common_format",
    "format_notes",
    "image_header",
    "is_picture",
    "read_header",
    "read_headers",
    "read_image",
    "read_pages",
    "read_picture",
]
