"""Scoring and denoising as a person would type them, and the longer ways to measure a run."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from isthmus.cli.app import main

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="session")
def denoising(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was trained to fill in masked digits."""
    folder = tmp_path_factory.mktemp("runs") / "denoising"
    changes = ["--set", "corruption.kind=masking", "--epochs", "15"]
    assert main(["fit", "deep", "--out", str(folder), "--json", *changes]) == 0
    return folder


def answer(capsys: Capture, *arguments: str) -> dict:
    capsys.readouterr()
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def refusal(capsys: Capture, *arguments: str) -> str:
    capsys.readouterr()
    assert main(list(arguments)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err


def test_evaluate_estimates_the_likelihood_where_it_is_asked_to(vae: Path, capsys: Capture) -> None:
    figures = answer(capsys, "evaluate", str(vae), "--importance-samples", "20")
    assert figures["nll"] < -figures["elbo"]
    assert sum(figures["kl_by_latent"]) == pytest.approx(figures["kl"], rel=1e-4)
    assert len(figures["kl_by_latent"]) == 2
    assert "nll" not in answer(capsys, "evaluate", str(vae))
    assert main(["evaluate", str(vae), "--importance-samples", "5"]) == 0
    out = capsys.readouterr().out
    assert "-log p(x) by importance sampling" in out
    assert "kl_by_latent" not in out


def test_evaluate_gives_no_nats_by_latent_where_there_are_none(conv: Path, capsys: Capture) -> None:
    figures = answer(capsys, "evaluate", str(conv))
    assert "kl_by_latent" not in figures
    assert {"l0", "dead_fraction", "fvu", "jacobian_norm"} <= figures.keys()


def test_scores_of_the_run_s_own_data_are_of_its_held_out_part(vae: Path, capsys: Capture) -> None:
    content = answer(capsys, "score", str(vae))
    assert content["split"] == "the held-out test set of digits, 180 examples"
    assert content["meaning"] == "negative evidence lower bound from one sample, in nats"
    assert content["min"] <= content["median"] <= content["max"]
    assert content["n"] == 180
    assert content["written"] is None
    assert answer(capsys, "score", str(vae)) == content
    assert answer(capsys, "score", str(vae), "--seed", "1")["mean"] != content["mean"]
    assert main(["score", str(vae)]) == 0
    out = capsys.readouterr().out
    assert "Highest scores (rows, counted from 0): " + ", ".join(map(str, content["highest"])) in out


@pytest.mark.parametrize("name", ["scores.npy", "scores.npz", "scores.csv"])
def test_scores_of_other_data_come_in_its_order_and_in_every_format(vae: Path, capsys: Capture, name: str) -> None:
    content = answer(capsys, "score", str(vae), name, "--data", "digits", "--seed", "3")
    assert content["split"] == "digits, all 1,797 examples in order"
    assert content["written"] == name
    if name.endswith(".csv"):
        assert Path(name).read_text().splitlines()[0] == "label,score"
        labels, values = np.loadtxt(name, delimiter=",", skiprows=1).T
        np.testing.assert_array_equal(labels, load_digits().target)
    else:
        values = np.load(name, allow_pickle=False)
        if name.endswith(".npz"):
            assert values["labels"].shape == (1797,)
            values = values["score"]
    assert values.shape == (1797,)
    assert content["mean"] == pytest.approx(values.mean(), rel=1e-6)
    assert content["max"] == pytest.approx(values.max(), rel=1e-6)
    assert content["highest"] == np.argsort(-values, kind="stable")[:10].tolist()


def test_noise_scores_higher_than_digits(conv: Path, capsys: Capture) -> None:
    x = load_digits().images[:50] / 16
    x[31] = np.random.default_rng(0).random((8, 8))
    np.save("odd.npy", x)
    content = answer(capsys, "score", str(conv), "--data", "odd.npy")
    assert content["meaning"] == "-log p(x|z) at the mean code, in nats"
    assert content["highest"][0] == 31


def test_importance_samples_lower_the_scores_on_average(vae: Path, capsys: Capture) -> None:
    # all examples share the noise of a seed, so the average is over seeds
    one, many = [], []
    for seed in map(str, range(8)):
        one.append(answer(capsys, "score", str(vae), "--seed", seed)["mean"])
        found = answer(capsys, "score", str(vae), "--importance-samples", "30", "--seed", seed)
        many.append(found["mean"])
    assert np.mean(many) < np.mean(one)
    assert found["meaning"] == "-log p(x) from 30 importance samples, in nats"


def test_denoise_restores_noisy_examples_as_they_are(denoising: Path) -> None:
    noisy = np.random.default_rng(0).normal(0.3, 1, (20, 8, 8)).astype(np.float32)
    np.save("noisy.npy", noisy)
    assert main(["denoise", str(denoising), "noisy.npy", "clean.npy"]) == 0
    from isthmus import load

    expected = load(denoising).reconstruct(noisy)
    restored = np.load("clean.npy")
    assert restored.shape == (20, 8, 8)
    np.testing.assert_allclose(restored, expected, atol=1e-6)


def test_denoise_corrupts_clean_examples_first_and_follows_its_seed(denoising: Path) -> None:
    arguments = {"a": [], "b": ["--corrupt"], "c": ["--corrupt"], "d": ["--corrupt", "--seed", "1"]}
    for name, more in arguments.items():
        assert main(["denoise", str(denoising), "digits", f"{name}.npy", *more]) == 0
    a, b, c, d = (np.load(f"{name}.npy") for name in arguments)
    assert np.array_equal(b, c)
    assert not np.allclose(a, b)
    assert not np.allclose(b, d)


def test_denoise_draws_what_it_did(denoising: Path, vae: Path, capsys: Capture) -> None:
    heights = []
    for more in ([], ["--corrupt"]):
        assert main(["denoise", str(denoising), "digits", "strip.png", *more]) == 0
        with Image.open("strip.png") as strip:
            heights.append(strip.height)
    # a third row and the decibels below it
    assert heights[1] > heights[0]
    assert "12 x 1 x 8 x 8" in capsys.readouterr().out
    # any run may be asked
    assert main(["denoise", str(vae), "digits", "other.png"]) == 0


def test_a_table_is_denoised_in_its_own_units(capsys: Capture) -> None:
    rng = np.random.default_rng(0)
    table = rng.normal(size=(300, 1)) @ rng.normal(size=(1, 5)) * 100 + 1000
    np.savetxt("table.csv", table, delimiter=",", header="a,b,c,d,e", comments="")
    changes = [
        "data.scale=standard",
        "latent.size=1",
        "corruption.kind=gaussian",
        "training.batch_size=16",
        "training.learning_rate=0.02",
    ]
    sets = [word for change in changes for word in ("--set", change)]
    assert main(["fit", "linear", "--data", "table.csv", "--epochs", "60", "--out", "run", "--json", *sets]) == 0
    assert Path("run/figures/denoised.png").stat().st_size > 1000
    assert main(["denoise", "run", "table.csv", "back.csv"]) == 0
    assert np.abs(np.loadtxt("back.csv", delimiter=",", skiprows=1) - table).mean() < 0.5 * table.std(0).mean()
    assert main(["denoise", "run", "table.csv", "back.png", "--corrupt"]) == 0
    figures = answer(capsys, "evaluate", "run")
    assert figures["mse_restored"] < figures["mse_corrupted"]
    assert "psnr_restored" not in figures


def test_a_denoising_run_is_measured_and_drawn(denoising: Path, capsys: Capture) -> None:
    figures = answer(capsys, "evaluate", str(denoising))
    assert figures["psnr_restored"] > figures["psnr_corrupted"]
    assert figures["ssim_restored"] > figures["ssim_corrupted"]
    assert (denoising / "figures" / "denoised.png").stat().st_size > 1000
    assert "Corrupted and restored examples" in (denoising / "report.html").read_text()


def test_what_cannot_be_done_is_one_sentence(vae: Path, conv: Path, capsys: Capture) -> None:
    err = refusal(capsys, "evaluate", str(conv), "--importance-samples", "5")
    assert "Importance sampling requires a stochastic latent, with a density q(z|x), and a prior" in err
    assert "Omit --importance-samples, or use a variational recipe" in err
    assert "at least 0" in refusal(capsys, "evaluate", str(vae), "--importance-samples", "-1")
    assert "at least 0" in refusal(capsys, "score", str(vae), "--importance-samples", "-1")
    assert "Importance sampling requires" in refusal(capsys, "score", str(conv), "--importance-samples", "5")
    assert "which is not supported for output" in refusal(capsys, "score", str(vae), "digits", "scores.png")
    assert "which is not supported for output" in refusal(capsys, "denoise", str(vae), "digits", "clean.txt")
    assert "--corrupt needs a run" in refusal(capsys, "denoise", str(vae), "digits", "x.npy", "--corrupt")
    assert "seed must be at least 0" in refusal(capsys, "score", str(vae), "--seed", "-1")
    assert "seed must be at least 0" in refusal(capsys, "denoise", str(vae), "digits", "x.npy", "--seed", "-1")
    np.save("bright.npy", np.full((3, 8, 8), 7.0))
    assert "in [0, 1]" in refusal(capsys, "evaluate", str(vae), "--data", "bright.npy")
    # a score counts how far outside the values are
    assert answer(capsys, "score", str(vae), "--data", "bright.npy")["min"] > answer(capsys, "score", str(vae))["max"]
    assert not Path("x.npy").exists()


def test_a_code_of_classes_is_used_but_not_walked_through(capsys: Capture) -> None:
    changes = ["--epochs", "1", "--set", "latent.size=20", "--out", "run", "--json"]
    assert main(["fit", "categorical_vae", *changes]) == 0
    capsys.readouterr()
    assert main(["encode", "run", "digits", "codes.npy"]) == 0
    assert np.load("codes.npy").shape == (1797, 20)
    assert main(["score", "run", "--importance-samples", "2"]) == 0
    assert "Interpolation needs a real-valued code" in refusal(capsys, "interpolate", "run", "walk.npy")
