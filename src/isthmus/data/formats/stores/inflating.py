"""Decompression whose result is bounded while it is made, for decoders that are not bounded themselves."""

import zlib
from typing import IO

from isthmus.data.formats.files import FREE, GROWTH, LARGEST
from isthmus.errors import BadData

DEFLATE = 1032
"""Largest ratio that deflate can reach."""
PIECE = 2**20
"""Bytes that are read or inflated at a time."""


def may_burst(packed: int) -> bool:
    """Whether ``packed`` bytes of deflate could expand to more than any data may."""
    return packed * DEFLATE > FREE


def check_inflated(stream: IO[bytes], packed: int, where: str, limit: int | None = None) -> None:
    """Refuse ``packed`` bytes of a zlib stream that expand to more than ``limit`` bytes; nothing is kept.

    Raises:
        BadData: they do; by default the limit is that of all compressed data.
    """
    most = min(LARGEST, max(FREE, GROWTH * packed)) if limit is None else limit
    decoder = zlib.decompressobj()
    total, left = 0, packed
    while left > 0 and not decoder.eof:
        data = stream.read(min(PIECE, left))
        if not data:
            return
        left -= len(data)
        while data and not decoder.eof:
            total += len(decoder.decompress(data, PIECE))
            data = decoder.unconsumed_tail
            if total > most:
                raise BadData(
                    f"{where} expands from {packed:,} bytes to more than {most:,}, as a decompression bomb does. If it "
                    "is genuine, save it uncompressed."
                )
