"""Comparisons: the judge that is kept, measures of known samples, the table and the page, and the command."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import isthmus as it
from isthmus.cli.app import main
from isthmus.comparison import judge, page
from isthmus.comparison.compare import compare
from isthmus.comparison.judge import judge_for, random_judge
from isthmus.comparison.measures import Reference, of_images, of_samples
from isthmus.data.preparing import prepare
from isthmus.errors import BadData, BadOption, MissingExtra
from isthmus.options import DataOptions


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    monkeypatch.setenv("ISTHMUS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(judge, "STEPS", 40)


def digits() -> object:
    return prepare("digits", DataOptions(), 0)


def reference(data: object) -> Reference:
    return Reference(data.test.tensor, data.train.tensor, judge_for(data), random_judge(data))


def test_a_judge_is_trained_once_for_a_data_set_and_knows_its_classes(monkeypatch):
    data = digits()
    monkeypatch.setattr(judge, "STEPS", 300)
    first = judge_for(data)
    assert first.name == "classes"
    assert first.accuracy > 0.85
    monkeypatch.setattr(judge, "train_features", lambda *_: pytest.fail("it is trained again"))
    again = judge_for(data)
    assert again.accuracy == pytest.approx(first.accuracy, abs=1e-6)
    assert again.features(data.test.tensor).equal(first.features(data.test.tensor))


def test_without_labels_the_judge_recognizes_examples():
    data = prepare(np.random.default_rng(0).random((60, 8, 8)), DataOptions(), 0)
    found = judge_for(data)
    assert (found.name, found.accuracy) == ("exemplars", None)


def test_the_data_itself_is_a_perfect_sample_and_noise_is_none():
    data = digits()
    ref = reference(data)
    own, noise = of_samples(ref, ref.x), of_samples(ref, torch.rand_like(ref.x))
    assert own["kid"] < noise["kid"]
    assert own["precision"] == own["recall"] == 1
    assert noise["precision"] < 0.5
    assert own["sharpness"] == own["nearest"] == pytest.approx(1)
    assert noise["nearest"] > 1
    copies = of_samples(ref, ref.train[:180])
    assert copies["nearest"] == pytest.approx(0, abs=1e-6)


def test_the_frechet_distance_of_shifted_features_is_the_squared_shift():
    class Plain:
        def __init__(self, name: str) -> None:
            self.name = name

        def features(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1).double()

    x = torch.randn(400, 5)
    ref = Reference(x, x, Plain("classes"), Plain("random"))
    assert of_images(ref, x + 0.5)["frechet"] == pytest.approx(5 * 0.25, rel=1e-4)


def test_runs_are_compared_and_the_page_says_what_was_found(tmp_path: Path):
    small = {"training.epochs": 1, "latent.size": 3}
    runs = {name: it.fit(name, "digits", options=small) for name in ("vae", "deep")}
    found = compare(runs, kinds=["prior", "gaussian"])
    vae, deep = found.models
    assert set(vae.samples) == {"prior", "gaussian"}
    # a plain autoencoder has no prior
    assert set(deep.samples) == {"gaussian"}
    assert vae.cost["updates"] == runs["vae"].history[-1]["step"]
    assert {"psnr", "kid", "sharpness"} <= vae.reconstructions.keys()
    path = page.write(found, runs, tmp_path)
    text = path.read_text()
    for word in ("vae", "deep", "gaussian", "prec.", "Judge: classes", "default-src 'none'"):
        assert word in text
    content = json.loads((tmp_path / "comparison.json").read_text())
    assert [m["name"] for m in content["models"]] == ["vae", "deep"]
    assert (tmp_path / "sheets" / "all.png").is_file()


def test_what_cannot_be_compared_is_refused():
    small = {"training.epochs": 1, "latent.size": 3}
    table = np.random.default_rng(0).random((50, 6))
    runs = {"a": it.fit("vae", "digits", options=small), "b": it.fit("vae", table, options=small)}
    with pytest.raises(BadData, match="'b' was trained on examples of another shape"):
        compare(runs)
    with pytest.raises(BadOption, match="no runs to compare"):
        compare({})
    with pytest.raises(BadOption, match="split cannot be 'train'"):
        compare({"a": runs["a"]}, split="train")


def test_the_command_trains_recipes_and_prints_a_table(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["fit", "deep", "digits", "--epochs", "1", "--set", "latent.size=3", "--out", "mine", "--json"]) == 0
    capsys.readouterr()
    call = ["compare", "mine", "vae", "--epochs", "1", "--set", "latent.size=3", "--density", "gaussian"]
    assert main([*call, "--out", "found"]) == 0
    told = capsys.readouterr()
    assert "Samples" in told.out
    assert "mine" in told.out
    assert Path("found/comparison.html").is_file()
    assert Path("found/runs/vae/recipe.json").is_file()
    assert main([*call, "--out", "found", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["models"][1]["name"] == "vae"
    assert main(["compare", "vea"]) == 2
    assert "did you mean 'vae'" in capsys.readouterr().err
    assert main(["compare", "no/such/run"]) == 2


def test_a_flow_without_its_library_says_what_to_install(monkeypatch):
    import builtins

    real = builtins.__import__

    def without(name, *rest, **more):
        if name == "zuko":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    run = it.fit("vae", "digits", options={"training.epochs": 1, "latent.size": 2})
    with pytest.raises(MissingExtra, match=r"pip install 'isthmus\[flow\]'"):
        run.density("flow")
