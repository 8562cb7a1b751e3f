"""Names of files that are not UTF-8, consoles that lack characters, and folders that may not be written into."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import isthmus
from isthmus import plots
from isthmus.cli.app import main
from isthmus.errors import printable
from isthmus.files import atomic
from isthmus.runs.origin import signature

NAME = os.fsdecode(b"M\xe4rz.csv")
unix = pytest.mark.skipif(sys.platform != "linux", reason="needs names that are not UTF-8")


@pytest.fixture
def march(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / NAME
    rows = np.random.default_rng(0).random((60, 4))
    path.write_text("a,b,c,d\n" + "\n".join(",".join(f"{v:.5f}" for v in row) for row in rows) + "\n")
    return path


@unix
def test_a_file_name_that_is_not_utf8_is_shown_with_a_replacement_and_opened_again(
    march: Path,
) -> None:
    assert main(["fit", "deep", NAME, "--epochs", "1", "--out", "run"]) == 0
    page = Path("run/report.html").read_text(encoding="utf-8")
    assert "<title>deep on M\ufffdrz.csv</title>" in page
    record = json.loads(Path("run/run.json").read_text(encoding="utf-8"))
    assert record["data"] == "M\ufffdrz.csv"
    assert record["source"] == str(march)
    for verb in (["evaluate", "run"], ["plot", "run"], ["doctor", "run"], ["score", "run", NAME, NAME + ".npy"]):
        assert main(verb) == 0
    assert Path(NAME + ".npy").is_file()
    assert isthmus.load("run").encode(march).shape[0] == 60


def test_text_that_is_written_or_drawn_has_no_surrogates(tmp_path: Path) -> None:
    assert printable("a\udce4\ud83d-ä数") == "a\ufffd\ufffd-ä数"
    assert signature("/" + NAME) != signature("/" + printable(NAME))
    figure = plots.curves([{"epoch": 1, "train": {"loss": 1.0}}], title=NAME)
    plots.save(figure, tmp_path / "x.png")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
@pytest.mark.parametrize(
    "verb", [["recipes"], ["data"], ["fit", "--help"], ["cite", "vae"], ["fit", "vae", "数—é.csv"]]
)
def test_a_console_without_some_characters_is_no_error(encoding: str, verb: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "isthmus", *verb],
        capture_output=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONIOENCODING": encoding},
        check=False,
    )
    assert done.returncode == (2 if verb[-1].endswith(".csv") else 0)
    assert b"Traceback" not in done.stderr
    assert done.stdout + done.stderr


def test_a_run_in_a_folder_that_may_not_be_written_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["fit", "pca", "--out", "run", "--json"]) == 0

    def refuse(*_arguments: object, **_more: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(atomic.tempfile, "mkstemp", refuse)
    capsys.readouterr()
    assert main(["plot", "run"]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("isthmus: 'run/figures/curves.png' cannot be written: Permission denied.")
    for reading in (["evaluate", "run"], ["doctor", "run"], ["score", "run", "digits"]):
        assert main(reading) == 0


def test_paths_with_spaces_umlauts_and_other_scripts_work_through_all_verbs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path("mein Ordner ß 数据")
    folder.mkdir()
    rows = np.random.default_rng(0).normal(size=(60, 4)).round(4)
    lines = [",".join(map(str, row)) + f",{number % 2}" for number, row in enumerate(rows)]
    (folder / "Karten, März.csv").write_text("V1,V2,V3,Menge €,Class\n" + "\n".join(lines) + "\n", encoding="utf-8")
    data, run = str(folder / "Karten, März.csv"), str(folder / "run 1")
    fit = ["fit", "pca", data, "--set", "latent.size=3", "--set", "data.labels=Class", "--out", run]
    for verb in (fit, ["evaluate", run], ["encode", run, data, str(folder / "z 1.csv")], ["plot", run]):
        assert main(verb) == 0
    assert len((folder / "z 1.csv").read_text(encoding="utf-8").splitlines()) == 61
