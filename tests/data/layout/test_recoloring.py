"""Gray pictures for a model of colored ones and the reverse: files, whose formats may store gray in three channels."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import isthmus as it
from isthmus.data.transforms.layout import recolored
from isthmus.errors import ShapeError

GRAY = np.random.default_rng(0).integers(0, 256, (30, 6, 5), dtype=np.uint8)
COLOR = np.random.default_rng(1).integers(0, 256, (30, 6, 5, 3), dtype=np.uint8)


def saved(folder: Path, pictures: np.ndarray, ending: str, **options: object) -> str:
    folder.mkdir()
    for row, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"{row}{ending}", **options)
    return str(folder)


def test_gray_pictures_in_webp_have_the_codes_of_those_in_png(tmp_path: Path) -> None:
    run = it.fit("simple", saved(tmp_path / "png", GRAY, ".png"), epochs=1)
    webp = saved(tmp_path / "webp", GRAY, ".webp", lossless=True)
    assert run.model.shape == (1, 6, 5)
    assert np.array_equal(run.encode(webp), run.encode(GRAY))


def test_gray_pictures_for_a_model_of_colored_ones_have_equal_channels(tmp_path: Path) -> None:
    run = it.fit("simple", saved(tmp_path / "color", COLOR, ".png"), epochs=1)
    gray = saved(tmp_path / "gray", GRAY, ".png")
    assert np.array_equal(run.encode(gray), run.encode(np.stack([GRAY] * 3, axis=-1)))


def test_colored_pictures_for_a_model_of_gray_ones_are_read_as_pillow_converts_them(tmp_path: Path) -> None:
    run = it.fit("simple", saved(tmp_path / "gray", GRAY, ".png"), epochs=1)
    luminance = np.stack([np.asarray(Image.fromarray(picture).convert("L")) for picture in COLOR])
    assert np.array_equal(run.encode(saved(tmp_path / "color", COLOR, ".png")), run.encode(luminance))


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
def test_equal_channels_are_that_gray(kind: str) -> None:
    levels = np.linspace(0, 1 if kind == "float32" else np.iinfo(kind).max, 1000).astype(kind)
    gray = levels.reshape(1, 20, 50)
    assert np.allclose(recolored(recolored(gray, "HW"), "HWC"), gray, rtol=0 if kind != "float32" else 1e-6, atol=0)


def test_arrays_are_not_recolored() -> None:
    run = it.fit("simple", GRAY, epochs=1)
    with pytest.raises(ShapeError):
        run.encode(COLOR)
