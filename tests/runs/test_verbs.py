"""Every verb of a run gives what the command of the same name writes or prints."""

import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from sklearn.datasets import load_digits

from isthmus import Run, evaluate, fit, load, plots
from isthmus.cli.app import main
from isthmus.errors import BadOption, BadRun, IncompatibleParts, ShapeError, UnknownName

X = load_digits().images / 16


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A variational run with a corruption, so that every verb applies to it."""
    out = tmp_path_factory.mktemp("r") / "run"
    options = {"net.widths": [32], "latent.size": 2, "corruption.kind": "masking"}
    fit("vae", "digits", epochs=2, options=options, out=out)
    return out


@pytest.fixture
def run(folder: Path) -> Run:
    return load(folder)


def written(folder: Path, tmp_path: Path, *arguments: str) -> np.ndarray:
    verb, *rest = arguments
    out = tmp_path / "out.npy"
    assert main([verb, str(folder), *rest, "--out", str(out)]) == 0
    return np.load(out, allow_pickle=False)


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    capsys.readouterr()
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_encode(run: Run, folder: Path, tmp_path: Path) -> None:
    np.testing.assert_array_equal(run.encode(X), written(folder, tmp_path, "encode", "digits"))
    np.testing.assert_array_equal(run.encode("digits"), run.encode(X))
    sampled = written(folder, tmp_path, "encode", "digits", "--sample", "--seed", "5")
    np.testing.assert_array_equal(run.encode("digits", sample=True, seed=5), sampled)
    assert not np.array_equal(sampled, run.encode(X))


def test_decode(run: Run, folder: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "z.npy", run.encode(X[:20]))
    np.testing.assert_array_equal(
        run.decode(run.encode(X[:20])), written(folder, tmp_path, "decode", str(tmp_path / "z.npy"))
    )


def test_reconstruct(run: Run, folder: Path, tmp_path: Path) -> None:
    np.testing.assert_array_equal(run.reconstruct(X), written(folder, tmp_path, "reconstruct", "digits"))
    sampled = written(folder, tmp_path, "reconstruct", "digits", "--sample", "--seed", "2")
    np.testing.assert_array_equal(run.reconstruct(X, sample=True, seed=2), sampled)


def test_denoise(run: Run, folder: Path, tmp_path: Path) -> None:
    np.testing.assert_array_equal(run.denoise(X), written(folder, tmp_path, "denoise", "digits"))
    corrupted = written(folder, tmp_path, "denoise", "digits", "--corrupt", "--seed", "3")
    np.testing.assert_array_equal(run.denoise(X, corrupt=True, seed=3), corrupted)
    assert not np.array_equal(corrupted, run.denoise(X))


def test_denoise_takes_values_outside_the_range_of_clean_data(run: Run) -> None:
    noisy = X[:5] + 0.5
    assert run.denoise(noisy).shape == (5, 8, 8)


def test_score(run: Run, folder: Path, tmp_path: Path) -> None:
    np.testing.assert_array_equal(run.score(), written(folder, tmp_path, "score"))
    np.testing.assert_array_equal(run.score("digits", seed=4), written(folder, tmp_path, "score", "digits", "--seed=4"))
    np.testing.assert_array_equal(run.score(X, seed=4), run.score("digits", seed=4))
    assert run.score().shape == (180,)


def test_sample(run: Run, folder: Path, tmp_path: Path) -> None:
    np.testing.assert_array_equal(run.sample(9, seed=0), written(folder, tmp_path, "sample", "-n", "9"))


def test_interpolate(run: Run, folder: Path, tmp_path: Path) -> None:
    lines = written(folder, tmp_path, "interpolate", "--rows", "3", "--steps", "5")
    np.testing.assert_array_equal(run.interpolate(rows=3, steps=5), lines)
    assert lines.shape == (3, 5, 8, 8)


def test_interpolate_between_given_examples_starts_and_ends_at_their_reconstructions(run: Run) -> None:
    lines = run.interpolate(X[:4], X[4:8], steps=3)
    np.testing.assert_allclose(lines[:, 0], run.reconstruct(X[:4]), atol=1e-6)
    np.testing.assert_allclose(lines[:, 2], run.reconstruct(X[4:8]), atol=1e-6)
    middle = (run.encode(X[:4]) + run.encode(X[4:8])) / 2
    np.testing.assert_allclose(lines[:, 1], run.decode(middle), atol=1e-6)
    with pytest.raises(ShapeError, match=r"4 examples at the start, but 3 at the end\. Pass one end per start\."):
        run.interpolate(X[:4], X[4:7])
    with pytest.raises(BadOption, match="The end of an interpolation is given, but not its start"):
        run.interpolate(end=X[:4])


def test_interpolations_are_made_between_all_examples_however_many(run: Run) -> None:
    lines = run.interpolate(X[:1100], X[100:1200], steps=2)
    assert len(lines) == 1100
    np.testing.assert_allclose(lines[-1, 0], run.reconstruct(X[1099:1100])[0], atol=1e-6)


def test_evaluate(run: Run, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, metrics in (([], run.evaluate()), (["digits"], run.evaluate("digits"))):
        content = printed(capsys, "evaluate", str(folder), *arguments)
        assert {name: content[name] for name in metrics} == metrics
    assert run.evaluate()["n"] == 180
    assert evaluate(run, X) == run.evaluate(X)
    assert evaluate(run.objective, run.to_tensor(X), seed=0) == run.evaluate(X, seed=0)
    assert "nll" in run.evaluate(X[:5], importance_samples=3)


def test_evaluate_takes_a_run_or_an_objective() -> None:
    with pytest.raises(BadOption, match=r"evaluate needs a run or an objective, but was given a str\. Pass a run\."):
        evaluate("vae", X)  # type: ignore[arg-type]


def test_plot(run: Run, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {Path(path).stem for path in printed(capsys, "plot", str(folder))["written"]} - {"report"}
    figures = run.plot()
    assert isinstance(figures, dict)
    assert set(figures) == files
    samples = run.plot("samples")
    assert isinstance(samples, Figure)
    assert plots.save(samples, tmp_path / "a.png").read_bytes() == (folder / "figures" / "samples.png").read_bytes()
    with pytest.raises(UnknownName, match="no figure of this run named 'sample'; did you mean 'samples'"):
        run.plot("sample")


def test_a_figure_shows_itself_in_a_notebook(run: Run) -> None:
    assert run.plot("samples")._repr_png_().startswith(b"\x89PNG")


def test_doctor(run: Run, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = printed(capsys, "doctor", str(folder))["findings"]
    assert [finding.name for finding in run.doctor()] == [finding["name"] for finding in found]
    assert found


def test_report(run: Run, folder: Path, tmp_path: Path) -> None:
    page = run.report(tmp_path / "page")
    assert page == tmp_path / "page" / "report.html"
    assert (tmp_path / "page" / "figures" / "samples.png").is_file()
    assert "Latent traversals" in page.read_text()


def test_the_report_of_a_run_in_memory_needs_a_folder(tmp_path: Path) -> None:
    run = fit("linear", X, epochs=1)
    with pytest.raises(BadRun, match="was not saved, so its report has no folder"):
        run.report()
    assert run.report(tmp_path).is_file()


def test_verbs_that_do_not_apply_say_why() -> None:
    run = fit("vq_vae", X, epochs=1)
    with pytest.raises(IncompatibleParts, match="Interpolation needs a real-valued code"):
        run.interpolate()
    with pytest.raises(BadOption, match="corrupt=True needs a run that was trained with a corruption"):
        run.denoise(X, corrupt=True)
