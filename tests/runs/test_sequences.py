"""Runs on sequences: a recording of a heart, and the verbs of a run in the units of its channels."""

from pathlib import Path

import numpy as np
import pytest
import torch

from isthmus import fit
from isthmus.cli.app import main
from isthmus.reports.figures import plot

R = np.random.default_rng(0)
STANDARD = {"data.scale": "standard", "likelihood.kind": "gaussian"}


def waves(count: int = 60, steps: int = 50) -> np.ndarray:
    """Sequences (N, T, 4) of four sensors in different units."""
    phase = 2 * np.pi * (R.uniform(0.5, 2, (count, 1)) * np.arange(steps) / steps + R.random((count, 1)))
    sine, cosine = np.sin(phase), np.cos(phase)
    return np.stack([20 + 5 * sine, 1013 + 10 * cosine, 0.4 + 0.1 * sine * cosine, 3 + sine], -1).astype(np.float32)


def test_a_heartbeat_is_reconstructed_from_two_others_better_than_by_principal_components() -> None:
    pywt = pytest.importorskip("pywt", reason="PyWavelets brings the electrocardiogram")
    ecg = pywt.data.ecg()
    train, last = ecg[:768], ecg[768:]
    windows = {"data.window": 64, "data.stride": 4, "data.scale": "standard", "data.test": 0, "data.validation": 0}
    # rate, length and size of the code were chosen on held-out windows of the first two heartbeats
    options = windows | {"likelihood.kind": "gaussian", "latent.size": 4, "training.learning_rate": 3e-3}
    run = fit("transposed_conv", train, options=options, epochs=60)
    assert run.model.shape == (1, 64)
    # principal components by hand: those of the training windows, as many as the code has values
    x, held = (np.lib.stride_tricks.sliding_window_view(part, 64)[::4].astype(float) for part in (train, last))
    basis = np.linalg.svd(x - x.mean(0), full_matrices=False)[2][:4]
    rest = (held - x.mean(0)) - (held - x.mean(0)) @ basis.T @ basis
    by_components = (rest**2).sum() / ((held - held.mean(0)) ** 2).sum()
    found = run.evaluate(last)["fvu"]
    y = run.reconstruct(last)
    assert found == pytest.approx(((y - held) ** 2).sum() / ((held - held.mean(0)) ** 2).sum(), rel=1e-4)
    assert found < 0.2
    assert found < 0.6 * by_components
    faulty = last.copy()
    faulty[150:160] += 150
    scores = run.score(faulty)
    inside = np.array([start <= 150 and start + 64 >= 160 for start in 4 * np.arange(len(scores))])
    assert (scores[inside] > run.score(last)[inside] + 5).all()
    assert inside[scores.argmax()]


def test_results_of_sequences_are_in_the_units_and_the_order_of_the_data() -> None:
    x = waves()
    run = fit("linear", x, options={"data.layout": "NTC", "data.scale": "standard", "latent.size": 8}, epochs=200)
    y = run.reconstruct(x)
    assert y.shape == x.shape
    assert (np.abs(y - x).max((0, 1)) < 0.8 * (x.max((0, 1)) - x.min((0, 1)))).all()
    np.testing.assert_allclose(run.decode(run.encode(x)), y, rtol=1e-5)
    tensor = run.to_tensor(x)
    assert tensor.shape == (60, 4, 50)
    np.testing.assert_allclose(run.to_plot(tensor), np.moveaxis(x, -1, 1), rtol=1e-4, atol=1e-4)
    lines = torch.stack([tensor, tensor], 1)
    np.testing.assert_allclose(run.to_plot(lines)[:, 1], np.moveaxis(x, -1, 1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("x", "layout", "recipe", "more"),
    [
        (waves(40), "NTC", "conv_vae", {}),
        (waves(40)[..., 0], "NT", "vae", {"latent.size": 2}),
        (waves(40)[:, :1], "NTC", "conv_vae", {}),
        (waves(40), "NTC", "conv_denoising", {"corruption.clip": False}),
        (waves(40), "NTC", "conv_vae", {"data.random_shift": 3}),
        (R.random((40, 3, 8, 7)), "NFHW", "vae", {"latent.size": 2}),
        (R.random((40, 8, 7, 13)), "NHWC", "conv_vae", {}),
        (R.random((40, 8, 7, 2)), "NHWC", "conv", {}),
    ],
)
def test_every_figure_of_a_run_is_drawn_for_every_kind_of_example(x, layout, recipe, more) -> None:
    run = fit(recipe, x, options={"data.layout": layout, **STANDARD, **more}, epochs=1)
    figures = plot(run, data=x)
    assert {"reconstructions", "filters", "interpolation"} <= set(figures)
    assert ("samples" in figures) == run.model.generative
    assert ("manifold" in figures) == (run.model.code_shape == (2,))
    assert ("denoised" in figures) == (recipe == "conv_denoising")
    run.doctor(x)


def test_the_verbs_of_the_command_take_sequences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", waves(40))
    run = fit("conv_vae", "x.npy", options={"data.layout": "NTC", **STANDARD}, epochs=1)
    run.save("run")
    for words in ("encode run x.npy z.npy", "reconstruct run x.npy y.npy", "decode run z.npy c.npy"):
        assert main(words.split()) == 0
    for words in ("reconstruct run x.npy y.png", "denoise run x.npy d.png", "interpolate run i.png"):
        assert main(words.split()) == 0
    assert np.load("z.npy").shape == (40, 8)
    assert np.load("y.npy").shape == (40, 50, 4)
    # codes are stored as float32, and so is the pressure of about 1,013
    np.testing.assert_allclose(np.load("c.npy"), np.load("y.npy"), rtol=1e-5)
    assert all(Path(name).stat().st_size > 1000 for name in ("y.png", "d.png", "i.png"))
