"""DICOM: files made by hand and by the libraries of pydicom's own test files, against another reader."""

import struct
from pathlib import Path

import numpy as np
import pydicom
import pytest
from made_pictures import Array, header_of, pixels_of, random_pixels

from isthmus.errors import BadData

FILES = Path(pydicom.__file__).parent / "data" / "test_files"
EXPLICIT = b"1.2.840.10008.1.2.1"
LONG = (b"OW", b"OB")


def element(group: int, number: int, kind: bytes, value: bytes) -> bytes:
    """An element with its kind, little-endian."""
    value += b"" if len(value) % 2 == 0 else b"\0" if kind in (b"UI", b"OB") else b" "
    length = struct.pack("<2xI" if kind in LONG else "<H", len(value))
    return struct.pack("<HH2s", group, number, kind) + length + value


def dicom(x: Array, bits: int, colors: bytes = b"MONOCHROME2", syntax: bytes = EXPLICIT, **more: bytes) -> bytes:
    """A DICOM file by hand: pixels (frames, height, width[, 3]), and slope, intercept, unit or modality."""
    syntax = element(2, 0x10, b"UI", syntax)
    meta = element(2, 0, b"UL", struct.pack("<I", len(syntax))) + syntax
    short = lambda number, value: element(0x28, number, b"US", struct.pack("<H", value))  # noqa: E731
    parts = [
        element(8, 0x60, b"CS", more.get("modality", b"OT")),
        short(2, 3 if x.ndim == 4 else 1),
        element(0x28, 4, b"CS", colors),
        *([short(6, 0)] if x.ndim == 4 else []),
        element(0x28, 8, b"IS", more.get("frames", str(len(x)).encode())),
        short(0x10, x.shape[1]),
        short(0x11, x.shape[2]),
        short(0x100, 8 * x.itemsize),
        short(0x101, bits),
        short(0x102, bits - 1),
        short(0x103, int(x.dtype.kind == "i")),
        *([element(0x28, 0x1052, b"DS", more["intercept"])] if "intercept" in more else []),
        *([element(0x28, 0x1053, b"DS", more["slope"])] if "slope" in more else []),
        *([element(0x28, 0x1054, b"LO", more["unit"])] if "unit" in more else []),
        element(0x7FE0, 0x10, b"OW", x.tobytes()),
    ]
    return bytes(128) + b"DICM" + meta + b"".join(parts)


def test_brightness_is_that_of_the_stored_bits() -> None:
    for bits in (8, 10, 12, 16):
        x = random_pixels(1, 5, 7, bits=bits)
        data = dicom(x, bits)
        assert header_of(data)[:6] == (5, 7, 1, x.dtype, 2.0**bits - 1, 1)
        np.testing.assert_array_equal(pixels_of(data), x[0], strict=True)


def test_brightness_is_inverted_where_the_smallest_value_is_white() -> None:
    x = random_pixels(1, 5, 7, bits=12)
    np.testing.assert_array_equal(pixels_of(dicom(x, 12, b"MONOCHROME1")), 4095 - x[0], strict=True)


def test_slope_and_intercept_give_physical_units() -> None:
    x = random_pixels(1, 5, 7, bits=12)
    data = dicom(x, 12, slope=b"0.5", intercept=b"-1024", modality=b"CT")
    found = header_of(data)
    assert (found.dtype, found.brightest, found.unit) == (np.float32, None, "HU")
    np.testing.assert_array_equal(pixels_of(data), (x[0] * 0.5 - 1024).astype(np.float32), strict=True)
    assert header_of(dicom(x, 12, slope=b"2", intercept=b"0", unit=b"OD")).unit == "OD"


def test_a_slope_of_one_without_a_unit_is_brightness() -> None:
    x = random_pixels(1, 5, 7, bits=12)
    data = dicom(x, 12, slope=b"1", intercept=b"0", unit=b"US")
    assert header_of(data)[3:5] == (np.uint16, 4095.0)
    np.testing.assert_array_equal(pixels_of(data), x[0], strict=True)


def test_signed_values_without_a_unit_are_plain_numbers() -> None:
    x = (random_pixels(1, 5, 7, bits=12).astype(np.int16) - 1000).astype(np.int16)
    data = dicom(x, 16)
    assert header_of(data)[3:5] == (np.int16, None)
    np.testing.assert_array_equal(pixels_of(data), x[0], strict=True)


def test_frames_are_pages_and_colors_are_channels() -> None:
    x = random_pixels(3, 4, 6, 3)
    data = dicom(x, 8, b"RGB")
    assert header_of(data)[2:6] == (3, np.uint8, 255.0, 3)
    for page in range(3):
        np.testing.assert_array_equal(pixels_of(data, page=page), x[page], strict=True)


@pytest.mark.parametrize("name", ["CT_small", "MR_small", "MR_small_implicit", "MR_small_bigendian", "MR_small_expb"])
def test_files_of_scanners_are_what_another_reader_says(name: str) -> None:
    from imageio.plugins._dicom import SimpleDicomReader

    path = FILES / f"{name}.dcm"
    got = pixels_of(path.read_bytes(), path.name)
    with path.open("rb") as stream:
        other = SimpleDicomReader(stream).get_numpy_array()
    assert got.shape == other.shape
    np.testing.assert_array_equal(got.astype(np.float64), other)


def test_lossless_compression_changes_no_value() -> None:
    plain = pixels_of((FILES / "MR_small.dcm").read_bytes())
    for name in ("MR_small_RLE", "MR_small_jp2klossless", "MR_small_bigendian", "MR_small_implicit"):
        np.testing.assert_array_equal(pixels_of((FILES / f"{name}.dcm").read_bytes()), plain)


def test_colors_stored_as_differences_or_in_a_palette_are_red_green_and_blue() -> None:
    plain = pixels_of((FILES / "SC_rgb_rle.dcm").read_bytes())
    other = pixels_of((FILES / "SC_ybr_full_422_uncompressed.dcm").read_bytes())
    assert plain.shape == other.shape == (100, 100, 3)
    # stripes of primary colors, whose differences have half the width
    assert np.abs(plain[:, 10:90:10].astype(int) - other[:, 10:90:10]).max() <= 8
    assert header_of((FILES / "examples_palette.dcm").read_bytes())[2:5] == (3, np.uint16, 65535.0)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("MR_small_jpeg_ls_lossless", "JPEG-LS Lossless Image Compression requires a decoder that is not installed"),
        ("SC_rgb_jpeg_gdcm", "JPEG Lossless.* requires a decoder that is not installed"),
        ("image_dfl", "is a deflated DICOM file, which is not read"),
        ("rtplan", "has no pixels that can be read: it lacks Rows"),
        ("MR_truncated", "'MR_truncated.dcm' cannot be read as an image"),
        ("badVR", "'badVR.dcm' cannot be read as an image"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_sentence(name: str, message: str) -> None:
    with pytest.raises(BadData, match=message) as caught:
        pixels_of((FILES / f"{name}.dcm").read_bytes(), f"{name}.dcm")
    assert "\n" not in str(caught.value)


def test_every_cut_of_a_file_is_refused() -> None:
    data = dicom(random_pixels(1, 5, 7, bits=12), 12)
    for length in range(132, len(data), 7):
        with pytest.raises(BadData):
            pixels_of(data[:length], "x.dcm")


def test_a_frame_beyond_the_end_is_refused() -> None:
    data = dicom(random_pixels(1, 5, 7, bits=12), 12, frames=b"2147483647")
    assert header_of(data).pages == 2**31 - 1
    with pytest.raises(BadData):
        pixels_of(data, page=2)
