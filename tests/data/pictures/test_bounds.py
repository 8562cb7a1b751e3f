"""Headers that lie, bombs, circles and cuts are refused in one sentence, before memory is taken."""

import contextlib
import io
import struct
import sys
import tracemalloc
import zlib
from collections.abc import Callable

import imagecodecs
import numpy as np
import pytest
from made_pictures import by_pillow, by_tifffile, chunk, deep_png, header_of, pixels_of, random_pixels
from PIL import Image

from isthmus.data.formats.pictures import PictureFormat, read_headers, read_picture, tiff_pages
from isthmus.errors import BadData, MissingExtra

COLOR, COLOR16 = random_pixels(8, 8, 3), random_pixels(8, 8, 3, bits=16)
MOST = 30_000
"""A side: a picture of so many rows and columns takes 3.6 GB."""


def big_png(depth: int, color: int) -> bytes:
    start = struct.pack(">IIBBBBB", MOST, MOST, depth, color, 0, 0, 0)
    zeros = zlib.compress(bytes(10**6))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", start) + chunk(b"IDAT", zeros) + chunk(b"IEND", b"")


def big_jpeg() -> bytes:
    data = bytearray(by_pillow(COLOR, "jpeg"))
    place = data.index(b"\xff\xc0") + 5
    data[place : place + 4] = struct.pack(">HH", MOST, MOST)
    return bytes(data)


def big_webp() -> bytes:
    """A canvas of 12,000 x 12,000 pixels with one small frame; Pillow itself refuses larger ones."""
    inner = by_pillow(COLOR, "webp", lossless=True)[12:]
    canvas = b"VP8X" + struct.pack("<IB3x", 10, 0) + (11_999).to_bytes(3, "little") * 2
    return b"RIFF" + struct.pack("<I", 4 + len(canvas) + len(inner)) + b"WEBP" + canvas + inner


def big_gif() -> bytes:
    return b"GIF89a" + struct.pack("<HH", MOST, MOST) + by_pillow(COLOR[..., 0], "gif")[10:]


def big_bmp() -> bytes:
    data = bytearray(by_pillow(COLOR, "bmp"))
    data[18:26] = struct.pack("<ii", MOST, MOST)
    return bytes(data)


def enlarged(tiff: bytes, *tags: int) -> bytes:
    """A TIFF file with other lengths of its sides, or of those of its tiles."""
    data = bytearray(tiff)
    for tag in tags:
        starts = [struct.pack("<HHI", tag, kind, 1) for kind in (3, 4)]
        place = next(data.index(start) for start in starts if start in data)
        data[place : place + 12] = struct.pack("<HHII", tag, 4, 1, MOST)
    return bytes(data)


def big_tiff(**options: object) -> bytes:
    return enlarged(by_tifffile(COLOR, photometric="rgb", **options), 256, 257)


def big_jpeg2000() -> bytes:
    data = bytearray(by_pillow(COLOR, "jpeg2000", irreversible=False))
    place = data.index(b"\xff\x4f\xff\x51") + 8
    data[place : place + 8] = struct.pack(">II", MOST, MOST)
    place = data.index(b"ihdr") + 4
    data[place : place + 8] = struct.pack(">II", MOST, MOST)
    return bytes(data)


def big_deep_jpeg2000() -> bytes:
    data = bytearray(imagecodecs.jpeg2k_encode(COLOR16, level=0, reversible=True))
    place = data.index(b"\xff\x4f\xff\x51") + 8
    data[place : place + 8] = struct.pack(">II", MOST, MOST)
    return bytes(data)


def big_avif() -> bytes:
    data = bytearray(imagecodecs.avif_encode(COLOR, level=100))
    place = data.index(b"ispe") + 8
    data[place : place + 8] = struct.pack(">II", MOST, MOST)
    return bytes(data)


BOMBS: dict[str, Callable[[], bytes]] = {
    "png": lambda: big_png(8, 0),
    "png of 16 bits": lambda: big_png(16, 2),
    "jpeg": big_jpeg,
    "webp": big_webp,
    "gif": big_gif,
    "bmp": big_bmp,
    "tiff": big_tiff,
    "tiff, compressed": lambda: big_tiff(compression="lzw"),
    "tiff, planar": lambda: big_tiff(compression="zlib"),
    "jpeg 2000": big_jpeg2000,
    "jpeg 2000 of 16 bits": big_deep_jpeg2000,
    "avif": big_avif,
    "ppm": lambda: b"P6 %d %d 255\n" % (MOST, MOST) + bytes(1000),
    "pam": lambda: b"P7\nWIDTH %d\nHEIGHT %d\nDEPTH 4\nMAXVAL 255\nENDHDR\n" % (MOST, MOST) + bytes(1000),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_header_that_declares_gigabytes_is_refused_before_they_are_taken(kind: str) -> None:
    data = BOMBS[kind]()
    wanted = PictureFormat(MOST, MOST, 3)
    tracemalloc.start()
    try:
        for read in (lambda: header_of(data, "x.img"), lambda: read_picture(io.BytesIO(data), "x.img", wanted)):
            with pytest.raises(BadData, match=r"'x.img' (would expand|cannot be read as an image|needs)") as caught:
                read()
            assert "\n" not in str(caught.value)
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


def test_a_canvas_of_webp_is_refused_before_the_decoder_allocates_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("PIL.WebPImagePlugin.WebPImageFile", None)
    with pytest.raises(BadData, match="'x' would expand from"):
        header_of(big_webp())


@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
def test_a_tile_that_declares_gigabytes_is_refused(compression: str | None) -> None:
    for picture in (COLOR, COLOR16):
        data = by_tifffile(picture, photometric="rgb", tile=(16, 16), compression=compression)
        with pytest.raises(BadData, match="'x' would expand from"):
            pixels_of(enlarged(data, 322, 323))


def test_pages_in_a_circle_or_without_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    circle = b"II*\0" + struct.pack("<I", 8) + struct.pack("<HI", 0, 8)
    with pytest.raises(BadData, match="The list of pages of 'x' leads in a circle"):
        header_of(circle)
    chain = b"II*\0" + struct.pack("<I", 8) + b"".join(struct.pack("<HI", 0, 14 + 6 * i) for i in range(1000))
    monkeypatch.setattr(tiff_pages, "MOST_PAGES", 500)
    with pytest.raises(BadData, match="The list of pages of 'x' has more than 500 pages"):
        header_of(chain)


@pytest.mark.parametrize("count", [0, 5000])
def test_a_directory_of_absurd_size_is_refused(count: int) -> None:
    with pytest.raises(BadData, match="'x'"):
        header_of(b"II*\0" + struct.pack("<I", 8) + struct.pack("<HI", count, 0) + bytes(100))


CUTS = {
    "png": lambda: by_pillow(COLOR, "png"),
    "png of 16 bits": lambda: deep_png(COLOR16, 2),
    "jpeg": lambda: by_pillow(COLOR, "jpeg"),
    "webp": lambda: by_pillow(COLOR, "webp", lossless=True),
    "bmp": lambda: by_pillow(COLOR, "bmp"),
    "gif": lambda: by_pillow(COLOR[..., 0], "gif"),
    "tiff": lambda: by_tifffile(COLOR, photometric="rgb", compression="lzw"),
    "tiff of tifffile": lambda: by_tifffile(COLOR16, photometric="rgb"),
    "tiff of tifffile, compressed": lambda: by_tifffile(COLOR16, photometric="rgb", compression="zlib"),
    "jpeg 2000": lambda: by_pillow(COLOR, "jpeg2000", irreversible=False),
    "jpeg 2000 of 16 bits": lambda: bytes(imagecodecs.jpeg2k_encode(COLOR16, level=0, reversible=True)),
    "avif": lambda: bytes(imagecodecs.avif_encode(COLOR, level=100)),
    "ppm": lambda: by_pillow(COLOR, "ppm"),
}


@pytest.mark.parametrize("kind", CUTS)
def test_every_cut_of_a_picture_is_refused_or_whole(kind: str) -> None:
    data = CUTS[kind]()
    whole = pixels_of(data)
    step = max(1, len(data) // 60)
    for length in (*range(0, len(data), step), len(data) - 1):
        try:
            got = pixels_of(data[:length], "cut.img")
        except BadData as fault:
            refusal = str(fault)
        else:
            # what ends a file need not be there
            np.testing.assert_array_equal(got, whole)
            continue
        assert "cut.img" in refusal
        assert "\n" not in refusal


@pytest.mark.parametrize("kind", CUTS)
def test_damaged_bytes_never_raise_anything_else(kind: str) -> None:
    data = CUTS[kind]()
    rng = np.random.default_rng(0)
    for _ in range(60):
        spoiled = bytearray(data)
        for place in rng.integers(0, len(data), 3):
            spoiled[place] = rng.integers(0, 256)
        with contextlib.suppress(BadData):
            pixels_of(bytes(spoiled), "x.img")


@pytest.mark.parametrize("data", [b"%!PS-Adobe-3.0 EPSF-3.0\n", b"8BPS\0\1" + bytes(200), b"<svg/>", b"\0\0\1\0" * 40])
def test_other_formats_are_not_even_opened(data: bytes) -> None:
    with pytest.raises(BadData, match=r"'x\.png' cannot be read as an image: it does not start like one"):
        header_of(data, "x.png")


@pytest.mark.parametrize(
    ("library", "data"),
    [
        ("imagecodecs", deep_png(COLOR16, 2)),
        ("imagecodecs", bytes(imagecodecs.jpeg2k_encode(COLOR16, level=0, reversible=True))),
        ("imagecodecs", bytes(imagecodecs.avif_encode(COLOR16 >> 6, level=100, bitspersample=10))),
        ("tifffile", by_tifffile(COLOR16, photometric="rgb")),
        ("pydicom", bytes(128) + b"DICM" + bytes(100)),
    ],
    ids=["png", "jpeg 2000", "avif", "tiff", "dicom"],
)
def test_a_decoder_that_is_not_installed_is_named(library: str, data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtra, match=rf"Reading 'x' requires .*{library}.* pip install 'isthmus\[images\]'"):
        pixels_of(data)


def test_common_pictures_need_no_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    files = [by_pillow(COLOR, kind) for kind in ("png", "bmp", "tiff", "ppm")]
    files += [by_pillow(COLOR16[..., 0], "png"), by_tifffile(COLOR16[..., 0]), by_tifffile(np.ones((3, 4), np.float32))]
    shapes = [pixels_of(data).shape for data in files]
    for library in ("imagecodecs", "tifffile", "pydicom"):
        monkeypatch.setitem(sys.modules, library, None)
    assert [pixels_of(data).shape for data in files] == shapes


@pytest.mark.parametrize("kind", ["bmp", "png", "gif", "tiff"])
@pytest.mark.parametrize("gray", [True, False])
def test_a_palette_is_looked_at_without_decoding_the_pixels(
    kind: str, gray: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = Image.fromarray(COLOR[..., 0]).convert("P")
    colors = np.arange(256, dtype=np.uint8)
    image.putpalette(np.stack([colors, colors, colors if gray else colors[::-1]], axis=1).tobytes())
    data = io.BytesIO()
    image.save(data, kind)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("the pixels are decoded"))
    assert header_of(data.getvalue(), f"x.{kind}").channels == (1 if gray else 3)


def test_a_picture_that_starts_after_its_end_is_refused() -> None:
    # JPEG 2000 states the size of a grid, and where the picture starts in it
    data = bytearray(imagecodecs.jpeg2k_encode(COLOR16[..., 0], level=0, reversible=True))
    place = data.index(b"\xff\x51") + 6 + 12
    data[place : place + 4] = (2048).to_bytes(4, "big")
    with pytest.raises(BadData, match="declares -2040 x 8 pixels"):
        header_of(bytes(data), "x.jp2")
    with pytest.raises(BadData, match="declares -2040 x 8 pixels"):
        read_headers(io.BytesIO(data), "x.jp2")
