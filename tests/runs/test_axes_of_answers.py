"""Reconstructions have the axes of the data that they are of, so that the two can be subtracted."""

from pathlib import Path

import numpy as np
import pytest
import torch

import isthmus as it
from isthmus.cli.app import main

R = np.random.default_rng(0)
DATA = {
    "NTC": R.normal(size=(30, 12, 3)),
    "NCT": R.normal(size=(30, 3, 12)),
    "NHWC": R.normal(size=(30, 6, 5, 3)),
    "NCHW": R.normal(size=(30, 3, 6, 5)),
    "NHW": R.normal(size=(30, 6, 5)),
    "NFHW": R.normal(size=(30, 4, 6, 5)),
    "NFCHW": R.normal(size=(30, 4, 2, 6, 5)),
}
# as many examples as components, so that each is reconstructed exactly
EXACT = {"latent.size": 29, "data.test": 0, "data.validation": 0}


@pytest.mark.parametrize("order", DATA)
def test_reconstructions_have_the_axes_of_the_data(order: str) -> None:
    x = DATA[order]
    run = it.fit("pca", x, options=EXACT | {"data.layout": order})
    np.testing.assert_allclose(run.reconstruct(x), x, atol=1e-4)


@pytest.mark.parametrize("order", ["NTC", "NCT"])
def test_they_follow_new_data_and_not_that_of_the_training(order: str, tmp_path: Path) -> None:
    x = DATA[order]
    run = it.fit("pca", x, options=EXACT | {"data.layout": order})
    new = x.swapaxes(1, 2)
    np.testing.assert_allclose(run.reconstruct(new), new, atol=1e-4)
    found = run.reconstruct(torch.from_numpy(new))
    assert isinstance(found, torch.Tensor)
    np.testing.assert_allclose(found.numpy(), new, atol=1e-4)
    run.save(tmp_path / "run")
    np.save(tmp_path / "new.npy", new)
    assert main(["reconstruct", str(tmp_path / "run"), str(tmp_path / "new.npy"), str(tmp_path / "y.npy")]) == 0
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), new, atol=1e-4)


def test_an_axis_of_one_channel_is_kept_and_none_is_added() -> None:
    x = DATA["NHW"]
    run = it.fit("pca", x, options=EXACT)
    for new in (x, x[..., None], x[:, None]):
        np.testing.assert_allclose(run.reconstruct(new), new, atol=1e-4)
    windows = it.fit("pca", np.arange(200.0), options={"data.window": 8, "latent.size": 2})
    assert windows.reconstruct(np.arange(40.0)).shape == (5, 8)


def test_denoised_examples_have_the_axes_of_the_noisy_ones() -> None:
    x = DATA["NCT"]
    run = it.fit("denoising", x, epochs=1, options={"data.layout": "NCT", "likelihood.kind": "gaussian"})
    assert run.denoise(x).shape == x.shape
