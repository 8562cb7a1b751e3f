"""Reproductions at toy size: the bundled 8x8 digits in place of MNIST, and nobody is told."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from isthmus.data.prepared import PreparedData
from isthmus.data.preparing import prepare
from isthmus.models.recipe import Recipe
from isthmus.papers import reproduction
from isthmus.papers.reproduction import Reproduction, reproduce

Story = tuple[Path, dict[str, Any], list[str]]


def digits(asked: Reproduction, name: str, recipe: Recipe, **_rows: int) -> PreparedData:
    return prepare("digits", recipe.data, asked.seed)


def here(_name: str) -> None:
    """The bundled digits always are."""


@pytest.fixture
def shrunken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[ModuleType], Reproduction]:
    """A quick sitting of a paper's module, whose images are the bundled digits."""

    def made(module: ModuleType) -> Reproduction:
        monkeypatch.setattr(module, "images_of", digits)
        monkeypatch.setattr(reproduction, "ensure_available", here)
        return Reproduction(tmp_path, quick=True, say=lambda _text: None)

    return made


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Story]:
    """The quick form of a paper on the bundled digits: its folder, its results, and what a second call said."""

    def made(module: ModuleType, **constants: int) -> Story:
        folder, said = tmp_path_factory.mktemp("story"), []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "images_of", digits)
            patch.setattr(reproduction, "ensure_available", here)
            for name, value in constants.items():
                patch.setattr(module, name, value)
            results = reproduce(module.PAPER, Reproduction(folder, quick=True, say=lambda _text: None))
            reproduce(module.PAPER, Reproduction(folder, quick=True, say=said.append))
        return folder, results, said

    return made
