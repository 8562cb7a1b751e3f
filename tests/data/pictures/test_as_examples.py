"""Pictures as examples: files, pages, folders and images of Pillow; the same picture gives the same code to the bit."""

import io
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from made_pictures import Array, by_pillow, by_tifffile, deep_png, exif, random_pixels, write
from PIL import Image

import isthmus as it
from isthmus.data.dataset import Dataset
from isthmus.data.opening import open_data
from isthmus.data.preparing import prepare
from isthmus.errors import BadData
from isthmus.options import DataOptions

R = np.random.default_rng(0)
COLORS = random_pixels(6, 5, 7, 3)
IMAGES = [Image.fromarray(picture) for picture in COLORS]


def opened(data: Any, **options: Any) -> Dataset:
    dataset = open_data(data, DataOptions(**options))
    assert isinstance(dataset, Dataset)
    return dataset


def values_of(data: Any, **options: Any) -> Array:
    train = opened(data, **options).train
    return train.read(0, len(train)).values


def digits() -> Array:
    """Sixty digits of 16 x 16 pixels, as brightness from 0 to 1."""
    from sklearn.datasets import load_digits

    return np.kron(load_digits().images[:60] / 16, np.ones((1, 2, 2)))


def test_a_picture_is_one_example_with_the_name_of_its_file(tmp_path: Path) -> None:
    write(tmp_path, {"photo.png": by_pillow(COLORS[0], "png")})
    dataset = opened(tmp_path / "photo.png")
    assert (dataset.name, len(dataset.train), dataset.train.brightest, dataset.notes) == ("photo.png", 1, 255.0, ())
    names = dataset.train.names_of(np.arange(1))
    assert names is not None
    assert names.tolist() == ["photo.png"]
    assert [file.name for file in dataset.provenance.files] == ["photo.png"]
    np.testing.assert_array_equal(values_of(tmp_path / "photo.png"), COLORS[:1], strict=True)


@pytest.mark.parametrize("ending", [".tif", ".gif", ".webp", ".png"])
@pytest.mark.parametrize("memory", ["whole", "stream"])
def test_pages_are_examples_with_numbers(ending: str, memory: str, tmp_path: Path) -> None:
    pictures = COLORS if ending != ".gif" else COLORS // 128 * 255
    images = [Image.fromarray(picture) for picture in pictures]
    images[0].save(tmp_path / f"x{ending}", save_all=True, append_images=images[1:], lossless=True)
    path = tmp_path / f"x{ending}"
    dataset = opened(path, memory=memory)
    assert dataset.streamed == (memory == "stream")
    np.testing.assert_array_equal(dataset.train.read(0, 6).values, pictures, strict=True)
    np.testing.assert_array_equal(dataset.train.at(np.array([1, 2, 5])).values, pictures[[1, 2, 5]], strict=True)
    names = dataset.train.names_of(np.array([0, 4]))
    assert names is not None
    assert names.tolist() == [f"x{ending}#0", f"x{ending}#4"]
    words = "All 6 pages are taken (data.pages=first takes one, data.pages=channels makes them its channels)."
    assert dataset.notes[0] == words
    np.testing.assert_array_equal(values_of(path, pages="first"), pictures[:1], strict=True)


def test_a_damaged_page_is_listed_and_the_others_are_read(tmp_path: Path) -> None:
    out = io.BytesIO()
    pages = random_pixels(5, 20, 30, bits=16)
    tifffile.imwrite(out, pages, photometric="minisblack", compression="zlib", metadata=None)
    data = bytearray(out.getvalue())
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as file:
        start = file.pages[2].dataoffsets[0]
    data[start : start + 40] = bytes(40)
    write(tmp_path, {"x.tif": bytes(data)})
    chunk = opened(tmp_path / "x.tif", memory="stream").train.read(0, 5)
    assert list(chunk.faults) == [2]
    assert chunk.faults[2].startswith("'x.tif' cannot be read as an image")
    np.testing.assert_array_equal(np.delete(chunk.values, 2, 0), np.delete(pages, 2, 0))


def test_pages_of_several_sizes_need_a_size(tmp_path: Path) -> None:
    IMAGES[0].save(
        tmp_path / "x.tif", save_all=True, append_images=[IMAGES[1].resize((9, 9)), IMAGES[2].resize((4, 8))]
    )
    with pytest.raises(BadData, match=r"The file 'x\.tif' holds pictures of 3 sizes: 1 of 5x7, 1 of 9x9, 1 of 8x4"):
        opened(tmp_path / "x.tif")
    assert values_of(tmp_path / "x.tif", size=8, resize="crop").shape == (3, 8, 8, 3)


def test_a_scene_of_13_channels_is_one_example(tmp_path: Path) -> None:
    scene = random_pixels(20, 24, 13, bits=16)
    write(tmp_path, {"scene.tif": by_tifffile(scene, photometric="minisblack", planarconfig="contig")})
    dataset = opened(tmp_path / "scene.tif")
    assert (dataset.train.shape, dataset.train.brightest, dataset.train.axes) == ((20, 24, 13), 65535.0, "HWC")
    np.testing.assert_array_equal(dataset.train.read(0, 1).values[0], scene)


def test_labels_of_a_picture_are_refused(tmp_path: Path) -> None:
    write(tmp_path, {"x.png": by_pillow(COLORS[0], "png")})
    with pytest.raises(BadData, match=r"data\.labels"):
        opened(tmp_path / "x.png", labels="y")


class Torch:
    """A set of pairs as torch has them."""

    def __len__(self) -> int:
        return 6

    def __getitem__(self, row: int) -> tuple[Image.Image, int]:
        if row >= 6:
            raise IndexError(row)
        return IMAGES[row], row % 2


PILLOW: dict[str, tuple[Any, list[int] | None]] = {
    "list": (IMAGES, None),
    "tuple": (tuple(IMAGES), None),
    "generator": (iter(IMAGES), None),
    "pair": ((IMAGES, [1, 2, 1, 2, 1, 2]), [1, 2, 1, 2, 1, 2]),
    "pairs": ([(image, row % 3) for row, image in enumerate(IMAGES)], [0, 1, 2, 0, 1, 2]),
    "mappings": ([{"image": image, "label": row % 3} for row, image in enumerate(IMAGES)], [0, 1, 2, 0, 1, 2]),
    "mapping of lists": ({"x_train": IMAGES, "y_train": [0, 1, 0, 1, 0, 1]}, [0, 1, 0, 1, 0, 1]),
    "data set": (Torch(), [0, 1, 0, 1, 0, 1]),
}


@pytest.mark.parametrize("kind", PILLOW)
def test_images_of_pillow_are_examples(kind: str) -> None:
    data, labels = PILLOW[kind]
    train = opened(data).train
    np.testing.assert_array_equal(train.read(0, len(train)).values, COLORS, strict=True)
    found = train.labels_of(np.arange(6))
    assert (None if found is None else found.tolist()) == labels


def test_one_image_of_pillow_is_one_example() -> None:
    np.testing.assert_array_equal(values_of(IMAGES[0]), COLORS[:1], strict=True)


def test_images_are_what_a_viewer_shows() -> None:
    palette = Image.fromarray(COLORS[0] // 128 * 255).convert("P", palette=Image.Palette.ADAPTIVE)
    np.testing.assert_array_equal(values_of(palette)[0], COLORS[0] // 128 * 255)
    alpha = random_pixels(5, 7)
    clear = Image.fromarray(np.concatenate([COLORS[0], alpha[..., None]], axis=-1))
    want = (COLORS[0] * (alpha[..., None] / 255) + 255 - alpha[..., None]).round()
    assert np.abs(values_of(clear)[0] - want).max() <= 1
    black = (COLORS[0] * (alpha[..., None] / 255)).round()
    assert np.abs(values_of(clear, background="black")[0] - black).max() <= 1
    with Image.open(io.BytesIO(by_pillow(COLORS[0], "png", exif=exif(6)))) as image:
        np.testing.assert_array_equal(values_of(image)[0], np.rot90(COLORS[0], -1))
    deep = random_pixels(5, 7, bits=16)
    train = opened([Image.fromarray(deep), IMAGES[0].convert("L")]).train
    assert (train.dtype, train.brightest) == (np.uint16, 65535.0)


def test_images_of_several_sizes_and_modes_become_one() -> None:
    images = [IMAGES[0], IMAGES[1].convert("L"), IMAGES[2].resize((9, 9)), IMAGES[3].convert("CMYK").resize((4, 8))]
    with pytest.raises(BadData, match=r"The data set holds pictures of 3 sizes: 2 of 5x7, 1 of 9x9, 1 of 8x4"):
        opened(images)
    got = values_of(images, size=(5, 7), resize="stretch")
    assert got.shape == (4, 5, 7, 3)
    np.testing.assert_array_equal(got[0], COLORS[0])
    np.testing.assert_array_equal(got[1], np.asarray(images[1].convert("RGB")))


def test_pairs_of_images_are_inputs_and_targets() -> None:
    train = opened((IMAGES[:3], IMAGES[3:])).train
    given = train.inputs()
    assert given is not None
    np.testing.assert_array_equal(given.read(0, 3).values, COLORS[:3])
    np.testing.assert_array_equal(train.read(0, 3).values, COLORS[3:])


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pictures of users' reports 10, 26 and 35."""
    top = tmp_path_factory.mktemp("reports")
    ink, png16, tif8, tif16, mixed, cmyk, sizes = (
        {}
        for _ in range(7)  # files of each folder
    )
    for row, digit in enumerate(digits()):
        clear = np.zeros((16, 16, 4), np.uint8)
        clear[..., 3] = digit * 255
        gray = Image.fromarray((digit * 255).astype(np.uint8))
        ink[f"{row:03}.png"] = by_pillow(clear, "png")
        png16[f"{row:03}.png"] = by_pillow((digit * 4095).astype(np.uint16), "png")
        tif8[f"{row:03}.tif"] = by_pillow(gray, "tiff")
        tif16[f"{row:03}.tiff"] = by_pillow((digit * 4095).astype(np.uint16), "tiff")
        mixed[f"{row:03}.png"] = by_pillow(gray if row % 2 else gray.convert("RGB"), "png")
        cmyk[f"{row:03}.jpg"] = by_pillow(gray.convert("RGB").convert("CMYK"), "jpeg", quality=95)
        sizes[f"{row:03}.png"] = by_pillow(gray.resize((16 + row % 3, 16)), "png")
    made = {"ink": ink, "png16": png16, "tif8": tif8, "tif16": tif16, "mixed": mixed, "cmyk": cmyk, "sizes": sizes}
    for name, files in made.items():
        write(top / name, files)
    return top


def prepared(path: Path, **options: Any) -> Array:
    """All examples of a folder as model inputs, in order."""
    data = prepare(path, DataOptions(test=0, validation=0, **options), 0)
    return data.train.tensor.numpy()


def test_ink_in_the_alpha_channel_is_seen_on_white(folders: Path) -> None:
    x = prepared(folders / "ink")
    want = 1 - (digits() * 255).astype(np.uint8) / 255
    np.testing.assert_allclose(x, np.repeat(want[:, None], 3, axis=1), atol=1e-6)


def test_16_bits_are_read_as_16_bits(folders: Path) -> None:
    want = (digits() * 4095).astype(np.uint16) / 65535
    for name in ("png16", "tif16"):
        np.testing.assert_allclose(prepared(folders / name)[:, 0], want, atol=1e-7)
    np.testing.assert_allclose(prepared(folders / "tif8")[:, 0], (digits() * 255).astype(np.uint8) / 255, atol=1e-6)


def test_gray_beside_color_and_inks_are_color(folders: Path) -> None:
    want = np.repeat(((digits() * 255).astype(np.uint8) / 255)[:, None], 3, axis=1)
    np.testing.assert_allclose(prepared(folders / "mixed"), want, atol=1e-6)
    assert np.abs(prepared(folders / "cmyk") - want).mean() < 0.02


def test_several_sizes_ask_for_a_size_and_get_it(folders: Path) -> None:
    with pytest.raises(
        BadData, match=r"'sizes' holds pictures of 3 sizes: 20 of 16x16, 20 of 16x17, 20 of 16x18 \(height x width\)"
    ):
        prepared(folders / "sizes")
    for how in ("pad", "crop", "stretch"):
        x = prepared(folders / "sizes", size=16, resize=how)
        assert x.shape == (60, 1, 16, 16)
        # those that had the size are unchanged
        np.testing.assert_allclose(x[::3, 0], (digits() * 255).astype(np.uint8)[::3] / 255, atol=1e-6)
    assert prepared(folders / "sizes", size=16, resize="pad")[2].max(axis=(0, 1))[:1] == 1


def test_the_same_picture_has_the_same_code_wherever_it_comes_from(folders: Path, tmp_path: Path) -> None:
    x = (digits() * 255).astype(np.uint8)
    options = {"latent.size": 4, "data.size": 16, "data.resize": "pad"}
    run = it.fit("pca", folders / "tif8", options=options)
    picture = x[7]
    turned = np.rot90(picture)
    files = {
        "a.png": by_pillow(picture, "png"),
        "a.tif": by_tifffile(picture, compression="zlib"),
        "a.bmp": by_pillow(picture, "bmp"),
        "a.pgm": by_pillow(picture, "ppm"),
        "a.jp2": bytes(imagecodecs.jpeg2k_encode(picture, level=0, reversible=True)),
        "a.avif": bytes(imagecodecs.avif_encode(picture, level=100)),
        "turned.png": by_pillow(np.ascontiguousarray(turned), "png", exif=exif(6)),
        "deep.png": deep_png(picture.astype(np.uint16) * 257, 0),
    }
    write(tmp_path / "files", files)
    np.save(tmp_path / "a.npy", picture[None])
    want = run.encode(picture[None])
    assert want.std() > 0
    for name in files:
        np.testing.assert_array_equal(run.encode(tmp_path / "files" / name), want, err_msg=name)
    np.testing.assert_array_equal(run.encode(tmp_path / "a.npy"), want)
    np.testing.assert_array_equal(run.encode(Image.fromarray(picture)), want)
    np.testing.assert_array_equal(run.encode([{"image": Image.fromarray(picture)}]), want)
    # new pictures of another size get the size of the run
    large = Image.fromarray(np.kron(picture, np.ones((3, 3), np.uint8)))
    write(tmp_path, {"large.png": by_pillow(large, "png")})
    assert run.encode(tmp_path / "large.png").shape == want.shape
    np.testing.assert_array_equal(run.encode(tmp_path / "large.png"), run.encode(large))


def test_columns_of_images_of_pillow_follow_the_options() -> None:
    sizes = [(8, 6), (9, 7), (8, 6), (10, 4)] * 3
    images = [Image.fromarray(np.full((*size, 4), 40 * (k % 5), np.uint8), "RGBA") for k, size in enumerate(sizes)]
    labels = [k % 2 for k in range(12)]
    options = {"size": (8, 6), "resize": "pad", "background": "black", "test": 0, "validation": 0}
    rows = prepare([{"image": x, "label": y} for x, y in zip(images, labels, strict=True)], DataOptions(**options), 0)
    for batch in (
        {"image": images, "label": labels},
        {"image": images, "label": np.array(labels), "text": ["a"] * 12, "name": "x"},
        {"x_train": images, "y_train": np.array(labels)},
    ):
        made = prepare(batch, DataOptions(**options), 0)
        np.testing.assert_array_equal(made.train.tensor.numpy(), rows.train.tensor.numpy())
        np.testing.assert_array_equal(made.train.labels, rows.train.labels)
    with pytest.raises(BadData, match=r"3 sizes.*data\.resize=pad"):
        prepare({"image": images, "label": labels}, DataOptions(), 0)


def test_one_row_of_a_data_set_is_one_example() -> None:
    images = [Image.fromarray(R.integers(0, 256, (6, 7, 3)).astype(np.uint8)) for _ in range(12)]
    run = it.fit("pca", images, options={"latent.size": 2})
    codes = np.asarray(run.encode(images))
    np.testing.assert_allclose(np.asarray(run.encode({"image": images[3], "label": 1})), codes[3:4], atol=1e-5)


@pytest.mark.parametrize("most", [255, -0.5, 1.5])
def test_numbers_beside_brightness_lie_between_0_and_1(most: float, tmp_path: Path) -> None:
    for number in range(30):
        values = R.integers(0, 256, (6, 7)).astype(np.uint8)
        if number % 3 == 0:
            scaled = (values / 255).astype(np.float32)
            if number == 9:
                scaled[0, 0] = most
            Image.fromarray(scaled).save(tmp_path / f"{number}.tif")
        else:
            Image.fromarray(values).save(tmp_path / f"{number}.png")
    with pytest.raises(BadData, match=r"'9\.tif', row 9 is invalid: it holds numbers from .* brightness from 0 to 1"):
        prepare(tmp_path, DataOptions(), 0)
    kept = prepare(tmp_path, DataOptions(on_bad_data="skip", test=0, validation=0), 0)
    assert len(kept.train) == 29
    assert 0 <= float(kept.train.tensor.min()) <= float(kept.train.tensor.max()) <= 1


def test_white_ink_before_white_is_called_what_it_is(tmp_path: Path) -> None:
    for number in range(12):
        ink = np.full((6, 7, 4), 255, np.uint8)
        ink[..., 3] = R.integers(0, 256, (6, 7))
        Image.fromarray(ink, "RGBA").save(tmp_path / f"{number}.png")
    notes = prepare(tmp_path, DataOptions(), 0).notes
    assert "All values are the same, 255; data.background shows what is transparent" in notes[-1]
    # the advice works
    assert "All values" not in " ".join(prepare(tmp_path, DataOptions(background="black"), 0).notes)
    assert (
        prepare(np.full((20, 6, 7), 3.0), DataOptions(scale="standard"), 0).notes[-1] == "All values are the same, 3."
    )
