"""Folders of small gray pictures."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Made = Callable[..., Path]


def level_of(number: int) -> np.ndarray:
    """A picture of its own: 4 x 3 pixels, all of one gray."""
    return np.full((4, 3), number % 256, np.uint8)


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """Writes pictures under these paths, each all of the gray of its place in the list; and other files."""

    def write(names: Sequence[str], others: Sequence[str] = (), name: str = "folder") -> Path:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        for number, path in enumerate(names):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(level_of(number)).save(folder / path, format="png" if "." not in path[-5:] else None)
        for path in others:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(b"no picture")
        return folder

    return write
