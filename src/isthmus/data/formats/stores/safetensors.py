"""safetensors files: a length, a header in JSON, and the values of all tensors one after another."""

from typing import Any

import numpy as np

from isthmus.data.formats.files import reading
from isthmus.data.formats.stores.regions import BFLOAT16, Region, RegionStore
from isthmus.data.storage.base import File
from isthmus.errors import BadData
from isthmus.files.untrusted import parse_json

LONGEST_HEADER = 10**8
"""Largest header in bytes: the limit of the format."""
TYPES = {"BOOL": "?", "BF16": BFLOAT16.str, "F16": "<f2", "F32": "<f4", "F64": "<f8"}
TYPES |= {f"{sign.upper()}{bits}": f"<{sign}{bits // 8}" for sign in "iu" for bits in (8, 16, 32, 64)}


class SafetensorsStore(RegionStore):
    """The tensors of a ``.safetensors`` file.

    Raises:
        BadData: the header is damaged, or does not fit the size of the file.
    """

    kind = "a safetensors file"

    def __init__(self, file: File) -> None:
        super().__init__(file)
        with reading(self.name, self.kind), file.open() as stream:
            length = int.from_bytes(stream.read(8), "little")
            if length > min(LONGEST_HEADER, file.size - 8):
                raise BadData(
                    f"{self.name!r} declares a header of {length:,} bytes, but the file has {file.size:,}, and at most "
                    f"{LONGEST_HEADER:,} are read. The file is damaged; create it again."
                )
            header = parse_json(stream.read(length).decode())
            for key, entry in header.items():
                if key != "__metadata__":
                    self._add(str(key), entry, 8 + length)

    def _add(self, key: str, entry: dict[str, Any], start: int) -> None:
        kind, shape, (first, last) = str(entry["dtype"]), tuple(map(int, entry["shape"])), entry["data_offsets"]
        if kind not in TYPES:
            self.left_out[key] = f"{self.where(key)} holds values of type {kind[:20]}, but real numbers are required."
            return
        region = Region(start + int(first), np.dtype(TYPES[kind]), truncated=kind == "BF16")
        self.add_region(key, shape, region)
        if last - first != int(np.prod(shape, dtype=object)) * region.dtype.itemsize:
            raise BadData(
                f"The header of {self.where(key)} declares {last - first:,} bytes for the shape {shape}. The file is "
                "damaged; create it again."
            )
