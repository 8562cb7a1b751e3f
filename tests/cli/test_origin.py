"""A run of unknown origin opens no file outside the permitted folders unless the user names it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from isthmus.cli.app import main

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def run(tmp_path: Path, capsys: Capture) -> Path:
    """A run in one folder, trained on data in another; the current folder is a third."""
    for name in ("secret", "runs", "here"):
        (tmp_path / name).mkdir()
    np.save(tmp_path / "secret" / "x.npy", np.random.default_rng(0).random((40, 5)))
    arguments = ["--data", str(tmp_path / "secret" / "x.npy"), "--set", "latent.size=2", "--epochs", "1", "--json"]
    assert main(["fit", "linear", *arguments, "--out", str(tmp_path / "runs" / "run")]) == 0
    capsys.readouterr()
    return tmp_path / "runs" / "run"


def foreign(run: Path, signature: object) -> Path:
    """A copy of the run with another signature of its data."""
    copy = run.with_name("copy")
    shutil.copytree(run, copy)
    record = json.loads((copy / "run.json").read_text())
    record["machine"]["source_signature"] = signature
    (copy / "run.json").write_text(json.dumps(record))
    return copy


def test_a_run_that_was_trained_here_works_from_another_folder(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path / "here")
    assert main(["evaluate", str(run), "--json"]) == 0


@pytest.mark.parametrize("signature", ["", "0" * 64, None, 7])
@pytest.mark.parametrize("command", ["evaluate", "score", "plot", "doctor"])
def test_a_run_without_a_valid_signature_asks_for_its_data(
    command: str, signature: object, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    copy = foreign(run, signature)
    monkeypatch.chdir(tmp_path / "here")
    assert main([command, str(copy)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    source = str(tmp_path / "secret" / "x.npy")
    assert err == (
        f"isthmus: The run was not trained by this user, and its data {source!r} lies outside its folder and the "
        "current one. Pass --data to name the data that may be read.\n"
    )


def test_the_data_is_read_where_the_user_names_it(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    copy = foreign(run, "")
    assert main(["evaluate", str(run), "--json"]) == 0
    expected = json.loads(capsys.readouterr().out)
    monkeypatch.chdir(tmp_path / "here")
    assert main(["evaluate", str(copy), "--data", str(tmp_path / "secret" / "x.npy"), "--json"]) == 0
    # the same split, because it is the data of the run
    assert json.loads(capsys.readouterr().out) == expected | {"run": str(copy)}
