"""Damaged, empty, truncated and odd pictures: named and counted, or left out when that is asked for."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from isthmus.cli.app import app
from isthmus.data.preparing import prepare
from isthmus.data.samplers.stored import StoredTensor
from isthmus.errors import BadData
from isthmus.options import DataOptions

from .conftest import Made
from .test_depth import opened


def spoiled(made: Made, good: int = 60) -> Path:
    """A folder of good pictures, and four others: cut short, empty, no picture at all, and of another size."""
    folder = made([f"{number % 2}/{number}.png" for number in range(good)])
    whole = (folder / "0" / "2.png").read_bytes()
    (folder / "0" / "2.png").write_bytes(whole[: len(whole) // 2])
    (folder / "1" / "3.png").write_bytes(b"")
    (folder / "1" / "5.png").write_bytes(b"<html>Not found</html>")
    Image.fromarray(np.zeros((5, 5), np.uint8)).save(folder / "0" / "8.png")
    return folder


BAD = ["0/2.png", "0/8.png", "1/3.png", "1/5.png"]


@pytest.mark.parametrize("memory", ["whole", "stream"])
def test_all_damaged_pictures_are_counted_and_named(made: Made, memory: str) -> None:
    def read() -> None:
        data = prepare(str(spoiled(made)), DataOptions(memory=memory, validation=0, test=0), 0)
        list(data.train.x.chunks(100))

    with pytest.raises(BadData) as caught:
        read()
    message = str(caught.value)
    assert f"{'at least ' * (memory == 'stream')}4 of 60 examples" in message
    assert all(f"'{name}', row" in message for name in BAD)
    assert "5 x 5" in message
    assert message.endswith("Fix or remove them, or skip invalid examples with data.on_bad_data=skip.")
    assert "\n" not in message


def test_of_many_damaged_pictures_the_first_are_named(made: Made) -> None:
    folder = made([f"{number}.png" for number in range(60)])
    for number in range(20, 32):
        (folder / f"{number}.png").write_bytes(b"")
    with pytest.raises(BadData, match=r"^'20\.png'.*'21\.png'.*'24\.png'.*; 7 more: 12 of 60 examples\. Fix") as caught:
        prepare(str(folder), DataOptions(memory="whole"), 0)
    assert "'25.png'" not in str(caught.value)


@pytest.mark.parametrize("memory", ["whole", "stream"])
def test_damaged_pictures_are_left_out_when_that_is_asked_for(made: Made, memory: str) -> None:
    data = prepare(str(spoiled(made)), DataOptions(memory=memory, on_bad_data="skip", validation=0, test=0), 0)
    if isinstance(data.train.x, StoredTensor):
        left = np.concatenate([chunk.numpy() for chunk in data.train.x.chunks(7)])
    else:
        left = data.train.x.numpy()
    kept = [number for number in range(60) if f"{number % 2}/{number}.png" not in BAD]
    assert sorted(np.round(255 * left[:, 0, 0, 0]).astype(int).tolist()) == kept
    assert sorted(entry.file for entry in data.bad_examples.entries) == BAD
    assert data.bad_examples.count == 4


def test_damaged_pictures_of_two_sets_are_both_counted(made: Made) -> None:
    folder = made([f"{part}/{number}.png" for part in ("train", "test") for number in range(30)])
    for part in ("train", "test"):
        (folder / part / "4.png").write_bytes(b"")
    data = prepare(str(folder), DataOptions(on_bad_data="skip", validation=0), 0)
    assert data.bad_examples.count == 2
    assert sorted(entry.file for entry in data.bad_examples.entries) == ["test/4.png", "train/4.png"]
    assert (len(data.train), len(data.test or ())) == (29, 29)


def test_a_damaged_picture_is_black_in_a_used_array(made: Made) -> None:
    folder = made([f"{number}.png" for number in range(3)])
    (folder / "1.png").write_bytes((folder / "1.png").read_bytes()[:50])
    used = np.full((3, 4, 3), 7, np.uint8)
    chunk = opened(folder, memory="stream").train.read(0, 3, used)
    assert chunk.values is used
    assert used[:, 0, 0].tolist() == [0, 0, 2]
    assert list(chunk.faults) == [1]


def test_a_folder_of_nothing_but_damaged_pictures_names_the_first(made: Made) -> None:
    folder = made(["a.png", "b.png"])
    for path in folder.iterdir():
        path.write_bytes(b"")
    with pytest.raises(BadData, match=r"^None of the pictures tried in 'folder' can be read; the first: 'a\.png'"):
        opened(folder)


def test_a_picture_that_vanishes_is_named(made: Made) -> None:
    folder = made([f"{number}.png" for number in range(30)])
    data = prepare(str(folder), DataOptions(memory="stream", validation=0, test=0), 0)
    (folder / "7.png").unlink()
    with pytest.raises(BadData, match=r"'7\.png', row 7 is invalid: it cannot be read as a file"):
        list(data.train.x.chunks(100))


def test_the_command_lists_damaged_pictures_and_refuses_them(made: Made) -> None:
    folder = str(spoiled(made))
    for command in (["data", folder], ["fit", "simple", folder, "--out", f"{folder}/run", "--epochs", "1"]):
        refused = CliRunner().invoke(app, command)
        assert isinstance(refused.exception, BadData)
        assert "4 of 60 examples" in str(refused.exception)
        assert all(f"'{name}'" in str(refused.exception) for name in BAD)
