"""What a viewer shows: turned by EXIF, over the background, with the colors of palettes and inks."""

import io
from collections.abc import Callable

import imagecodecs
import numpy as np
import pytest
import tifffile
from made_pictures import (
    Array,
    by_pillow,
    by_tifffile,
    chunk,
    deep_png,
    exif,
    header_of,
    pixels_of,
    png,
    random_pixels,
)
from PIL import Image

from isthmus.data.formats.pictures.background import color_of
from isthmus.errors import BadData, BadOption

GRAY, COLOR = random_pixels(5, 7), random_pixels(5, 7, 3)
GRAY16, COLOR16 = random_pixels(5, 7, bits=16), random_pixels(5, 7, 3, bits=16)
ALPHA, ALPHA16 = random_pixels(5, 7, seed=9), random_pixels(5, 7, bits=16, seed=9)
SHOWN: dict[int, Callable[[Array], Array]] = {
    1: lambda x: x,
    2: np.fliplr,
    3: lambda x: np.rot90(x, 2),
    4: np.flipud,
    5: lambda x: np.swapaxes(x, 0, 1),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: np.rot90(np.swapaxes(x, 0, 1), 2),
    8: np.rot90,
}
"""What is shown of stored pixels for each orientation of EXIF."""


def jpeg_with(data: bytes, orientation: int) -> bytes:
    """A JPEG file with an orientation added by hand."""
    body = b"Exif\0\0" + exif(orientation)
    return data[:2] + b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body + data[2:]


ROWS = [row.tobytes() for row in COLOR]
TURNED: dict[str, tuple[Callable[[int], bytes], Array]] = {
    "png": (lambda o: png(ROWS, 7, 8, 2, chunk(b"eXIf", exif(o))), COLOR),
    "png, after the pixels": (lambda o: png(ROWS, 7, 8, 2, after=chunk(b"eXIf", exif(o))), COLOR),
    "png of 16 bits": (lambda o: deep_png(COLOR16, 2, chunk(b"eXIf", exif(o))), COLOR16),
    "png of 16 bits, after the pixels": (lambda o: deep_png(COLOR16, 2, after=chunk(b"eXIf", exif(o))), COLOR16),
    "png of 16 gray bits": (lambda o: deep_png(GRAY16, 0, chunk(b"eXIf", exif(o))), GRAY16),
    "webp": (lambda o: by_pillow(COLOR, "webp", lossless=True, exif=exif(o)), COLOR),
    "tiff of Pillow": (lambda o: by_tifffile(COLOR, photometric="rgb", extratags=[(274, "H", 1, o, True)]), COLOR),
    "tiff of Pillow, compressed": (
        lambda o: by_tifffile(GRAY, compression="lzw", extratags=[(274, "H", 1, o, True)]),
        GRAY,
    ),
    "tiff of tifffile": (
        lambda o: by_tifffile(COLOR16, photometric="rgb", extratags=[(274, "H", 1, o, True)]),
        COLOR16,
    ),
}


@pytest.mark.parametrize("orientation", SHOWN)
@pytest.mark.parametrize("kind", TURNED)
def test_a_picture_is_turned_as_exif_says(kind: str, orientation: int) -> None:
    make, stored = TURNED[kind]
    want = SHOWN[orientation](stored)
    data = make(orientation)
    assert header_of(data)[:2] == want.shape[:2]
    np.testing.assert_array_equal(pixels_of(data), want, strict=True)


@pytest.mark.parametrize("orientation", SHOWN)
def test_a_photograph_is_turned_as_exif_says(orientation: int) -> None:
    plain = by_pillow(COLOR, "jpeg", quality=95)
    want = SHOWN[orientation](imagecodecs.jpeg_decode(plain))
    assert header_of(jpeg_with(plain, orientation))[:2] == want.shape[:2]
    np.testing.assert_array_equal(pixels_of(jpeg_with(plain, orientation)), want, strict=True)


def test_damaged_exif_turns_nothing() -> None:
    for body in (b"", b"MM\0*", b"\xff" * 40, exif(9), exif(0)):
        np.testing.assert_array_equal(pixels_of(png(ROWS, 7, 8, 2, chunk(b"eXIf", body))), COLOR, strict=True)


def over(values: Array, alpha: Array, color: tuple[int, int, int], most: int) -> Array:
    """The definition: opacity times the picture plus the rest times the background, as exact fractions."""
    if values.ndim == 2 and len(set(color)) > 1:
        values = np.stack([values] * 3, axis=-1)
    opacity = (alpha if values.ndim == 2 else alpha[..., None]).astype(object)
    behind = np.array(color[:1] if values.ndim == 2 else color, object) * (most // 255)
    mixed = values.astype(object) * opacity + behind * (most - opacity)
    return ((2 * mixed + most) // (2 * most)).astype(values.dtype)


def with_alpha(values: Array, alpha: Array) -> Array:
    return np.concatenate([values if values.ndim == 3 else values[..., None], alpha[..., None]], axis=-1)


TRANSPARENT: dict[str, tuple[bytes, Array, Array, int]] = {
    "png, color": (by_pillow(with_alpha(COLOR, ALPHA), "png"), COLOR, ALPHA, 255),
    "png, gray": (png([r.tobytes() for r in with_alpha(GRAY, ALPHA)], 7, 8, 4), GRAY, ALPHA, 255),
    "png, color of 16 bits": (deep_png(with_alpha(COLOR16, ALPHA16), 6), COLOR16, ALPHA16, 65535),
    "png, gray of 16 bits": (deep_png(with_alpha(GRAY16, ALPHA16), 4), GRAY16, ALPHA16, 65535),
    "webp": (bytes(imagecodecs.webp_encode(with_alpha(COLOR, ALPHA | 1), lossless=True)), COLOR, ALPHA | 1, 255),
    "tiff": (by_tifffile(with_alpha(COLOR, ALPHA), photometric="rgb", extrasamples=[2]), COLOR, ALPHA, 255),
    "tiff, gray": (
        by_tifffile(with_alpha(GRAY, ALPHA), photometric="minisblack", planarconfig="contig", extrasamples=[2]),
        GRAY,
        ALPHA,
        255,
    ),
    "tiff of 16 bits": (
        by_tifffile(with_alpha(COLOR16, ALPHA16), photometric="rgb", extrasamples=[2]),
        COLOR16,
        ALPHA16,
        65535,
    ),
    "jpeg 2000": (by_pillow(with_alpha(COLOR, ALPHA), "jpeg2000", irreversible=False), COLOR, ALPHA, 255),
    "avif": (bytes(imagecodecs.avif_encode(with_alpha(COLOR, ALPHA), level=100)), COLOR, ALPHA, 255),
    "pam": (
        b"P7\nWIDTH 7\nHEIGHT 5\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\n"
        + with_alpha(COLOR, ALPHA).tobytes(),
        COLOR,
        ALPHA,
        255,
    ),
}


@pytest.mark.parametrize("background", ["white", "black", "#ff8000"])
@pytest.mark.parametrize("kind", TRANSPARENT)
def test_transparent_pixels_show_the_background(kind: str, background: str) -> None:
    data, values, alpha, most = TRANSPARENT[kind]
    assert header_of(data)[2] == (1 if values.ndim == 2 else 3)
    assert header_of(data).alpha
    found = header_of(data)
    want = over(values, alpha, color_of(background), most)
    if want.ndim == 3 and found.channels == 1:
        # the common format of gray pictures over a colored background is color
        from isthmus.data.formats.pictures import PictureFormat, read_picture

        wanted = PictureFormat(5, 7, 3, found.dtype, found.brightest, None, background)
        got = read_picture(io.BytesIO(data), "x", wanted)
    else:
        got = pixels_of(data, background=background)
    np.testing.assert_array_equal(got, want, strict=True)


def test_colors_multiplied_by_their_opacity_are_not_multiplied_again() -> None:
    multiplied = (COLOR16.astype(np.uint64) * ALPHA16[..., None] // 65535).astype(np.uint16)
    data = by_tifffile(with_alpha(multiplied, ALPHA16), photometric="rgb", extrasamples=[1])
    want = multiplied.astype(np.int64) + 65535 - ALPHA16[..., None].astype(np.int64)
    np.testing.assert_array_equal(pixels_of(data), want.astype(np.uint16), strict=True)
    # a color brighter than its opacity allows is as bright as that
    data = by_tifffile(with_alpha(COLOR16, np.zeros_like(ALPHA16)), photometric="rgb", extrasamples=[1])
    assert (pixels_of(data, background="black") == 0).all()


def test_a_level_or_color_that_is_transparent_shows_the_background() -> None:
    level, color = int(GRAY[2, 3]), COLOR[2, 3]
    cases = [
        (png([r.tobytes() for r in GRAY], 7, 8, 0, chunk(b"tRNS", level.to_bytes(2, "big"))), GRAY),
        (png(ROWS, 7, 8, 2, chunk(b"tRNS", color.astype(">u2").tobytes())), COLOR),
        (deep_png(GRAY16, 0, chunk(b"tRNS", GRAY16[2, 3:4].astype(">u2").tobytes())), GRAY16),
        (deep_png(COLOR16, 2, chunk(b"tRNS", COLOR16[2, 3].astype(">u2").tobytes())), COLOR16),
    ]
    for data, stored in cases:
        hidden = stored == stored[2, 3]
        hidden = hidden if stored.ndim == 2 else hidden.all(-1)
        want = stored.copy()
        want[hidden] = np.iinfo(stored.dtype).max
        assert hidden.any()
        np.testing.assert_array_equal(pixels_of(data), want, strict=True)
    few = random_pixels(5, 8, bits=2)
    packed = np.packbits(np.unpackbits(few[..., None], axis=-1)[..., -2:].reshape(5, -1), axis=1)
    data = png([row.tobytes() for row in packed], 8, 2, 0, chunk(b"tRNS", b"\0\1"))
    np.testing.assert_array_equal(pixels_of(data), np.where(few == 1, 255, few * 85), strict=False)


def test_palettes_stand_for_colors_some_of_them_transparent() -> None:
    rng = np.random.default_rng(3)
    index, table = random_pixels(5, 7, bits=4), rng.integers(0, 256, (16, 3)).astype(np.uint8)
    rows, plte = [row.tobytes() for row in index], chunk(b"PLTE", table.tobytes())
    np.testing.assert_array_equal(pixels_of(png(rows, 7, 8, 3, plte)), table[index], strict=True)
    opacity = rng.integers(0, 256, 16).astype(np.uint8)
    data = png(rows, 7, 8, 3, plte + chunk(b"tRNS", opacity.tobytes()))
    want = over(table[index], opacity[index], (0, 0, 0), 255)
    np.testing.assert_array_equal(pixels_of(data, background="black"), want, strict=True)
    grays = chunk(b"PLTE", np.repeat(table[:, :1], 3, axis=1).tobytes())
    np.testing.assert_array_equal(pixels_of(png(rows, 7, 8, 3, grays)), table[index, 0], strict=True)
    colors = (np.concatenate([table, np.zeros((240, 3), np.uint8)]).T.astype(np.uint16) * 257).astype(np.uint16)
    data = by_tifffile(index, photometric="palette", colormap=colors)
    np.testing.assert_array_equal(pixels_of(data), table[index], strict=True)


def test_a_transparent_gif_shows_the_background() -> None:
    image = Image.fromarray(GRAY % 4 + np.uint8(1)).convert("P")
    data = by_pillow(image, "gif", transparency=2)
    assert header_of(data).alpha
    table = np.array(image.getpalette("RGB")).reshape(-1, 3)[:, 0]
    index = np.asarray(image)
    want = np.where(index == 2, 255, table[index])
    got = pixels_of(data)
    np.testing.assert_array_equal(got, want.astype(np.uint8), strict=True)


def ink(cmyk: Array) -> Array:
    """Red, green and blue of inks: what is left of the light, rounded."""
    c = cmyk.astype(np.float64) / 255
    return (255 * (1 - c[..., :3]) * (1 - c[..., 3:])).round()


@pytest.mark.parametrize("kind", ["cmyk", "ycck"])
def test_inks_of_jpegs_are_inverted_where_adobe_says_so(kind: str) -> None:
    smooth = np.add.outer(np.arange(32), np.arange(32))[..., None] * np.array([1, 2, 3, 1])
    cmyk = smooth.astype(np.uint8) // 2
    data = bytes(imagecodecs.jpeg8_encode(255 - cmyk, level=100, colorspace="CMYK", outcolorspace=kind.upper()))
    assert b"Adobe" in data
    got = pixels_of(data).astype(int)
    assert got.shape == (32, 32, 3)
    assert np.abs(got - ink(cmyk)).max() <= 6
    if kind == "cmyk":
        # the marker of Adobe is removed: inks are stored as they are
        start = data.index(b"\xff\xee")
        bare = data[:start] + data[start + 2 + int.from_bytes(data[start + 2 : start + 4], "big") :]
        assert np.abs(pixels_of(bare).astype(int) - ink(255 - cmyk)).max() <= 6


@pytest.mark.parametrize("bits", [8, 16])
def test_inks_of_tiffs(bits: int) -> None:
    cmyk = random_pixels(5, 7, 4, bits=8)
    stored = cmyk if bits == 8 else cmyk.astype(np.uint16) * 257
    data = by_tifffile(stored, photometric="separated")
    got = pixels_of(data).astype(np.float64) / (1 if bits == 8 else 257)
    assert header_of(data)[2:5] == (3, stored.dtype, 2.0**bits - 1)
    # Pillow rounds products of 8 bits
    assert np.abs(got - ink(cmyk)).max() <= (1.01 if bits == 8 else 0.51)


def test_colors_that_are_not_understood_are_refused() -> None:
    data = by_tifffile(COLOR, photometric="cielab")
    with pytest.raises(BadData, match=r"'x' has colors of kind 8, but only gray, RGB"):
        pixels_of(data)
    with pytest.raises(BadData, match=r"'x' has samples of 64 bits \(kind 6\), but integers or floating"):
        header_of(by_tifffile(np.ones((3, 4), np.complex64)))


@pytest.mark.parametrize("name", ["whit", "#12345", "#ffffff80", "rgb(1)"])
def test_a_background_is_a_color(name: str) -> None:
    with pytest.raises(BadOption, match=r"data.background cannot be '.*'\. Allowed: a name of a color.* #rrggbb"):
        color_of(name)


def test_a_16_bit_picture_is_its_floats_times_65535() -> None:
    floats = (COLOR16 / 65535).astype(np.float32)
    out = io.BytesIO()
    tifffile.imwrite(out, floats, photometric="rgb", metadata=None)
    back = pixels_of(out.getvalue())
    assert back.dtype == np.float32
    np.testing.assert_array_equal((back.astype(np.float64) * 65535).round(), pixels_of(deep_png(COLOR16, 2)))
