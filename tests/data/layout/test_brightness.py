"""Brightness of any number of bits: found in training, and for new data by data type and run alone."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import isthmus as it
from isthmus.data.dataset import Dataset
from isthmus.data.preparing import prepare, prepare_dataset
from isthmus.data.sources.arrays import Examples
from isthmus.data.transforms.contract import DataContract
from isthmus.data.transforms.scaling import Scaling
from isthmus.errors import BadData
from isthmus.options import DataOptions

Array = npt.NDArray[Any]
R = np.random.default_rng(0)
BYTES = R.integers(0, 256, (40, 8, 9)).astype(np.uint8)
WORDS = R.integers(0, 65536, (40, 8, 9)).astype(np.uint16)
FULL = {np.uint8: 255.0, np.uint16: 65535.0}


def by(brightest: float) -> Scaling:
    return Scaling("auto", (0.0,), (brightest,))


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (BYTES, by(255)),
        (WORDS, by(65535)),
        (WORDS // 64, by(65535)),
        (R.integers(0, 65536, (20, 4, 8, 9)).astype(np.uint16), by(65535)),
        (WORDS.astype(np.int32), by(1)),
        (WORDS.astype(np.int16), by(1)),
        (WORDS.astype(np.float32), by(1)),
        ((WORDS > 30000).astype(np.uint16), by(1)),
        ((BYTES > 100).astype(np.uint8), by(1)),
        (WORDS.reshape(40, 72), by(1)),
        (BYTES.reshape(40, 72), by(255)),
    ],
)
def test_unsigned_numbers_of_images_are_brightness(x: Array, expected: Scaling) -> None:
    assert prepare(x, DataOptions(), 0).scaling == expected


def test_frames_are_brightness_and_sequences_are_numbers() -> None:
    assert prepare(WORDS.reshape(10, 4, 8, 9), DataOptions(layout="NFHW"), 0).scaling == by(65535)
    assert prepare(WORDS, DataOptions(layout="NTC"), 0).scaling == Scaling("auto", (0.0,), (1.0,))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_whole_numbers_have_the_codes_of_their_floats(dtype: Any, tmp_path: Path) -> None:
    x = {np.uint8: BYTES, np.uint16: WORDS}[dtype]
    floats = x / FULL[dtype]
    run, on_floats = it.fit("simple", x, epochs=2), it.fit("simple", floats, epochs=2)
    if dtype == np.uint16:
        np.testing.assert_array_equal(run.encode(x), on_floats.encode(floats))
    run.save(tmp_path / "run")
    for each in (run, on_floats, it.load(tmp_path / "run")):
        for data in (x, floats):
            np.testing.assert_allclose(each.encode(data), run.encode(x), atol=1e-6)
            np.testing.assert_allclose(each.reconstruct(data), run.reconstruct(x), atol=1e-6)
    assert 0 <= run.reconstruct(x).min() <= run.reconstruct(x).max() <= 1


@pytest.mark.parametrize("trained", [BYTES, WORDS, BYTES / 255])
def test_new_data_is_divided_by_its_own_full_brightness(trained: Array) -> None:
    run = it.fit("simple", trained, epochs=1)
    gray = R.integers(0, 256, (10, 8, 9))
    forms = [gray.astype(np.uint8), (gray * 257).astype(np.uint16), gray / 255, (gray / 255).astype(np.float32)]
    for form in forms:
        np.testing.assert_allclose(run.to_tensor(form).numpy()[:, 0], gray / 255, atol=1e-6)
    # dark pictures alone, whose values are 0 and 1
    for dtype, full in FULL.items():
        dark = (gray % 2).astype(dtype)
        np.testing.assert_allclose(run.to_tensor(dark).numpy()[:, 0], dark / full, atol=1e-7)


@pytest.mark.parametrize(("trained", "unit"), [(BYTES, 255), (WORDS, 65535)])
def test_other_whole_numbers_are_in_the_units_of_training(trained: Array, unit: float) -> None:
    run = it.fit("simple", trained, epochs=1)
    for dtype in (np.int32, np.int64, np.uint32):
        x = trained.astype(dtype)
        np.testing.assert_allclose(run.to_tensor(x).numpy()[:, 0], trained / unit, atol=1e-6)


@pytest.mark.parametrize(
    ("trained", "words"),
    [(BYTES, "8-bit pixels divided by 255"), (WORDS, "16-bit pixels divided by 65,535")],
)
def test_floats_beyond_one_are_refused_with_what_was_trained_on(trained: Array, words: str) -> None:
    run = it.fit("simple", trained, epochs=1)
    with pytest.raises(BadData, match=f"but the model was trained on {words}"):
        run.encode(trained.astype(np.float64))


def test_a_run_on_numbers_keeps_them() -> None:
    run = it.fit("simple", WORDS.astype(np.float64), epochs=1, options={"likelihood.kind": "gaussian"})
    np.testing.assert_array_equal(run.to_tensor(WORDS).numpy()[:, 0], WORDS.astype(np.float32))
    for scale in ("none", "minmax", "standard"):
        run = it.fit("simple", WORDS, epochs=1, options={"likelihood.kind": "gaussian", "data.scale": scale})
        whole = run.scaling.apply(run.contract.layout_for(Examples(WORDS)).tensor(WORDS)).float()
        np.testing.assert_array_equal(run.to_tensor(WORDS).numpy(), whole.numpy())


@pytest.mark.parametrize(("x", "full"), [(BYTES, 255), (WORDS, 65535), (BYTES.astype(float), 255)])
def test_pixels_divides_by_what_the_type_says(x: Array, full: float) -> None:
    run = it.fit("simple", x, epochs=1, options={"data.scale": "pixels"})
    np.testing.assert_allclose(run.to_tensor(x).numpy()[:, 0], x / full, atol=1e-6)
    # in the units of the data
    assert run.reconstruct(x).max() > 1


def stated(x: Array, brightest: float | None, **options: object) -> Any:
    return prepare_dataset(Dataset("a", Examples(x, brightest=brightest)), DataOptions(**options), 0)  # type: ignore[arg-type]


def test_what_a_format_states_counts_in_training_and_later() -> None:
    x = (WORDS // 16).astype(np.uint16)
    made = stated(x, 4095.0)
    assert made.scaling == by(4095)
    assert made.contract.pixel_words == "pixels divided by 4,095"
    # not even if all values are dark
    assert stated(x % 2, 4095.0).scaling == by(4095)
    assert stated(x, 4095.0, scale="pixels").scaling == Scaling("pixels", (0.0,), (4095.0,))
    assert stated(x, 4095.0, scale="none").scaling.scale == (1.0,)
    contract: DataContract = made.contract
    assert contract.scaling_for(Examples(x, brightest=1023.0)) == by(1023)
    assert contract.scaling_for(Examples(x)) == by(65535)
    assert contract.scaling_for(Examples(BYTES)) == by(255)
    assert contract.scaling_for(Examples(x.astype(np.int64))) == by(4095)
    assert contract.scaling_for(Examples(x / 4095)) == by(1)
    on_floats = prepare(x / 4095, DataOptions(), 0).contract
    assert on_floats.scaling_for(Examples(x, brightest=4095.0)) == by(4095)


@pytest.mark.parametrize(
    ("x", "note"),
    [
        (WORDS // 16, "The brightest value is 4,095 of 65,535; data.scale=minmax uses the full range."),
        (BYTES // 10, "The brightest value is 25 of 255; data.scale=minmax uses the full range."),
    ],
)
def test_dark_data_is_noted_and_the_advice_works(x: Array, note: str) -> None:
    x[0, 0, 0] = x.max()
    assert note in prepare(x, DataOptions(test=0, validation=0), 0).notes
    brightest = prepare(x, DataOptions(test=0, validation=0, scale="minmax"), 0)
    assert float(brightest.train.tensor.max()) == 1
    assert not any("minmax" in words for words in brightest.notes)
    assert not any("The brightest value" in words for words in prepare(x * 8, DataOptions(), 0).notes)


def test_words_on_disk_have_the_codes_of_memory(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", WORDS)
    run = it.fit("simple", tmp_path / "x.npy", epochs=1, options={"data.memory": "stream"})
    assert run.scaling == by(65535)
    np.testing.assert_array_equal(run.encode(tmp_path / "x.npy"), run.encode(WORDS))
    skipped = it.fit("simple", tmp_path / "x.npy", epochs=1, options={"data.on_bad_data": "skip"})
    np.testing.assert_array_equal(skipped.to_tensor(WORDS), run.to_tensor(WORDS))


def saved(folder: Path, pictures: Array) -> Path:
    """A folder of PNG files, of floating-point numbers as TIFF."""
    from PIL import Image

    folder.mkdir()
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"{number}.{'tif' if picture.dtype.kind == 'f' else 'png'}")
    return folder


FITTED = ["minmax", "standard"]


@pytest.mark.parametrize("scale", FITTED)
@pytest.mark.parametrize("trained", ["bytes", "words", "floats"])
def test_a_fitted_scale_takes_pictures_of_any_depth(scale: str, trained: str, tmp_path: Path) -> None:
    values = {"bytes": BYTES, "words": BYTES * np.uint16(257), "floats": (BYTES / 255).astype(np.float32)}
    kinds = {name: saved(tmp_path / name, x) for name, x in values.items()}
    run = it.fit("pca", kinds[trained], options={"data.scale": scale, "latent.size": 3})
    codes = np.asarray(run.encode(kinds[trained]))
    run.save(tmp_path / "run")
    for each in (run, it.load(tmp_path / "run")):
        for name, folder in kinds.items():
            np.testing.assert_allclose(each.encode(folder), codes, rtol=1e-4, atol=1e-5, err_msg=name)
            if name != "floats":
                np.testing.assert_allclose(each.encode(values[name]), codes, rtol=1e-4, atol=1e-5, err_msg=name)


def test_a_picture_of_a_folder_of_two_depths_has_its_code_alone(tmp_path: Path) -> None:
    folder = saved(tmp_path / "both", BYTES)
    words = saved(tmp_path / "words", BYTES[::2] * np.uint16(257))
    for number in range(0, 40, 2):
        (words / f"{number // 2}.png").rename(folder / f"{number}.png")
    run = it.fit("pca", folder, options={"data.scale": "standard", "latent.size": 3})
    codes = np.asarray(run.encode(folder))
    for number in (6, 7):
        np.testing.assert_allclose(np.asarray(run.encode(folder / f"{number}.png"))[0], codes[number], atol=1e-4)


@pytest.mark.parametrize("scale", FITTED)
def test_real_numbers_keep_the_units_of_a_fitted_scale(scale: str, tmp_path: Path) -> None:
    run = it.fit("pca", saved(tmp_path / "x", BYTES), options={"data.scale": scale, "latent.size": 3})
    np.testing.assert_allclose(run.encode(BYTES.astype(float)), run.encode(BYTES), atol=1e-5)
    with pytest.warns(UserWarning, match="values up to 1, but the model was trained on 8-bit pixels from 0 to 255"):
        run.encode(BYTES / 255)
    wide = saved(tmp_path / "wide", BYTES.astype(np.float32))
    with pytest.raises(BadData, match=r"to 255 of .* trained on 8-bit pixels\."):
        run.encode(wide)


def test_numbers_without_a_scale_stay_as_they_are() -> None:
    run = it.fit("pca", BYTES, options={"data.scale": "none", "latent.size": 3})
    assert run.contract.brightest is None
    np.testing.assert_allclose(run.encode(BYTES.astype(np.uint16)), run.encode(BYTES), atol=1e-5)
