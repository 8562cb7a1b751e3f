"""Reproductions at toy size: the bundled 8x8 digits in place of MNIST, and nobody is told."""

from collections.abc import Callable
from types import ModuleType

import pytest

from isthmus.data.prepare import Prepared
from isthmus.fitting import prepared
from isthmus.papers.sitting import Sitting
from isthmus.recipe import Recipe


@pytest.fixture
def shrunken(monkeypatch: pytest.MonkeyPatch, tmp_path) -> Callable[[ModuleType], Sitting]:
    """A quick sitting of a paper's module, whose images are the bundled digits."""

    def digits(sitting: Sitting, name: str, recipe: Recipe, **_rows: int) -> Prepared:
        return prepared("digits", recipe.data, sitting.seed)

    def made(module: ModuleType) -> Sitting:
        monkeypatch.setattr(module, "images_of", digits)
        return Sitting(tmp_path, quick=True, say=lambda _text: None)

    return made
