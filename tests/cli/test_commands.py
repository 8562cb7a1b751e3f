"""Every command at toy size, in process, as a person would type it."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from isthmus import __version__, zoo
from isthmus.cli.app import main

Capture = pytest.CaptureFixture[str]


def test_fit_writes_a_whole_run_and_says_where(tmp_path: Path, capsys: Capture) -> None:
    assert main(["fit", "vae", "--data", "digits", "--epochs", "1", "--out", "run"]) == 0
    out, err = capsys.readouterr()
    files = {str(p.relative_to(tmp_path / "run")) for p in (tmp_path / "run").rglob("*") if p.is_file()}
    assert {"recipe.json", "model.safetensors", "metrics.jsonl", "run.json", "report.html"} <= files
    for name in ("curves", "reconstructions", "filters", "samples", "interpolation", "traversals"):
        assert f"figures/{name}.png" in files
        assert f"run/figures/{name}.png" in out
        Image.open(tmp_path / "run" / "figures" / f"{name}.png").verify()
    assert "run/report.html" in out
    assert "held-out test set" in out
    assert "epoch    1/1  loss" in err


def test_fit_without_out_finds_a_free_folder(tmp_path: Path, capsys: Capture) -> None:
    for _ in range(2):
        assert main(["fit", "linear", "--data", "encoder:4", "--set", "latent.size=2", "--epochs", "1"]) == 0
    assert (tmp_path / "runs" / "linear-encoder-4" / "report.html").is_file()
    assert (tmp_path / "runs" / "linear-encoder-4-2" / "report.html").is_file()


def test_fit_as_json_prints_one_object_and_nothing_else(tmp_path: Path, capsys: Capture) -> None:
    assert main(["fit", "simple", "--epochs", "1", "--out", "run", "--json"]) == 0
    out, err = capsys.readouterr()
    content = json.loads(out)
    assert content["metrics"]["n"] == 180
    assert content["outcome"]["kept_epoch"] == 1
    assert err == ""


def test_fit_from_a_recipe_file_equals_fit_by_name(capsys: Capture) -> None:
    assert main(["recipes", "simple"]) == 0
    Path("mine.json").write_text(capsys.readouterr().out)
    for name in ("simple", "mine.json"):
        assert main(["fit", name, "--epochs", "1", "--out", f"run-{name}", "--json"]) == 0
    first, second = (Path(f"run-{n}", "model.safetensors").read_bytes() for n in ("simple", "mine.json"))
    assert first == second


def test_overwrite_replaces_a_run(vae: Path, tmp_path: Path, capsys: Capture) -> None:
    assert main(["fit", "simple", "--epochs", "1", "--out", "run", "--json"]) == 0
    assert main(["fit", "linear", "--epochs", "1", "--out", "run", "--overwrite", "--json"]) == 0
    assert json.loads(Path("run/recipe.json").read_text())["name"] == "linear"
    assert len(Path("run/metrics.jsonl").read_text().splitlines()) == 1


def test_the_command_in_the_report_makes_the_same_run(vae: Path, capsys: Capture) -> None:
    import html
    import re
    import shlex

    page = html.unescape((vae / "report.html").read_text())
    command = next(line for line in re.findall(r">(isthmus fit [^<]*)<", page))
    assert main([*shlex.split(command)[1:], "--out", "again", "--json"]) == 0
    assert Path("again/model.safetensors").read_bytes() == (vae / "model.safetensors").read_bytes()


FAST = {"pca", "vae", "vq_vae", "top_k", "wae_gan", "conv_denoising"}
"""Recipes that are fitted by make test; the others by make test-slow."""
SPREAD = [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in sorted(zoo.RECIPES)]


@pytest.mark.parametrize("name", SPREAD)
def test_every_recipe_fits_and_is_evaluated(name: str, capsys: Capture) -> None:
    assert main(["fit", name, "--epochs", "1", "--out", "run", "--json"]) == 0
    capsys.readouterr()
    assert main(["evaluate", "run", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["split"] == "the held-out test set of digits, 180 examples"
    assert figures["n"] == 180
    assert figures["mse"] * 64 == pytest.approx(figures["squared_error"])
    likelihood = zoo.recipe(name).likelihood.kind
    assert ("cross_entropy" in figures) == (likelihood == "bernoulli")
    assert {"elbo", "kl", "active_units"} <= figures.keys() or name != "vae"


def test_evaluate_prints_a_table_with_units(vae: Path, capsys: Capture) -> None:
    assert main(["evaluate", str(vae)]) == 0
    out = capsys.readouterr().out
    assert "held-out test set of digits, 180 examples" in out
    assert "training objective, in nats" in out


def test_evaluate_takes_other_data(vae: Path, capsys: Capture) -> None:
    np.save("others.npy", np.random.default_rng(0).random((30, 8, 8)))
    assert main(["evaluate", str(vae), "--data", "others.npy", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["n"] == 30
    assert content["split"] == "all examples of others.npy, 30 examples"


def test_evaluate_uses_the_test_part_where_the_data_has_one(capsys: Capture) -> None:
    rng = np.random.default_rng(0)
    np.savez("faces.npz", x_train=rng.random((50, 6, 6)), x_test=rng.random((7, 6, 6)))
    assert main(["fit", "simple", "--data", "faces.npz", "--epochs", "1", "--out", "run", "--json"]) == 0
    capsys.readouterr()
    assert main(["evaluate", "run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["split"] == "the test set of faces.npz, 7 examples"


def test_codes_go_out_and_come_back(vae: Path, capsys: Capture) -> None:
    assert main(["encode", str(vae), "digits", "codes.npz"]) == 0
    assert "1797 x 2" in capsys.readouterr().out
    with np.load("codes.npz", allow_pickle=False) as content:
        codes, labels = content["z"], content["labels"]
    assert codes.shape == (1797, 2)
    assert labels.shape == (1797,)
    np.save("codes.npy", codes)
    assert main(["decode", str(vae), "codes.npy", "back.npy"]) == 0
    assert main(["reconstruct", str(vae), "digits", "direct.npy"]) == 0
    back, direct = np.load("back.npy"), np.load("direct.npy")
    assert back.shape == (1797, 8, 8)
    np.testing.assert_allclose(back, direct, atol=1e-5)


def test_codes_as_a_table_come_back_too(vae: Path) -> None:
    assert main(["encode", str(vae), "digits", "codes.csv"]) == 0
    assert Path("codes.csv").read_text().splitlines()[0] == "label,z1,z2"
    assert main(["decode", str(vae), "codes.csv", "back.npy"]) == 0
    assert np.load("back.npy").shape == (1797, 8, 8)


def test_codes_of_bfloat16_products_are_near_those_of_float32(vae: Path) -> None:
    for precision in ("32", "bf16", "auto"):
        assert main(["encode", str(vae), "digits", f"{precision}.npy", "--precision", precision]) == 0
    assert main(["encode", str(vae), "digits", "default.npy"]) == 0
    full, low, chosen, default = (np.load(f"{name}.npy") for name in ("32", "bf16", "auto", "default"))
    assert np.array_equal(full, default)
    assert np.array_equal(chosen, low) or np.array_equal(chosen, full)
    assert 0 < np.linalg.norm(low - full) / np.linalg.norm(full) < 0.02
    assert low.dtype == np.float32


def test_encoding_repeats_and_sampling_follows_its_seed(vae: Path) -> None:
    runs = {
        "a.npy": [],
        "b.npy": [],
        "c.npy": ["--sample"],
        "d.npy": ["--sample"],
        "e.npy": ["--sample", "--seed", "1"],
    }
    for name, more in runs.items():
        assert main(["encode", str(vae), "digits", name, *more]) == 0
    a, b, c, d, e = (np.load(name) for name in runs)
    assert np.array_equal(a, b)
    assert np.array_equal(c, d)
    assert not np.allclose(a, c)
    assert not np.allclose(c, e)


def test_a_map_of_codes_goes_out_and_comes_back(conv: Path) -> None:
    assert main(["encode", str(conv), "digits", "codes.npy"]) == 0
    codes = np.load("codes.npy")
    assert codes.shape == (1797, 8, 1, 1)
    assert main(["decode", str(conv), "codes.npy", "back.npy"]) == 0
    assert np.load("back.npy").shape == (1797, 8, 8)


def test_reconstructions_of_a_table_are_in_its_own_units(capsys: Capture) -> None:
    rng = np.random.default_rng(0)
    table = rng.normal(size=(400, 1)) @ rng.normal(size=(1, 5)) * 100 + 1000
    np.savetxt("table.csv", table, delimiter=",", header="a,b,c,d,e", comments="")
    changes = ["--set", "data.scale=standard", "--set", "latent.size=1", "--epochs", "500"]
    assert main(["fit", "linear", "--data", "table.csv", *changes, "--out", "run", "--json"]) == 0
    assert main(["reconstruct", "run", "table.csv", "back.csv"]) == 0
    back = np.loadtxt("back.csv", delimiter=",", skiprows=1)
    assert np.abs(back - table).mean() < 0.2 * table.std(0).mean()


@pytest.mark.parametrize("name", ["samples.npy", "samples.npz", "samples.csv", "samples.png"])
def test_samples_go_into_every_format(vae: Path, name: str) -> None:
    assert main(["sample", str(vae), name, "-n", "9", "--seed", "3"]) == 0
    if name.endswith(".npy"):
        drawn = np.load(name)
        assert drawn.shape == (9, 8, 8)
        assert 0 <= drawn.min() <= drawn.max() <= 1
        assert main(["sample", str(vae), "again.npy", "-n", "9", "--seed", "3"]) == 0
        assert np.array_equal(drawn, np.load("again.npy"))
    assert Path(name).stat().st_size > 0


def test_interpolations_start_and_end_at_reconstructions(vae: Path) -> None:
    assert main(["interpolate", str(vae), "walk.npy", "--rows", "3", "--steps", "5"]) == 0
    assert main(["interpolate", str(vae), "walk.png", "--rows", "3"]) == 0
    walk = np.load("walk.npy")
    assert walk.shape == (3, 5, 8, 8)
    assert main(["reconstruct", str(vae), "digits", "direct.npy"]) == 0
    ends = np.load("direct.npy")
    for picture in (walk[0, 0], walk[0, -1]):
        assert np.abs(ends - picture).max(axis=(1, 2)).min() < 1e-5


def test_plot_draws_one_picture_or_all(vae: Path, capsys: Capture) -> None:
    assert main(["plot", str(vae), "--only", "manifold", "--json"]) == 0
    assert [Path(p).name for p in json.loads(capsys.readouterr().out)["written"]] == ["manifold.png"]
    assert main(["plot", str(vae)]) == 0
    names = {Path(line).name for line in capsys.readouterr().out.splitlines()}
    assert {"codes.png", "manifold.png", "report.html"} <= names


def test_recipes_lists_formula_and_paper(capsys: Capture) -> None:
    assert main(["recipes", "--json"]) == 0
    listed = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert listed.keys() == zoo.RECIPES.keys()
    assert all(entry["formula"] and entry["paper"] for entry in listed.values())
    assert main(["recipes"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in zoo.RECIPES)


def test_data_counts_values_that_are_not_finite(capsys: Capture) -> None:
    x = np.arange(12.0).reshape(4, 3)
    x[1, :2] = np.nan
    x[3, 0] = np.inf
    np.save("holes.npy", x)
    assert main(["data", "holes.npy", "--json"]) == 2
    content = json.loads(capsys.readouterr().out)
    assert content["missing"] == {"cells": 2, "examples": 1, "of": 4, "columns": 2}
    assert [(entry["row"], entry["why"]) for entry in content["invalid"]["listed"]] == [
        (3, "it holds infinity (column 0)")
    ]
    assert (content["values"]["min"], content["values"]["max"]) == (0, 11)


def test_a_file_in_place_of_a_run_and_a_missing_folder_are_named(vae: Path, capsys: Capture) -> None:
    assert main(["evaluate", str(vae / "report.html")]) == 2
    assert f"is a file, not a run folder. Pass the folder, such as {str(vae)!r}." in capsys.readouterr().err
    assert main(["encode", str(vae), "digits", "no/such/z.npy"]) == 2
    assert "The folder 'no/such' does not exist. Create it" in capsys.readouterr().err
    assert not Path("no").exists()


def test_the_size_of_a_picture_is_that_of_what_it_shows(vae: Path, capsys: Capture) -> None:
    assert main(["encode", str(vae), "digits", "z.npy"]) == 0
    assert main(["decode", str(vae), "z.npy", "d.png"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "d.png  (64 x 1 x 8 x 8)"


def test_data_lists_all_and_describes_one(capsys: Capture) -> None:
    assert main(["data", "--json"]) == 0
    names = {row["name"] for row in json.loads(capsys.readouterr().out)}
    assert {"digits", "mnist", "kodak", "adbench/thyroid"} <= names
    assert main(["data", "encoder:8", "--json"]) == 0
    values = json.loads(capsys.readouterr().out)["values"]
    assert (values["min"], values["max"]) == (0, 1)


def test_an_early_stop_says_why(capsys: Capture) -> None:
    changes = [
        "--set",
        "training.patience=1",
        "--set",
        "training.learning_rate=0.5",
        "--set",
        "training.schedule=constant",
    ]
    assert main(["fit", "deep", "--epochs", "40", "--out", "run", *changes]) == 0
    assert "Stopped: early, as the validation loss has not improved on" in capsys.readouterr().out


def test_a_divergence_ends_with_code_1_and_keeps_the_weights(capsys: Capture) -> None:
    changes = ["--set", "training.optimizer=sgd", "--set", "training.learning_rate=1e30"]
    assert main(["fit", "linear", "--epochs", "3", "--out", "run", *changes]) == 1
    err = capsys.readouterr().err
    assert "Training diverged in epoch" in err
    assert "Traceback" not in err


def test_dynamic_binarization_trains_and_repeats(capsys: Capture) -> None:
    for name in ("a", "b"):
        assert main(["fit", "vae", "--epochs", "1", "--set", "data.binarize=dynamic", "--out", name, "--json"]) == 0
    assert Path("a/model.safetensors").read_bytes() == Path("b/model.safetensors").read_bytes()


def test_tensorboard_events_are_written() -> None:
    pytest.importorskip("tensorboard")
    assert main(["fit", "linear", "--epochs", "1", "--out", "run", "--tensorboard", "--json"]) == 0
    assert list(Path("run/tensorboard").glob("events.out.tfevents.*"))


def test_version_and_help_answer(capsys: Capture) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"isthmus {__version__}\n"
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(verb in out for verb in ("fit", "evaluate", "encode", "interpolate", "recipes"))


def test_help_and_import_load_neither_torch_nor_matplotlib() -> None:
    heavy = ["torch", "matplotlib", "sklearn", "lightning_fabric", "pandas", "importlib.metadata"]
    program = f"import sys, isthmus, isthmus.cli.app; print([m for m in {heavy} if m in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
