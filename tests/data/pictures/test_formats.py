"""Every format gives the pixels that another library, or a hand, wrote, with the depth that its header states."""

import io
from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
import pytest
from made_pictures import Array, by_pillow, by_tifffile, deep_png, header_of, pixels_of, png, random_pixels
from PIL import Image

GRAY, COLOR = random_pixels(5, 7), random_pixels(5, 7, 3)
GRAY16, COLOR16 = random_pixels(5, 7, bits=16), random_pixels(5, 7, 3, bits=16)
Writer = Callable[[Array], bytes]
LOSSLESS: dict[str, Writer] = {
    "png": lambda x: bytes(imagecodecs.png_encode(x)),
    "bmp": lambda x: by_pillow(x, "bmp"),
    "tiff": lambda x: by_tifffile(x, photometric="rgb" if x.ndim == 3 else "minisblack"),
    "tiff of Pillow": lambda x: by_pillow(x, "tiff", compression="tiff_lzw"),
    "ppm": lambda x: by_pillow(x, "ppm"),
    "webp": lambda x: bytes(imagecodecs.webp_encode(x, lossless=True)),
    "jpeg 2000": lambda x: bytes(imagecodecs.jpeg2k_encode(x, level=0, reversible=True)),
    "jpeg 2000 of Pillow": lambda x: by_pillow(x, "jpeg2000", irreversible=False),
    "avif": lambda x: bytes(imagecodecs.avif_encode(x, level=100)),
}


@pytest.mark.parametrize(
    ("kind", "picture"),
    # WebP has no gray
    [(kind, picture) for kind in LOSSLESS for picture in (GRAY, COLOR) if kind != "webp" or picture.ndim == 3],
)
def test_a_picture_is_the_same_to_the_bit_in_every_lossless_format(kind: str, picture: Array) -> None:
    data = LOSSLESS[kind](picture)
    found = header_of(data)
    assert found[:6] == (5, 7, 1 if picture.ndim == 2 else 3, np.uint8, 255.0, 1)
    np.testing.assert_array_equal(pixels_of(data), picture, strict=True)


def test_a_gif_of_gray_levels_is_gray_and_one_of_colors_is_colored() -> None:
    np.testing.assert_array_equal(pixels_of(by_pillow(GRAY, "gif")), GRAY, strict=True)
    few = COLOR // 128 * 255
    np.testing.assert_array_equal(pixels_of(by_pillow(few, "gif")), few, strict=True)


DEEP: dict[str, tuple[Writer, int]] = {
    "png": (lambda x: deep_png(x, 2 if x.ndim == 3 else 0), 16),
    "tiff": (lambda x: by_tifffile(x, photometric="rgb" if x.ndim == 3 else "minisblack"), 16),
    "tiff big-endian": (
        lambda x: by_tifffile(x, photometric="rgb" if x.ndim == 3 else "minisblack", byteorder=">"),
        16,
    ),
    "tiff of 12 bits": (
        lambda x: by_tifffile(x, photometric="rgb" if x.ndim == 3 else "minisblack", bitspersample=12),
        12,
    ),
    "ppm": (
        lambda x: b"P%d 7 5 65535\n" % (6 if x.ndim == 3 else 5) + x.astype(">u2").tobytes(),
        16,
    ),
    "jpeg 2000": (lambda x: bytes(imagecodecs.jpeg2k_encode(x, level=0, reversible=True)), 16),
    "jpeg 2000 of 12 bits": (
        lambda x: bytes(imagecodecs.jpeg2k_encode(x, level=0, reversible=True, bitspersample=12)),
        12,
    ),
    "avif of 10 bits": (lambda x: bytes(imagecodecs.avif_encode(x, level=100, bitspersample=10)), 10),
    "avif of 12 bits": (lambda x: bytes(imagecodecs.avif_encode(x, level=100, bitspersample=12)), 12),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", DEEP)
def test_deep_pictures_keep_all_their_bits(kind: str, channels: int) -> None:
    make, bits = DEEP[kind]
    picture = random_pixels(5, 7, *([3] if channels == 3 else []), bits=bits)
    data = make(picture)
    assert header_of(data)[2:5] == (channels, np.uint16, 2.0**bits - 1)
    np.testing.assert_array_equal(pixels_of(data), picture, strict=True)


def test_the_depth_is_that_of_the_header_even_if_all_values_are_small() -> None:
    dark = GRAY16 % 2
    for data in (by_pillow(dark, "png"), by_tifffile(dark), b"P5 7 5 65535\n" + dark.astype(">u2").tobytes()):
        assert header_of(data)[3:5] == (np.uint16, 65535.0)
        np.testing.assert_array_equal(pixels_of(data), dark, strict=True)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_gray_levels_spread_from_black_to_white(bits: int) -> None:
    levels = random_pixels(5, 8, bits=bits)
    packed = np.packbits(np.unpackbits(levels[..., None], axis=-1)[..., -bits:].reshape(5, -1), axis=1)
    data = png([row.tobytes() for row in packed], 8, bits, 0)
    np.testing.assert_array_equal(pixels_of(data), levels * np.uint8(255 // (2**bits - 1)), strict=True)


def test_a_bit_is_black_or_white() -> None:
    bits = GRAY > 127
    want = bits * np.uint8(255)
    image = Image.fromarray(bits)
    files = [by_pillow(image, "png"), by_pillow(image, "bmp"), by_pillow(image, "tiff", compression="group4")]
    files += [by_tifffile(bits, photometric="minisblack"), by_pillow(image, "ppm")]
    files += [b"P1 # text\n7 5\n" + b"\n".join("".join("01"[1 - b] for b in row).encode() for row in bits.astype(int))]
    for data in files:
        np.testing.assert_array_equal(pixels_of(data), want, strict=True)


TIFFS: list[dict[str, Any]] = [
    {},
    {"byteorder": ">"},
    {"bigtiff": True},
    {"compression": "zlib"},
    {"compression": "lzw", "predictor": True},
    {"compression": "zstd"},
    {"tile": (16, 16)},
]


@pytest.mark.parametrize("options", TIFFS, ids=str)
@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i1", "i2", "i4", "f2", "f4", "f8"])
def test_tiffs_of_every_type_and_number_of_channels(dtype: str, options: dict[str, Any]) -> None:
    if options.get("predictor") and dtype[0] == "f":
        options = {"compression": "lzw"}
    rng = np.random.default_rng(1)
    brightest = {"u1": 255.0, "u2": 65535.0}.get(dtype)
    for channels in ((), (2,), (3,), (4,), (5,), (13,)):
        x = rng.normal(size=(5, 7, *channels)) * 100 if dtype[0] == "f" else rng.integers(0, 100, (5, 7, *channels))
        x = x.astype(dtype)
        for planar in ("contig", "separate") if channels else (None,):
            stored = np.moveaxis(x, -1, 0) if planar == "separate" else x
            photometric = "rgb" if channels == (3,) else "minisblack"
            data = by_tifffile(np.ascontiguousarray(stored), photometric=photometric, planarconfig=planar, **options)
            found = header_of(data)
            assert found[:6] == (5, 7, *(channels or (1,)), np.dtype(dtype), brightest, 1)
            np.testing.assert_array_equal(pixels_of(data), x, strict=True)


@pytest.mark.parametrize(("picture", "most"), [(GRAY, 255), (GRAY16, 65535)])
def test_a_tiff_whose_zero_is_white_is_inverted(picture: Array, most: int) -> None:
    data = by_tifffile(picture, photometric="miniswhite")
    np.testing.assert_array_equal(pixels_of(data), most - picture, strict=True)


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("picture", [GRAY, GRAY16, COLOR])
def test_a_tiff_of_any_order_of_bytes_may_be_large(picture: Array, order: str, big: bool) -> None:
    data = by_tifffile(picture, byteorder=order, bigtiff=big, photometric="rgb" if picture.ndim == 3 else "minisblack")
    np.testing.assert_array_equal(pixels_of(data), picture, strict=True)


def test_pages_of_a_tiff_differ_and_smaller_copies_are_none() -> None:
    import tifffile

    out = io.BytesIO()
    with tifffile.TiffWriter(out) as file:
        file.write(GRAY, metadata=None)
        file.write(GRAY[::2, ::2], metadata=None, subfiletype=1)
        file.write(COLOR16, metadata=None, photometric="rgb")
    data = out.getvalue()
    assert header_of(data).pages == 2
    np.testing.assert_array_equal(pixels_of(data), GRAY, strict=True)
    from isthmus.data.formats.pictures import PictureFormat, read_headers, read_picture

    assert [h.dtype for h in read_headers(io.BytesIO(data), "x")] == [np.uint8, np.uint16]
    wanted = PictureFormat(5, 7, 3, np.dtype(np.uint16), 65535.0)
    np.testing.assert_array_equal(read_picture(io.BytesIO(data), "x", wanted, 1), COLOR16, strict=True)


@pytest.mark.parametrize(
    ("most", "brightest", "dtype"),
    [
        (255, 255, "u1"),
        (15, 255, "u1"),
        (100, 100, "u1"),
        (4095, 4095, "u2"),
        (21845, 65535, "u2"),
        (65535, 65535, "u2"),
    ],
)
@pytest.mark.parametrize("text", [False, True], ids=["bytes", "text"])
@pytest.mark.parametrize("channels", [1, 3])
def test_pgm_and_ppm_have_any_largest_value(most: int, brightest: int, dtype: str, text: bool, channels: int) -> None:
    x = np.random.default_rng(2).integers(0, most + 1, (5, 7, channels))
    x[0, 0, 0] = most
    kind = (2 if text else 5) + (channels == 3)
    body = " ".join(map(str, x.ravel())).encode() if text else x.astype(">u2" if most > 255 else "u1").tobytes()
    data = b"P%d\n# a comment 9 9\n7 5 # another\n%d\n" % (kind, most) + body
    assert header_of(data)[2:5] == (channels, np.dtype(dtype), brightest)
    want = (x * (brightest // most)).astype(dtype)
    np.testing.assert_array_equal(pixels_of(data), want if channels == 3 else want[..., 0], strict=True)


def test_a_pam_file_states_its_channels() -> None:
    x = random_pixels(5, 7, 5)
    data = b"P7\nWIDTH 7\nHEIGHT 5\nDEPTH 5\nMAXVAL 255\nTUPLTYPE BANDS\nENDHDR\n" + x.tobytes()
    np.testing.assert_array_equal(pixels_of(data), x, strict=True)


def test_gray_and_progressive_jpegs_are_what_pillow_decodes() -> None:
    smooth = np.add.outer(np.arange(40), np.arange(50)).astype(np.uint8)
    for image, options in (
        (Image.fromarray(smooth), {}),
        (Image.fromarray(smooth).convert("RGB"), {"progressive": True}),
    ):
        data = by_pillow(image, "jpeg", quality=90, **options)
        got = pixels_of(data)
        assert got.shape == ((40, 50) if image.mode == "L" else (40, 50, 3))
        np.testing.assert_array_equal(got, imagecodecs.jpeg_decode(data))


def test_frames_of_a_gif_are_what_was_drawn() -> None:
    frames = [Image.fromarray(random_pixels(5, 7, seed=seed)) for seed in range(4)]
    data = by_pillow(frames[0], "gif", save_all=True, append_images=frames[1:])
    assert header_of(data)[2:6] == (1, np.uint8, 255.0, 4)
    for page, frame in enumerate(frames):
        np.testing.assert_array_equal(pixels_of(data, page=page), np.asarray(frame), strict=True)


def test_frames_of_webp_and_apng_are_pages() -> None:
    frames = [Image.fromarray(random_pixels(5, 7, 3, seed=seed)) for seed in range(3)]
    for kind, options in (("webp", {"lossless": True}), ("png", {})):
        data = by_pillow(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        assert header_of(data).pages == 3
        for page, frame in enumerate(frames):
            np.testing.assert_array_equal(pixels_of(data, page=page), np.asarray(frame), strict=True)
