"""Densities of the codes of runs: sampling with each, for every kind of code, and their files."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from scipy.stats import kstest, norm

import isthmus as it
from isthmus.cli.app import main
from isthmus.errors import BadOption, BadRun, IncompatibleParts
from isthmus.parts.latents import LATENTS
from isthmus.runs import densities
from isthmus.runs.kept_densities import path_of, read

X = np.random.default_rng(0).random((150, 8, 8)).astype(np.float32)
OPTIONS = {
    "categorical": {"latent.size": 4, "latent.classes": 2, "prior.kind": "uniform"},
    "quantized": {"latent.size": 4, "latent.codebook_size": 8, "latent.codebook_dim": 2},
    "finite_scalar": {"latent.levels": [5, 4], "latent.size": 4},
    **{kind: {"latent.size": 4, "latent.k": 2} for kind in ("top_k", "batch_top_k", "k_sparse")},
}


def fitted(recipe: object = "deep", **options: object) -> it.Run:
    changed = {"latent.size": 3, "training.epochs": 2, "net.widths": [16]} | options
    return it.fit(recipe, X, options=changed)


@pytest.mark.parametrize("kind", LATENTS)
def test_a_model_of_every_latent_is_sampled_from_its_codes(kind):
    recipe = it.zoo.deep() if kind != "full_gaussian" else it.zoo.vae()
    run = fitted(recipe.with_options({"latent.kind": kind}), **OPTIONS.get(kind, {}))
    y = run.sample(5, density="auto", seed=1)
    assert y.shape == (5, 8, 8)
    assert np.isfinite(y).all()
    assert np.array_equal(y, run.sample(5, density="auto", seed=1))
    assert not np.array_equal(run.sample(20, density="auto", seed=1), run.sample(20, density="auto", seed=2))
    expected = {"categorical"} if kind in ("categorical", "quantized", "finite_scalar") else {"gaussian", "gmm", "kde"}
    assert set(run.densities) == expected


def test_a_sample_has_the_zeros_and_the_range_of_its_latent():
    sparse = fitted(**{"latent.kind": "top_k", "latent.size": 6, "latent.k": 2})
    z = densities.draw(sparse, sparse.density("gaussian"), 50)
    assert (z != 0).sum(1).max() <= 2
    assert z.min() >= 0
    bounded = fitted(**{"latent.activation": "sigmoid"})
    z = densities.draw(bounded, bounded.density("gaussian"), 200, temperature=5.0)
    assert z.min() >= 0
    assert z.max() <= 1


@pytest.mark.parametrize(("latent", "space"), [("categorical", ()), ("quantized", (2, 3)), ("finite_scalar", (2,))])
def test_symbols_and_codes_are_the_same_thing(latent, space):
    recipe = it.zoo.deep().with_options({"latent.kind": latent} | OPTIONS[latent])
    head = recipe.latent.make(size=4, shape=(9,)).eval()
    q = head(torch.randn(7, 4, *space))
    z = q.sample()
    symbols = head.to_symbols(z)
    assert symbols.min() >= 0
    assert symbols.max() < head.symbols
    assert head.from_symbols(symbols, tuple(z.shape[1:])).equal(z)


def test_the_usual_density_is_the_prior_and_auto_without_one():
    assert fitted("vae").density().kind == "prior"
    run = fitted()
    best = run.density()
    assert best.held_out == max(found.held_out for found in run.densities.values())
    with pytest.raises(IncompatibleParts, match="has no prior to sample codes from"):
        run.sample(3, density="prior")


def test_the_prior_takes_part_where_there_is_one():
    run = fitted("vae")
    run.density("auto")
    z = run.model.encode(run.data.valid.tensor)
    expected = norm.logpdf(z.numpy()).sum(1).mean()
    assert run.densities["gmm"].prior == pytest.approx(expected, rel=1e-5)
    run.densities = {kind: replace(found, held_out=expected - 1) for kind, found in run.densities.items()}
    assert run.density("auto").kind == "prior"


def test_the_temperature_of_a_prior_is_the_standard_deviation_of_its_codes():
    run = fitted("vae")
    torch.manual_seed(0)
    z = densities.draw(run, run.density("prior"), 2000, temperature=0.3).flatten().numpy()
    assert kstest(z, norm(0, 0.3).cdf).pvalue > 1e-3
    for kind in ("mixture", "vamp"):
        other = fitted("vae", **{"prior.kind": kind, "prior.components": 3})
        torch.manual_seed(0)
        z = densities.draw(other, other.density("prior"), 50, temperature=0.0)
        assert len(torch.unique(z, dim=0)) <= 3


def test_outputs_are_means_or_samples():
    run = fitted("vae")
    mean, drawn = (run.sample(4, outputs=outputs, seed=3) for outputs in ("mean", "sample"))
    assert set(np.unique(drawn)) <= {0, 1}
    assert not np.array_equal(mean, drawn)


def test_a_density_is_kept_in_the_folder_and_read_again(tmp_path: Path):
    run = it.fit("deep", X, epochs=2, options={"latent.size": 3}, out=tmp_path / "run")
    found = run.density("gmm")
    assert path_of(tmp_path / "run", "gmm").is_file()
    again = it.load(tmp_path / "run")
    # the data was in memory only, so it is not fitted again
    kept = again.density("gmm")
    assert (kept.held_out, kept.choice) == (found.held_out, found.choice)
    assert np.array_equal(again.sample(4, density="gmm", seed=1), run.sample(4, density="gmm", seed=1))
    other = tmp_path / "copy"
    again.save(other)
    assert path_of(other, "gmm").is_file()


def test_a_damaged_file_is_refused(tmp_path: Path):
    run = it.fit("deep", X, epochs=1, options={"latent.size": 3}, out=tmp_path / "run")
    run.density("gaussian")
    path = path_of(tmp_path / "run", "gaussian")
    header = {"density": json.dumps({"kind": "gaussian", "choice": "", "held_out": 0.0, "prior": 0.0})}
    good = load_file(path)
    with pytest.raises(BadRun, match="codes of 3 values, but those of the run have 5"):
        read(path, "gaussian", 5)
    for tensors, metadata in (
        (good | {"means": torch.zeros(1, 2)}, header),
        ({"weights": good["weights"]}, header),
        (good, {}),
        (good, {"density": "{"}),
    ):
        save_file(tensors, path, metadata=metadata)
        with pytest.raises(BadRun, match="cannot be read as a density"):
            it.load(tmp_path / "run").density("gaussian")
    path.write_bytes(b"nothing")
    with pytest.raises(BadRun, match="cannot be read as a density"):
        it.load(tmp_path / "run").density("gaussian")


def test_what_the_codes_do_not_have_is_refused():
    run = fitted()
    with pytest.raises(BadOption, match="did you mean 'gmm'"):
        run.sample(3, density="gnm")
    with pytest.raises(IncompatibleParts, match="are real numbers, which the density categorical"):
        run.sample(3, density="categorical")
    discrete = fitted(**{"latent.kind": "finite_scalar", "latent.size": 4})
    with pytest.raises(IncompatibleParts, match="are discrete symbols, which the density kde"):
        discrete.sample(3, density="kde")
    with pytest.raises(BadOption, match="temperature"):
        run.sample(3, temperature=-1)
    with pytest.raises(BadOption, match="outputs cannot be 'both'"):
        run.sample(3, outputs="both")
    uniform = fitted("categorical_vae", **OPTIONS["categorical"])
    with pytest.raises(IncompatibleParts, match="A temperature needs a Gaussian prior"):
        uniform.sample(3, temperature=0.5)


def test_the_command_samples_a_plain_autoencoder_and_says_from_what(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", X)
    assert main(["fit", "deep", "x.npy", "--epochs", "1", "--set", "latent.size=3", "--out", "run", "--json"]) == 0
    capsys.readouterr()
    assert main(["sample", "run", "y.npy", "-n", "7", "--temperature", "0.8"]) == 0
    told = capsys.readouterr()
    assert np.load("y.npy").shape == (7, 8, 8)
    assert "density gmm (" in told.err
    assert "nats per held-out code" in told.err
    assert main(["sample", "run", "y.png", "--density", "kde", "-n", "9"]) == 0
    assert main(["sample", "run", "y.npy", "--density", "vae"]) == 2
    assert main(["interpolate", "run", "lines.png", "--path", "spherical"]) == 0
    assert main(["interpolate", "run", "lines.png", "--path", "round"]) == 2
