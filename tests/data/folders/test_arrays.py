"""Folders of arrays of which each may be one example."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isthmus.data.preparing import prepare
from isthmus.errors import BadData
from isthmus.options import DataOptions

R = np.random.default_rng(0)


def folder_of(path: Path, count: int, shape: tuple[int, ...], dtype: Any = np.float32) -> Path:
    path.mkdir()
    for number in range(count):
        np.save(path / f"{number}.npy", R.integers(0, 200, shape).astype(dtype))
    return path


def noted(path: Path) -> bool:
    return any("if each file is one example" in note for note in prepare(path, DataOptions(), 0).notes)


def test_more_files_than_rows_in_each_are_noted(tmp_path: Path) -> None:
    assert noted(folder_of(tmp_path / "a", 12, (6, 7)))
    assert not noted(folder_of(tmp_path / "b", 5, (40, 7)))
    path = folder_of(tmp_path / "c", 12, (6, 7))
    np.save(path / "x.npy", np.zeros((5, 7), np.float32))
    assert not noted(path)


@pytest.mark.parametrize("shape", [(8, 9, 3), (3, 8, 9), (30, 40, 4)])
def test_a_colored_picture_in_each_file_is_refused(shape: tuple[int, ...], tmp_path: Path) -> None:
    path = folder_of(tmp_path / "a", 12, shape, np.uint8)
    with pytest.raises(BadData, match=r"Each \.npy file in 'a' holds one picture, of shape .*numpy\.stack"):
        prepare(path, DataOptions(), 0)
    # the advice works
    np.save(tmp_path / "all.npy", np.stack([np.load(file) for file in sorted(path.iterdir())]))
    assert prepare(tmp_path / "all.npy", DataOptions(test=0, validation=0), 0).train.tensor.shape[0] == 12


def test_gray_pictures_and_few_files_are_examples_by_row(tmp_path: Path) -> None:
    for name, count, shape in (("gray", 12, (40, 8, 9)), ("few", 2, (40, 30, 3))):
        made = prepare(folder_of(tmp_path / name, count, shape, np.uint8), DataOptions(test=0, validation=0), 0)
        assert len(made.train) == count * shape[0]
