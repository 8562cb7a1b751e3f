"""Reproductions at toy size: the bundled 8x8 digits in place of MNIST, and nobody is told."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from isthmus.data.prepare import Prepared
from isthmus.fitting import prepared
from isthmus.papers import sitting
from isthmus.papers.sitting import Sitting, reproduce
from isthmus.recipe import Recipe

Story = tuple[Path, dict[str, Any], list[str]]


def digits(asked: Sitting, name: str, recipe: Recipe, **_rows: int) -> Prepared:
    return prepared("digits", recipe.data, asked.seed)


def here(_name: str) -> None:
    """The bundled digits always are."""


@pytest.fixture
def shrunken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[ModuleType], Sitting]:
    """A quick sitting of a paper's module, whose images are the bundled digits."""

    def made(module: ModuleType) -> Sitting:
        monkeypatch.setattr(module, "images_of", digits)
        monkeypatch.setattr(sitting, "bring", here)
        return Sitting(tmp_path, quick=True, say=lambda _text: None)

    return made


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Story]:
    """The quick form of a paper on the bundled digits: its folder, its results, and what a second call said."""

    def made(module: ModuleType, **constants: int) -> Story:
        folder, said = tmp_path_factory.mktemp("story"), []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "images_of", digits)
            patch.setattr(sitting, "bring", here)
            for name, value in constants.items():
                patch.setattr(module, name, value)
            results = reproduce(module.PAPER, Sitting(folder, quick=True, say=lambda _text: None))
            reproduce(module.PAPER, Sitting(folder, quick=True, say=said.append))
        return folder, results, said

    return made
