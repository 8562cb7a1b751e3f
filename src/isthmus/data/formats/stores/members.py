"""Where the bytes of the members of a zip file lie, for those that are not compressed."""

import struct
import zipfile
from typing import IO

LOCAL_HEADER = 30
"""Bytes of the header of a member of a zip file, without its name."""


def start_of_member(stream: IO[bytes], item: zipfile.ZipInfo) -> int:
    """Position of the first byte of a member in its file."""
    stream.seek(item.header_offset)
    name, extra = struct.unpack("<26xHH", stream.read(LOCAL_HEADER))
    return item.header_offset + LOCAL_HEADER + int(name) + int(extra)
