"""One format for all pictures of a set, decided by their headers: size, channels, depth; and how each gets it."""

import io
from collections import Counter

import numpy as np
import pytest
from made_pictures import Array, by_pillow, by_tifffile, deep_png, random_pixels
from PIL import Image

from isthmus.data.formats.pictures import (
    PictureFormat,
    PictureHeader,
    common_format,
    format_notes,
    read_picture,
)
from isthmus.errors import BadData, BadOption
from isthmus.options import DataOptions

U8, U16, F32 = np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.float32)
GRAY, COLOR, DEEP = PictureHeader(16, 16, 1), PictureHeader(16, 16, 3), PictureHeader(16, 16, 1, U16, 65535.0)
FLOAT = PictureHeader(16, 16, 1, F32, None)
SCAN = PictureHeader(16, 16, 1, F32, None, unit="HU")


def decided(headers: dict[PictureHeader, int], **options: object) -> PictureFormat:
    return common_format(Counter(headers), DataOptions(**options), "The folder 'x'")


def sized(height: int, width: int) -> PictureHeader:
    return PictureHeader(height, width, 1)


@pytest.mark.parametrize(
    ("headers", "channels", "dtype", "brightest"),
    [
        ({GRAY: 9}, 1, U8, 255),
        ({GRAY: 5, COLOR: 5}, 3, U8, 255),
        ({GRAY: 9, COLOR: 1}, 3, U8, 255),
        ({GRAY: 5, DEEP: 5}, 1, U16, 65535),
        ({COLOR: 5, DEEP: 5}, 3, U16, 65535),
        ({GRAY: 5, FLOAT: 5}, 1, F32, 1),
        ({DEEP: 5, FLOAT: 5}, 1, F32, 1),
        ({FLOAT: 5}, 1, F32, None),
        ({SCAN: 5}, 1, F32, None),
        ({GRAY._replace(channels=13): 5}, 13, U8, 255),
        ({DEEP._replace(brightest=4095.0): 5}, 1, U16, 4095),
        # 12 bits have no exact place among 16, nor 8 among 12
        ({DEEP._replace(brightest=4095.0): 5, DEEP: 5}, 1, F32, 1),
        ({DEEP._replace(brightest=4095.0): 5, GRAY: 5}, 1, F32, 1),
        ({FLOAT._replace(dtype=np.dtype(np.int16)): 4, FLOAT: 4}, 1, F32, None),
    ],
)
def test_channels_and_depth_are_the_least_that_hold_all(
    headers: dict[PictureHeader, int], channels: int, dtype: np.dtype[object], brightest: float | None
) -> None:
    wanted = decided(headers)
    assert wanted[:7] == (16, 16, channels, dtype, brightest, None, "white")


SEVERAL = {sized(16, 16): 40, sized(16, 17): 20, sized(16, 18): 20}


def test_several_sizes_are_refused_with_their_counts_and_the_options_to_set() -> None:
    with pytest.raises(BadData) as caught:
        decided(SEVERAL)
    assert str(caught.value) == (
        "The folder 'x' holds pictures of 3 sizes: 40 of 16x16, 20 of 16x17, 20 of 16x18 (height x width). Set "
        "data.size, such as data.size=16, and data.resize=pad, crop or stretch."
    )
    with pytest.raises(BadData, match=r"data\.size=16 has another shape, so set data\.resize=pad, crop or stretch too"):
        decided(SEVERAL, size=16)
    many = {sized(16, 16 + i): 10 for i in range(30)}
    with pytest.raises(BadData, match=r"holds pictures of 30 sizes: .* and 270 others"):
        decided(many)
    with pytest.raises(BadData, match=r"pictures of one size: 9 of 16x16 .*data\.size=64x48 has another shape"):
        decided({GRAY: 9}, size="64x48")


@pytest.mark.parametrize("how", ["pad", "crop", "stretch"])
def test_several_sizes_become_the_one_that_is_set(how: str) -> None:
    assert decided(SEVERAL, size=(64, 48), resize=how)[:6] == (64, 48, 1, U8, 255, how)


def test_a_size_alone_scales_pictures_of_its_shape() -> None:
    assert decided({sized(48, 64): 5, sized(3000, 4000): 5, sized(333, 444): 5}, size=(24, 32)).resize == "scale"


def test_a_resizing_needs_a_size_and_a_background_is_a_color() -> None:
    with pytest.raises(BadOption, match=r"data\.resize=pad says how pictures get the size data\.size, which is not"):
        decided({GRAY: 5}, resize="pad")
    with pytest.raises(BadOption, match=r"data\.background cannot be 'wite'"):
        decided({GRAY: 5}, background="wite")


@pytest.mark.parametrize("odd", [sized(9, 9), SCAN, GRAY._replace(channels=5), FLOAT._replace(dtype=np.dtype("i2"))])
def test_few_odd_pictures_are_no_reason_to_refuse_the_others(odd: PictureHeader) -> None:
    assert decided({GRAY: 2, odd: 1})[:5] == (16, 16, 1, U8, 255)
    assert decided({GRAY: 95, odd: 5})[:5] == (16, 16, 1, U8, 255)
    for headers in ({GRAY: 94, odd: 6}, {GRAY: 1, odd: 1}):
        with pytest.raises(BadData, match="The folder 'x' holds pictures"):
            decided(headers)


def test_values_that_mean_different_things_are_refused() -> None:
    with pytest.raises(BadData, match=r"mean different things: 5 of brightness, 4 in HU\. Put each kind in a folder"):
        decided({GRAY: 5, SCAN: 4})
    with pytest.raises(BadData, match="mean different things: 5 in HU, 4 in OD"):
        decided({SCAN: 5, SCAN._replace(unit="OD"): 4})
    with pytest.raises(BadData, match="different channels: 5 gray or in color, 4 of 13 channels"):
        decided({GRAY: 3, COLOR: 2, GRAY._replace(channels=13): 4})


def test_a_colored_background_makes_gray_pictures_colored_where_it_shows() -> None:
    clear = GRAY._replace(alpha=True)
    assert decided({GRAY: 5}, background="red").channels == 1
    assert decided({GRAY: 5, clear: 5}, background="red").channels == 3
    assert decided({GRAY: 5, clear: 5}, background="gray").channels == 1
    assert decided({GRAY: 5}, background="red", size=(16, 20), resize="pad").channels == 3
    assert "Transparent pixels show red (data.background)." in format_notes(
        Counter({clear: 1}), decided({clear: 1}, background="red")
    )


def read(data: bytes, wanted: PictureFormat) -> Array:
    return read_picture(io.BytesIO(data), "x", wanted)


def test_a_picture_gets_the_channels_and_the_depth_of_the_others_exactly() -> None:
    gray, deep = random_pixels(16, 16), random_pixels(16, 16, bits=16)
    wanted = PictureFormat(16, 16, 3, U16, 65535.0)
    want = np.repeat((gray.astype(np.uint16) * 257)[..., None], 3, axis=-1)
    np.testing.assert_array_equal(read(by_pillow(gray, "png"), wanted), want, strict=True)
    floats = PictureFormat(16, 16, 1, F32, 1.0)
    np.testing.assert_array_equal(read(by_pillow(gray, "png"), floats), (gray / 255).astype(np.float32), strict=True)
    np.testing.assert_array_equal(read(deep_png(deep, 0), floats), (deep / 65535).astype(np.float32), strict=True)
    stored = (deep / 65535).astype(np.float32)
    np.testing.assert_array_equal(read(by_tifffile(stored), floats), stored, strict=True)


@pytest.mark.parametrize(
    ("data", "wanted", "message"),
    [
        (by_pillow(random_pixels(4, 4, 3), "png"), PictureFormat(4, 4, 1), "it is colored, the others are gray"),
        (by_pillow(random_pixels(4, 5), "png"), PictureFormat(4, 4, 1), r"it is 4 x 5 pixels \(height x width\), most"),
        (
            by_pillow(random_pixels(4, 5), "png"),
            PictureFormat(8, 8, 1, resize="scale"),
            "another shape than 8 x 8; set",
        ),
        (by_pillow(random_pixels(4, 4), "png"), PictureFormat(4, 4, 5), "it has 1 channels, most others have 5"),
        (
            by_tifffile(np.ones((4, 4), np.float32)),
            PictureFormat(4, 4, 1),
            "its values are plain numbers, those of most",
        ),
        (
            by_pillow(random_pixels(4, 4), "png"),
            PictureFormat(4, 4, 1, F32, None),
            "its values are brightness, those of",
        ),
        (
            deep_png(random_pixels(4, 4, bits=16), 0),
            PictureFormat(4, 4, 1),
            "its full brightness is 65535, that of most",
        ),
        (
            by_pillow(random_pixels(4, 4), "png"),
            PictureFormat(4, 4, 1, F32, None, unit="HU"),
            "its unit is not stated, that of most",
        ),
    ],
)
def test_what_cannot_be_brought_to_the_format_says_why(data: bytes, wanted: PictureFormat, message: str) -> None:
    with pytest.raises(BadData, match=message):
        read(data, wanted)


KINDS = {
    "8 bits": lambda x: by_pillow((x * 255).astype(np.uint8), "png"),
    "color": lambda x: by_pillow(np.stack([(x * 255).astype(np.uint8)] * 3, axis=-1), "png"),
    "16 bits": lambda x: deep_png((x * 65535).astype(np.uint16), 0),
    "float": lambda x: by_tifffile(x.astype(np.float32)),
    "5 channels": lambda x: by_tifffile(
        np.stack([(x * 65535).astype(np.uint16)] * 5, axis=-1), photometric="minisblack", planarconfig="contig"
    ),
}
FULL = {
    "8 bits": PictureFormat(1, 1, 1),
    "color": PictureFormat(1, 1, 3),
    "16 bits": PictureFormat(1, 1, 1, U16, 65535.0),
    "float": PictureFormat(1, 1, 1, F32, None),
    "5 channels": PictureFormat(1, 1, 5, U16, 65535.0),
}


def brightness(kind: str, picture: Array, **wanted: object) -> Array:
    """A picture of values in [0, 1] that was stored, read in a format, and divided by its full brightness."""
    form = FULL[kind]._replace(**wanted)
    got = read(KINDS[kind](picture), form)
    assert (got.shape, got.dtype) == (form.shape, form.dtype)
    got = got.astype(np.float64) / (form.brightest or 1)
    return got if got.ndim == 2 else got[..., -1]


@pytest.mark.parametrize("kind", KINDS)
def test_resizing_keeps_a_flat_picture_flat_and_a_ramp_a_ramp(kind: str) -> None:
    flat = np.full((30, 40), 0.6)
    assert np.abs(brightness(kind, flat, height=12, width=9, resize="stretch") - 0.6).max() < 0.003
    ramp = np.broadcast_to((np.arange(64) + 0.5) / 64, (8, 64))
    small = brightness(kind, np.ascontiguousarray(ramp), height=8, width=16, resize="stretch")
    # means of four neighbors: the ramp of 16 pixels, but at its ends, where smoothing is cut off
    np.testing.assert_allclose(small[:, 1:-1], np.broadcast_to((np.arange(1, 15) + 0.5) / 16, (8, 14)), atol=0.004)


@pytest.mark.parametrize("kind", KINDS)
def test_pixels_finer_than_the_new_ones_are_smoothed_not_skipped(kind: str) -> None:
    stripes = np.zeros((64, 64))
    stripes[:, ::2] = 1
    small = brightness(kind, stripes, height=8, width=8, resize="stretch")
    assert np.abs(small - 0.5).max() < 0.02


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "float"])
def test_a_padded_picture_is_whole_in_the_middle_of_the_background(kind: str) -> None:
    picture = np.full((20, 40), 0.2)
    got = brightness(kind, picture, height=16, width=16, resize="pad", background="white")
    assert (got[:4] == 1).all()
    assert (got[12:] == 1).all()
    assert np.abs(got[4:12] - 0.2).max() < 0.003
    black = brightness(kind, picture.T.copy(), height=16, width=16, resize="pad", background="black")
    assert (black[:, :4] == 0).all()
    assert np.abs(black[:, 4:12] - 0.2).max() < 0.003


@pytest.mark.parametrize("kind", KINDS)
def test_a_cropped_picture_is_its_middle(kind: str) -> None:
    picture = np.zeros((20, 60))
    picture[:, 20:40] = 1
    for stored in (picture, picture.T.copy()):
        got = brightness(kind, stored, height=10, width=10, resize="crop")
        got = got if stored is picture else got.T
        assert got[:, 1:-1].min() > 0.99
        # the outermost pixels are smoothed with those beyond them, equally at both ends
        assert 0.8 < got[0, 0] < 0.95
        np.testing.assert_allclose(got, got[:, ::-1], atol=1e-9)


@pytest.mark.parametrize("how", ["pad", "crop", "stretch", "scale", None])
def test_a_picture_of_the_wanted_size_is_unchanged_to_the_bit(how: str | None) -> None:
    for picture, form in (
        (random_pixels(16, 12), PictureFormat(16, 12, 1)),
        (random_pixels(16, 12, bits=16), PictureFormat(16, 12, 1, U16, 65535.0)),
    ):
        data = by_pillow(picture, "png")
        np.testing.assert_array_equal(read(data, form._replace(resize=how)), picture, strict=True)


def test_padding_and_cropping_without_scaling_change_no_pixel() -> None:
    picture = random_pixels(16, 21)
    data = by_pillow(picture, "png")
    crop = read(data, PictureFormat(16, 16, 1, resize="crop"))
    np.testing.assert_array_equal(crop, picture[:, 2:18])
    pad = read(data, PictureFormat(20, 21, 1, resize="pad", background="black"))
    np.testing.assert_array_equal(pad, np.pad(picture, ((2, 2), (0, 0))))


def test_a_colored_margin_is_colored() -> None:
    got = read(by_pillow(random_pixels(4, 8), "png"), PictureFormat(8, 8, 3, resize="pad", background="#ff8000"))
    assert got[0, 0].tolist() == got[-1, -1].tolist() == [255, 128, 0]
    got = read(by_pillow(random_pixels(4, 8), "png"), PictureFormat(8, 8, 3, F32, 1.0, "pad", "#ff8000"))
    np.testing.assert_allclose(got[0, 0], [1, 128 / 255, 0], rtol=1e-6)


def test_plain_numbers_have_no_background() -> None:
    data = by_tifffile(np.ones((4, 8), np.float32))
    with pytest.raises(BadData, match=r"data\.resize=pad is for brightness, but the values are plain numbers"):
        read(data, PictureFormat(8, 8, 1, F32, None, "pad"))


def test_8_bits_in_color_are_scaled_as_pillow_does() -> None:
    picture = random_pixels(31, 47, 3)
    want = np.asarray(Image.fromarray(picture).resize((20, 10), Image.Resampling.BILINEAR))
    got = read(by_pillow(picture, "png"), PictureFormat(10, 20, 3, resize="stretch"))
    np.testing.assert_array_equal(got, want)
