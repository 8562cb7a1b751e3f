"""Makers of odd pictures, Parquet tables and safetensors files: formats that a library of ours writes first."""

import io
import json
import struct
import zlib
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save

from fuzz.makers import INTEGERS, Choose, Maker, damaged, edited, json_text, pick

PICTURES = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "PPM", "TIFF", "EPS", "ICNS", "PDF", "TGA", "PCX")
EPS = (
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 3\n%%EndComments\n(exploded) (w) file closefile\nshowpage\n%%EOF\n"
)


@cache
def _picture(kind: str, mode: str, width: int) -> bytes:
    """A small picture in one of the formats, whichever of them the readers take."""
    out = io.BytesIO()
    gray = np.arange(3 * width, dtype=np.uint8).reshape(3, width)
    image = Image.fromarray(gray).convert(mode)
    try:
        image.save(out, kind)
    except (OSError, ValueError, KeyError):
        image.convert("L").save(out, "PNG")
    return out.getvalue()


@cache
def _large(side: int, mode: str) -> bytes:
    """A blank picture: some thousand times smaller than its pixels."""
    out = io.BytesIO()
    Image.new(mode, (side, side)).save(out, "PNG", compress_level=9)
    return out.getvalue()


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(choose: Choose) -> bytes:
    """A PNG of right checksums with a header that may lie, and chunks that may be bombs."""
    width, height = (pick(choose, (4, 3, *INTEGERS)) % 2**32 for _ in range(2))
    depth, color = pick(choose, (8, 8, 1, 2, 4, 16, 3)), pick(choose, (0, 0, 2, 3, 4, 6, 7))
    head = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, choose(3))
    body = zlib.compress(bytes(pick(choose, (15, 51, 0, 10**4, 10**7))), 1)
    text = b"key\0\0" + zlib.compress(bytes(pick(choose, (10, 10**8))), 1)
    chunks = [_chunk(b"IHDR", head)]
    chunks += [_chunk(b"PLTE", bytes(range(pick(choose, (3, 6, 7)))))] * (choose(3) == 0)
    chunks += [_chunk(pick(choose, (b"zTXt", b"iCCP", b"acTL", b"eXIf", b"fdAT", b"tRNS")), text)] * (choose(4) == 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join([*chunks, _chunk(b"IDAT", body), _chunk(b"IEND", b"")])


def picture(choose: Choose) -> bytes:
    """A picture: whole, damaged, of an unknown kind, with a lying header, or a bomb."""
    how = choose(10)
    if how == 0:
        return _large(pick(choose, (3000, 9000, 12_000)), pick(choose, ("1", "L")))
    if how == 1:
        return EPS if choose(2) else damaged(EPS, choose)
    if how < 5:
        return png(choose)
    data = _picture(
        pick(choose, PICTURES), pick(choose, ("L", "RGB", "RGBA", "P", "1", "I;16")), pick(choose, (4, 4, 5))
    )
    return damaged(data, choose) if choose(5) else data


@cache
def _tables() -> tuple[bytes, ...]:
    """Parquet tables: numbers, gaps, words, lists, dates, one long word very often, and many equal rows."""
    import pandas as pd
    import pyarrow as pa
    from pyarrow import parquet as pq

    frames: list[dict[str, Any]] = [
        {"a": [1, 2, 3], "b": [0.5, None, 1e300], "label": ["x", "y", "x"]},
        {"a": [1], "b": [[1, 2]]},
        {"a": list(pd.to_datetime(["2020-01-01"] * 2)), "b": [True, False], "label": [1, 0]},
        {"a": [{"c": 1}], "label": [b"\xff"]},
        {"a": [0.0] * 50_000, "label": pa.DictionaryArray.from_arrays(np.zeros(50_000, np.int32), ["w" * 20_000])},
        {"a": np.zeros(3_000_000)},
    ]
    out = []
    for frame in frames:
        file = io.BytesIO()
        pq.write_table(pa.table(frame), file, compression="gzip", store_schema=False)
        out.append(file.getvalue())
    nothing = io.BytesIO()
    pq.write_table(pa.table({}), nothing)
    wide = io.BytesIO()
    pq.write_table(pa.table({f"c{i}": [1] for i in range(3000)}), wide)
    return (*out, nothing.getvalue(), wide.getvalue())


def parquet(choose: Choose) -> bytes:
    """A Parquet table, mostly damaged; half of the damage is done to the footer, which says the sizes."""
    data = pick(choose, _tables()[:4] if choose(4) else _tables())
    if choose(4) == 0:
        return data
    if choose(2):
        return damaged(data, choose)
    length = struct.unpack("<I", data[-8:-4])[0]
    return data[: -8 - length] + damaged(data[-8 - length : -8], choose) + data[-8:]


def tensors(weights: Mapping[str, torch.Tensor]) -> Maker:
    """Weights as safetensors, with edits to the header that names, types, shapes and places them."""
    whole = save(dict(weights))
    length = struct.unpack("<Q", whole[:8])[0]
    header, values = json.loads(whole[8 : 8 + length]), whole[8 + length :]
    near = (
        *("F64", "F32", "F16", "BF16", "I64", "I8", "BOOL", "C64", "F8_E4M3", "F4", "U64", "F8_E8M0"),
        *([0, 0], [0, 4], [4, 0], [0, 2**40], [2**63, 2**63], [len(values)] * 2, {"dtype": "F32"}, [1], [2, 4], [4, 2]),
        *next(iter(header.values())).values(),
    )  # fmt: skip

    def make(choose: Choose) -> bytes:
        how = choose(8)
        if how == 0:
            return damaged(whole, choose)
        if how == 1:
            # other numbers under right names: NaN, huge, tiny
            return whole[: 8 + length] + pick(choose, (b"\xff", b"\x7f", b"\0", b"\x80\x7f")) * len(values)
        if how == 2:
            return _retyped(weights, choose)
        text = (
            json_text(edited(header, choose, near))
            if how < 7
            else pick(choose, (b"{" * 5000, b"{}", b"[]", b" " * 100))
        )
        text += b" " * (-len(text) % 8)
        size = len(text) if choose(8) else pick(choose, INTEGERS) % 2**64
        return struct.pack("<Q", size) + text + (values if choose(4) else values[: choose(len(values))])

    return make


def _retyped(weights: Mapping[str, torch.Tensor], choose: Choose) -> bytes:
    """The same weights in another type, or of other shapes."""
    kinds = (
        torch.float64,
        torch.float16,
        torch.int64,
        torch.bool,
        torch.bfloat16,
        torch.complex64,
        torch.float8_e4m3fn,
    )
    kind = pick(choose, kinds)
    moved = {name: value.to(kind) for name, value in weights.items()}
    name = pick(choose, sorted(moved))
    odd = (moved[name], moved[name][..., None], torch.zeros(()), torch.zeros(0), torch.zeros(3, dtype=kind))
    return save(moved | {name: pick(choose, odd).contiguous()})


ABSURD_TABLES = [
    (b"1," * 200_000 + b"1\n", "has 200,001 columns, but at most 65,536 are read"),
    (b"\n \n" + b"1," * 200_000 + b"1\n", "has 200,001 columns, but at most 65,536 are read"),
    (b"a," * 50_000 + b"a\n" + b"1," * 50_000 + b"1\n", "has many columns called 'a'"),
    (b",".join(b"c%d" % (i % 60) for i in range(50_000)) + b"\n", "has many columns called 'c0'"),
    (b'"\n",' + b"a," * 50_000 + b"a\n" + b"1," * 50_001 + b"1\n", "has many columns called 'a'"),
    (b"a,label\n1," + b"w" * 100_000 + b"\n", "holds strings of up to 100,000 characters"),
    (b"y" * 5000 + b",b\nx,1\n", "columns that are not numeric: 'yyyy"),
]
"""Text tables of absurd shape, and the sentence that refuses each."""
