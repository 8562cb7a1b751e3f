"""Data that stays on the disk, from training to answers: the same figures and codes as from memory."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

import isthmus as it
from isthmus.cli.app import main
from isthmus.data import memory as choice
from isthmus.runs.data import data_for
from isthmus.runs.inference import evaluate_split
from isthmus.runs.loading import load
from isthmus.runs.run import Run

X = np.tile((load_digits().images * 15).astype(np.uint8), (2, 1, 1))
Capture = pytest.CaptureFixture[str]


def run_command(*words: object) -> int:
    return main([str(word) for word in words])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    np.save(tmp_path / "x.npy", X)
    return tmp_path / "x.npy"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine so small that everything is streamed."""
    monkeypatch.setattr(choice, "LARGEST", 0)


def fitted(file: Path, recipe: str = "vae", out: Path | None = None, **options: object) -> Run:
    return it.fit(recipe, file, epochs=2, options={"data.memory": "stream", **options}, out=out)


@pytest.mark.parametrize("recipe", ["vae", "conv_denoising", "vq_vae", "top_k", "vamp_vae", "sigma_vae"])
def test_figures_and_codes_of_the_disk_are_those_of_memory(
    recipe: str, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    fitted(file, recipe, out)
    run = load(out)
    other = tmp_path / "other.npy"
    np.save(other, X[:1300])
    memory, _ = evaluate_split(run, data_for(run, other))
    codes = run.encode(np.load(other, mmap_mode="r"))
    monkeypatch.setattr(choice, "LARGEST", 0)
    ready = data_for(run, other)
    assert ready.streamed
    disk, part = evaluate_split(run, ready)
    assert disk == pytest.approx(memory, rel=1e-5, abs=1e-7)
    assert part == "all examples of other.npy, 1,300 examples"
    np.testing.assert_array_equal(run.encode(np.load(other, mmap_mode="r")), codes)
    assert run.evaluate(np.load(other, mmap_mode="r")) == pytest.approx(memory, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("ending", ["npy", "npz", "csv"])
@pytest.mark.parametrize("verb", ["encode", "reconstruct", "denoise", "score"])
def test_files_written_from_the_disk_are_those_written_from_memory(
    verb: str, ending: str, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    fitted(file, out=out)
    written = [tmp_path / f"{n}.{ending}" for n in (0, 1)]
    for target, bound in zip(written, (choice.LARGEST, 0), strict=True):
        monkeypatch.setattr(choice, "LARGEST", bound)
        words = [target, "--data", file] if verb == "score" else [file, target]
        assert run_command(verb, out, *words) == 0
    if ending == "npz":
        contents = [dict(np.load(target)) for target in written]
        assert contents[0].keys() == contents[1].keys()
        for name, values in contents[0].items():
            np.testing.assert_array_equal(values, contents[1][name])
    else:
        assert written[0].read_bytes() == written[1].read_bytes()


def test_a_streamed_run_keeps_its_parts_on_a_machine_with_more_memory(file: Path, tmp_path: Path, small: None) -> None:
    run = it.fit("linear", file, epochs=1, options={"latent.size": 2}, out=tmp_path / "run")
    assert run.data is not None
    assert run.data.streamed
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choice, "LARGEST", 2**40)
        again = data_for(load(tmp_path / "run"))
    assert again.streamed
    assert again.test.tensor.equal(run.data.test.tensor)


def test_a_run_from_memory_keeps_its_parts_on_a_machine_with_less(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = it.fit("linear", file, epochs=1, options={"latent.size": 2}, out=tmp_path / "run")
    monkeypatch.setattr(choice, "LARGEST", 0)
    again = data_for(load(tmp_path / "run"))
    assert again.test.tensor.equal(run.data.test.tensor)


def test_training_from_the_disk_learns_as_from_memory(file: Path) -> None:
    options = {"latent.size": 4, "data.memory": "stream"}
    disk = it.fit("linear", file, epochs=10, options=options)
    memory = it.fit("linear", file, epochs=10, options=options | {"data.memory": "whole"})
    ends = [run.history[-1]["train"]["loss"] for run in (disk, memory)]
    assert ends[0] == pytest.approx(ends[1], rel=0.1)
    again = it.fit("linear", file, epochs=10, options=options)
    assert again.history[-1]["train"] == disk.history[-1]["train"]


def table(path: Path, bad: tuple[int, ...]) -> Path:
    x = np.random.default_rng(0).normal(size=(600, 5))
    x[list(bad), 3] = np.inf
    np.save(path, x)
    return path


@pytest.mark.parametrize("memory", ["whole", "stream"])
def test_bad_rows_are_listed_in_record_and_report(memory: str, tmp_path: Path, capsys: Capture) -> None:
    path, out = table(tmp_path / "t.npy", (17, 400)), tmp_path / "run"
    words = ["fit", "linear", "--data", path, "--out", out, "--epochs", 1, "--set", "latent.size=2"]
    words += ["--set", f"data.memory={memory}"]
    assert run_command(*words) == 2
    assert "--on-bad-data skip" in capsys.readouterr().err
    assert run_command(*words, "--on-bad-data", "skip") == 0
    record = json.loads((out / "run.json").read_text())["bad_data"]
    assert (record["policy"], record["count"]) == ("skip", 2)
    assert sorted((entry["file"], entry["row"]) for entry in record["listed"]) == [("t.npy", 17), ("t.npy", 400)]
    page = (out / "report.html").read_text()
    assert "Training skipped 2 invalid examples." in page
    assert "column 3" in page
    # the run is measured and asked again with the same parts
    assert run_command("evaluate", out, "--json") == 0


@pytest.mark.filterwarnings("always:.*invalid examples:UserWarning")
@pytest.mark.parametrize("bound", [2**40, 0])
def test_answers_keep_their_rows_where_bad_examples_are_skipped(
    bound: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    out = tmp_path / "run"
    it.fit("linear", table(tmp_path / "t.npy", ()), epochs=1, options={"latent.size": 2}, out=out)
    bad = table(tmp_path / "bad.npy", (5, 300))
    monkeypatch.setattr(choice, "LARGEST", bound)
    assert run_command("encode", out, bad, tmp_path / "z.npy") == 2
    assert run_command("encode", out, bad, tmp_path / "z.npy", "--on-bad-data", "skip") == 0
    said = "2 invalid examples were skipped; their rows are NaN: 'bad.npy', row 5, 'bad.npy', row 300."
    assert said in capsys.readouterr().err
    assert run_command("score", out, tmp_path / "s.npy", "--data", bad, "--on-bad-data", "skip") == 0
    assert said in capsys.readouterr().err
    z, s = np.load(tmp_path / "z.npy"), np.load(tmp_path / "s.npy")
    assert np.flatnonzero(np.isnan(z).any(1)).tolist() == np.flatnonzero(np.isnan(s)).tolist() == [5, 300]
    good = np.delete(np.load(bad), [5, 300], axis=0)
    np.testing.assert_allclose(np.delete(z, [5, 300], axis=0), load(out).encode(good), atol=1e-6)


def test_data_describes_what_is_streamed(file: Path, small: None, capsys: Capture) -> None:
    assert run_command("data", file) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "3,594" in said
    assert "(streamed)" in said
    assert run_command("data", file, "--json") == 0
    (record,) = json.loads(capsys.readouterr().out)["source"]["files"]
    assert (record["name"], record["sampled"]) == ("x.npy", True)


def test_pictures_and_report_of_other_data_on_the_disk(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    fitted(file, out=out, **{"latent.size": 2})
    monkeypatch.setattr(choice, "LARGEST", 0)
    np.save(tmp_path / "y.npy", X[:900])
    assert run_command("plot", out, "--data", tmp_path / "y.npy") == 0
    assert (out / "on-y" / "report.html").is_file()
