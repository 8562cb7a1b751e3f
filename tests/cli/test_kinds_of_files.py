"""The command names all kinds of files that are read."""

import pytest

from isthmus.cli.app import main
from isthmus.data.readers.known import FORMATS


def test_isthmus_data_names_all_formats(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for known in FORMATS:
        assert f"{known.name} ({known.endings[0]})" in text


def test_the_help_says_that_kinds_of_files_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "--help"]) == 0
    assert "the kinds of files" in " ".join(capsys.readouterr().out.split())
