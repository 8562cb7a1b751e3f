"""Pages of a file as channels of one picture, and arrays whose rows tifffile wrote as pages."""

import io
from pathlib import Path

import imagecodecs  # noqa: F401
import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from made_pictures import header_of, pixels_of
from PIL import Image

import isthmus as it
from isthmus.data.preparing import prepare
from isthmus.errors import BadData
from isthmus.options import DataOptions

Array = npt.NDArray[np.uint16]
R = np.random.default_rng(0)
X = R.integers(0, 65536, (9, 20, 30, 5)).astype(np.uint16)


def written(values: npt.NDArray[np.generic], **options: object) -> bytes:
    out = io.BytesIO()
    tifffile.imwrite(out, values, **options)  # type: ignore[arg-type]
    return out.getvalue()


def folder_of(folder: Path, files: list[bytes]) -> Path:
    folder.mkdir()
    for number, data in enumerate(files):
        (folder / f"{number}.tif").write_bytes(data)
    return folder


def inputs(data: object, **options: object) -> npt.NDArray[np.float32]:
    chosen = DataOptions(test=0, validation=0, **options)  # type: ignore[arg-type]
    split = prepare(data, chosen, 0).train
    return split.tensor.numpy()[np.argsort(split.rows)]  # type: ignore[arg-type, no-any-return]


@pytest.mark.parametrize("memory", ["whole", "stream"])
def test_pages_are_channels_where_that_is_asked_for(memory: str, tmp_path: Path) -> None:
    first = np.moveaxis(X, -1, 1)
    pages = folder_of(tmp_path / "pages", [written(one) for one in first])
    planar = folder_of(
        tmp_path / "planar", [written(one, photometric="minisblack", planarconfig="separate") for one in first]
    )
    expected = (first / 65535).astype(np.float32)
    for folder in (pages, planar):
        np.testing.assert_array_equal(inputs(folder, pages="channels"), expected)
    notes = prepare(pages, DataOptions(), 0).notes
    assert any("data.pages=channels as channels" in note for note in notes)
    run = it.fit("pca", pages, options={"data.pages": "channels", "data.memory": memory, "latent.size": 2})
    assert run.model.shape == (5, 20, 30)
    codes = np.asarray(run.encode(pages))
    np.testing.assert_allclose(np.asarray(run.encode(pages / "3.tif")), codes[3:4], atol=1e-5)
    np.testing.assert_allclose(np.asarray(run.encode(X)), codes, atol=1e-5)


def test_pages_of_a_gif_of_colors_are_channels(tmp_path: Path) -> None:
    frames = [Image.fromarray(R.integers(0, 256, (6, 7, 3)).astype(np.uint8)) for _ in range(3)]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], lossless=True)
    made = inputs(tmp_path / "a.webp", pages="channels")
    expected = np.concatenate([np.asarray(frame) for frame in frames], axis=-1)
    np.testing.assert_array_equal(made[0], (np.moveaxis(expected, -1, 0) / np.float32(255)))


def test_pages_that_are_no_channels_of_one_picture_are_refused(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(X[0, ..., 0])
        file.write(X[0, ::2, ::2, 0])
    with pytest.raises(BadData, match=r"'a\.tif' has pages of different sizes or types.*data\.pages=first"):
        inputs(tmp_path / "a.tif", pages="channels")
    assert inputs(tmp_path / "a.tif", pages="first").shape == (1, 1, 20, 30)


@pytest.mark.parametrize("channels", [2, 5, 10])
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_an_array_with_the_channels_last_is_one_picture(channels: int, dtype: str, compression: str | None) -> None:
    values = R.integers(0, 200, (20, 30, channels)).astype(dtype)
    data = written(values, compression=compression)
    # the writer was not told what the last axis is, and made each row of pixels a page
    assert len(tifffile.TiffFile(io.BytesIO(data)).pages) == 20
    found = header_of(data)
    assert (found.height, found.width, found.channels, found.pages) == (20, 30, channels, 1)
    np.testing.assert_array_equal(pixels_of(data), values, strict=True)


@pytest.mark.parametrize("shape", [(30, 20, 24), (30, 12, 10), (4, 20, 30), (6, 20, 5)])
def test_stacks_stay_stacks(shape: tuple[int, ...]) -> None:
    values = R.integers(0, 200, shape).astype(np.uint16)
    data = written(values, photometric="minisblack")
    found = header_of(data)
    assert (found.pages, found.height, found.width, found.channels) == (*shape, 1)
    np.testing.assert_array_equal(pixels_of(data), values[0])


def test_a_damaged_description_says_nothing() -> None:
    for text in (
        '{"shape": [20, 30',
        '{"shape": 3}',
        '{"shape": ["a", 1, 2]}',
        "[" * 3000,
        '{"shape": [20, 30, 5, 1]}',
    ):
        data = written(X[0, ..., :5], metadata=None, description=text, photometric="minisblack")
        assert header_of(data).pages == 20


@pytest.mark.parametrize("bare", [False, True])
def test_the_number_of_no_value_is_noted_and_the_advice_works(bare: bool, tmp_path: Path) -> None:
    values = R.random((9, 20, 30)).astype(np.float32)
    values[:, 3, 4] = -9999
    tags = [] if bare else [(42113, "s", 0, "-9999", True)]
    folder = folder_of(tmp_path / "a", [written(one, extratags=tags) for one in values])
    noted = "The files state that -9999 stands for no value (data.missing=-9999 leaves it out)."
    assert (noted in prepare(folder, DataOptions(), 0).notes) is not bare
    assert np.isnan(inputs(folder, missing=(-9999,))[:, 0, 3, 4]).all()
    odd = written(values[0], extratags=[(42113, "s", 0, "n/a", True)])
    assert header_of(odd).missing == ""
