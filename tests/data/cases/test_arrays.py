"""Arrays as people bring them: windows of sensors, CT images, spectrograms, few rows, constants, any memory order."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

import isthmus as it
from isthmus.data.transforms.scaling import measure
from isthmus.errors import BadData

Array = npt.NDArray[Any]
GAUSSIAN = {"likelihood.kind": "gaussian"}
STANDARD = GAUSSIAN | {"data.scale": "standard"}


def shares(y: Any, x: Array) -> Array:
    """Unexplained share of the variance of each sensor."""
    return np.asarray([((np.asarray(y)[..., c] - x[..., c]) ** 2).mean() / x[..., c].var() for c in range(x.shape[-1])])


@pytest.fixture(scope="module")
def windows() -> Array:
    """300 windows of 50 steps of four sensors in different units, with noise of 5 %: 0.0025 of the variance."""
    r, t = np.random.default_rng(0), np.arange(50)
    p = r.uniform(0, 6.28, (300, 1))
    sensors = (
        np.sin(t / 5 + p),
        101325 + 800 * np.cos(t / 7 + p),
        0.002 * np.sin(t / 3 + p),
        20 + 5 * np.cos(t / 9 + p),
    )
    x: Array = np.stack(sensors, -1)
    return x + r.normal(size=x.shape) * 0.05 * x.std((0, 1))


def test_windows_of_sensors_are_explained_in_their_units(windows: Array, tmp_path: Path) -> None:
    np.save(tmp_path / "windows.npy", windows)
    run = it.fit("deep", tmp_path / "windows.npy", epochs=60, options=STANDARD)
    restored = run.reconstruct(tmp_path / "windows.npy")
    assert run.metadata.shape == (4, 50)
    assert restored.shape == windows.shape
    assert np.all(shares(restored, windows) < 0.0035)


@pytest.mark.slow
def test_windows_are_explained_as_their_flat_table(windows: Array) -> None:
    restored = it.fit("deep", windows, epochs=60, options=STANDARD).reconstruct(windows)
    flat = it.fit("deep", windows.reshape(300, -1), epochs=60, options=STANDARD)
    own = flat.reconstruct(windows.reshape(300, -1)).reshape(windows.shape)
    np.testing.assert_allclose(shares(restored, windows), shares(own, windows), atol=3e-4)


@pytest.fixture(scope="module")
def ct(digits: Array) -> Array:
    """Images of a CT in Hounsfield units, from -1024 to 1976."""
    return (np.kron(digits[20:80] / 255, np.ones((1, 2, 2))) * 3000 - 1024).astype(np.int16)


def test_ct_values_are_numbers_and_the_advice_works(ct: Array) -> None:
    with pytest.raises(BadData, match=r"requires values in \[0, 1\], but the data spans \[-1024, 1976\]") as caught:
        it.fit("simple", ct, epochs=1)
    advice = re.findall(r"([a-z]+\.[a-z]+)=([a-z]+)", str(caught.value))
    assert advice == [("likelihood.kind", "gaussian"), ("data.scale", "standard"), ("data.scale", "minmax")]
    for options in (dict(advice[:2]), dict(advice[2:])):
        run = it.fit("simple", ct, epochs=1, options=options)
        restored = run.reconstruct(ct)
        assert restored.shape == ct.shape
        assert restored.max() > 100
        np.testing.assert_allclose(run.encode(ct.astype(np.float32)), run.encode(ct), atol=1e-6)


def test_16_bit_images_train_as_they_are_and_as_floats(digits: Array) -> None:
    x = (np.kron(digits / 255, np.ones((1, 2, 2))) * 4095).astype(np.uint16)
    run = it.fit("simple", x, epochs=1)
    assert "The brightest value is 4,095 of 65,535; data.scale=minmax uses the full range." in run.data.notes  # type: ignore[union-attr]
    np.testing.assert_array_equal(run.encode(x), it.fit("simple", x / 65535, epochs=1).encode(x / 65535))
    bright = it.fit("simple", x, epochs=1, options={"data.scale": "minmax"})
    assert bright.scaling.scale == (4095.0,)


@pytest.mark.parametrize("recipe", ["conv", "transposed_conv"])
def test_spectrograms_of_odd_sizes_are_images(recipe: str) -> None:
    x = (-80 * np.random.default_rng(0).random((80, 65, 31))).astype(np.float32)
    with pytest.raises(BadData, match=r"data\.scale=minmax"):
        it.fit(recipe, x, epochs=1)
    run = it.fit(recipe, x, epochs=1, options={"data.scale": "minmax"})
    restored = run.reconstruct(x)
    assert run.metadata.shape == (1, 65, 31)
    assert restored.shape == x.shape
    assert -80 <= restored.min() <= restored.max() <= 0


@pytest.mark.parametrize("rows", [1, 2])
def test_too_few_rows_are_refused_with_how_many_are_needed(rows: int) -> None:
    with pytest.raises(BadData, match=r"example"):
        it.fit("vae", np.random.default_rng(0).random((rows, 8)), epochs=1)


@pytest.mark.parametrize("recipe", ["vae", "vq_vae", "batch_top_k"])
def test_a_last_batch_of_one_example_trains(recipe: str) -> None:
    x = np.random.default_rng(0).random((33, 16, 16))
    options = {"data.test": 0, "data.validation": 0, "training.batch_size": 32}
    assert np.isfinite(it.fit(recipe, x, epochs=1, options=options).history[-1]["train"]["loss"])


def test_few_rows_of_many_counts_train_after_a_logarithm() -> None:
    r = np.random.default_rng(0)
    counts = r.poisson(r.gamma(0.3, 2, size=2000), size=(24, 2000))
    with pytest.raises(BadData, match=r"for other numbers set data\.scale=minmax"):
        it.fit("vae", counts, epochs=1)
    run = it.fit("vae", np.log1p(counts), epochs=1, options=GAUSSIAN)
    assert np.isfinite(run.evaluate(np.log1p(counts))["fvu"])


@pytest.mark.parametrize("rows", [8, 22, 100, 997])
@pytest.mark.parametrize("value", [np.log(1e-5), 0.1, 1e6 + 0.1, 1e-30, 123456.789])
@pytest.mark.parametrize("shape", [(1,), (1, 5), (2, 3, 3)])
def test_constant_columns_and_channels_become_zero(rows: int, value: float, shape: tuple[int, ...]) -> None:
    x = torch.full((rows, *shape), value, dtype=torch.float64)
    scaling = measure(x, "standard")
    assert set(scaling.scale) == {1.0}
    assert float(scaling.apply(x).abs().max()) <= 1e-6


def test_a_constant_column_beside_others_trains() -> None:
    x = np.random.default_rng(0).normal(size=(200, 4))
    x[:, 2] = 7
    run = it.fit("deep", x, epochs=1, options=STANDARD)
    np.testing.assert_allclose(run.to_tensor(x)[:, 2], 0, atol=1e-6)
    assert np.isfinite(list(run.evaluate(x).values())).all()


@pytest.mark.parametrize("axes", [2, 3, 4])
@pytest.mark.parametrize("form", ["Fortran", "big-endian", "memory map", "read-only", "long double", "view"])
def test_memory_of_any_order_gives_the_same_codes(form: str, axes: int, tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(60, 10, 12, 3)[:axes])
    expected = it.fit("deep", x, epochs=1, options=GAUSSIAN).encode(x)
    mapped = np.memmap(tmp_path / "x.dat", dtype="f8", mode="w+", shape=x.shape)
    mapped[:] = x
    read_only = x.copy()
    read_only.flags.writeable = False
    forms: dict[str, Array] = {
        "Fortran": np.asfortranarray(x),
        "big-endian": x.astype(">f8"),
        "memory map": mapped,
        "read-only": read_only,
        "long double": x.astype(np.longdouble),
        "view": np.repeat(x, 2, 0)[::2],
    }
    np.testing.assert_array_equal(it.fit("deep", forms[form], epochs=1, options=GAUSSIAN).encode(forms[form]), expected)
