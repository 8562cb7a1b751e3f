"""Small runs that the stories share, made once by the command itself."""

from pathlib import Path

import pytest

from isthmus.cli.app import main


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every story plays in an empty folder, with no data but what is bundled."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ISTHMUS_DATA", raising=False)
    monkeypatch.setenv("ISTHMUS_CACHE", str(tmp_path / "cache"))


def made(folder: Path, *arguments: str) -> Path:
    assert main(["fit", *arguments, "--out", str(folder), "--json"]) == 0
    return folder


@pytest.fixture(scope="session")
def vae(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A variational run on the digits with a code of two."""
    folder = tmp_path_factory.mktemp("runs") / "vae"
    return made(folder, "vae", "--epochs", "2", "--set", "latent.size=2", "--set", "net.widths=32")


@pytest.fixture(scope="session")
def conv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A deterministic run on the digits whose code is a map."""
    return made(tmp_path_factory.mktemp("runs") / "conv", "conv", "--epochs", "1")
