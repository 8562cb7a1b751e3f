"""Files of several pages: animated GIF and multi-page TIFF files in a folder."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from isthmus.data.preparing import prepare
from isthmus.data.samplers.stored import StoredTensor
from isthmus.options import DataOptions

from .conftest import Made
from .test_depth import grays_of, listed_of, names_of, opened, words_of


def clips(folder: Path) -> Path:
    """A GIF of three frames, a TIFF of two pages, a GIF of one frame and a PNG, each picture of its own gray."""
    (folder / "a").mkdir(parents=True)
    (folder / "b").mkdir()
    frames = [Image.fromarray(np.full((4, 3), gray, np.uint8)) for gray in (10, 20, 30)]
    frames[0].save(folder / "a" / "clip.gif", save_all=True, append_images=frames[1:])
    tifffile.imwrite(
        folder / "b" / "scan.tif",
        np.stack([np.full((4, 3), gray, np.uint8) for gray in (40, 50)]),
        photometric="minisblack",
    )
    Image.fromarray(np.full((4, 3), 60, np.uint8)).save(folder / "b" / "single.gif")
    Image.fromarray(np.full((4, 3), 70, np.uint8)).save(folder / "b" / "x.png")
    return folder


NAMES = ["a/clip.gif#0", "a/clip.gif#1", "a/clip.gif#2", "b/scan.tif#0", "b/scan.tif#1", "b/single.gif", "b/x.png"]


@pytest.mark.parametrize("memory", ["whole", "stream"])
def test_all_pages_are_examples_with_names_groups_and_labels(tmp_path: Path, memory: str) -> None:
    dataset = opened(clips(tmp_path / "x"), pages="all", memory=memory)
    assert names_of(dataset.train) == NAMES
    assert grays_of(dataset.train) == [10, 20, 30, 40, 50, 60, 70]
    assert words_of(dataset) == ["a", "a", "a", "b", "b", "b", "b"]
    assert dataset.train.groups().tolist() == [0, 0, 0, 1, 1, 2, 3]
    assert listed_of(dataset).folder_numbers().tolist() == [0, 0, 0, 1, 1, 1, 1]
    source = listed_of(dataset)
    # from the middle of one file to the middle of another, and single pages
    for start in range(7):
        for stop in range(start + 1, 8):
            assert source.read(start, stop).values[:, 0, 0].tolist() == [10, 20, 30, 40, 50, 60, 70][start:stop]
    assert str(source.locate(4)) == "'b/scan.tif#1', row 4"


def test_the_first_page_is_taken_of_each_file_and_said(tmp_path: Path) -> None:
    dataset = opened(clips(tmp_path / "x"))
    assert grays_of(dataset.train) == [10, 40, 60, 70]
    assert names_of(dataset.train) == ["a/clip.gif", "b/scan.tif", "b/single.gif", "b/x.png"]
    assert dataset.train.groups() is None
    assert [note for note in dataset.notes if "data.pages=all" in note]
    asked = opened(tmp_path / "x", pages="first")
    assert grays_of(asked.train) == [10, 40, 60, 70]
    assert asked.notes == ()


def test_pages_of_single_pictures_are_no_groups(made: Made) -> None:
    dataset = opened(made(["1.png", "2.gif", "3.tif"]), pages="all")
    assert (len(dataset.train), dataset.train.groups()) == (3, None)
    assert names_of(dataset.train) == ["1.png", "2.gif", "3.tif"]


def test_a_damaged_page_leaves_the_others(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    pages = [np.full((40, 30), gray, np.uint8) for gray in range(30)]
    tifffile.imwrite(folder / "scan.tif", np.stack(pages), compression="zlib", photometric="minisblack")
    with tifffile.TiffFile(folder / "scan.tif") as file:
        place = file.pages[7].dataoffsets[0]
    data = bytearray((folder / "scan.tif").read_bytes())
    data[place : place + 8] = b"no zlib!"
    (folder / "scan.tif").write_bytes(data)
    source = opened(folder, pages="all", memory="stream").train
    chunk = source.read(0, 30)
    assert list(chunk.faults) == [7]
    assert np.delete(chunk.values[:, 0, 0], 7).tolist() == [gray for gray in range(30) if gray != 7]


def test_a_split_keeps_the_frames_of_a_file_together(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    for number in range(6):
        frames = [Image.fromarray(np.full((4, 3), 40 * number + frame, np.uint8)) for frame in range(4)]
        frames[0].save(folder / f"{number}.gif", save_all=True, append_images=frames[1:])
    data = prepare(str(folder), DataOptions(pages="all"), 0)
    assert not isinstance(data.train.x, StoredTensor)
    files = [
        {int(gray) // 40 for gray in np.round(255 * part.tensor[:, 0, 0, 0].numpy())} for part in data.splits.values()
    ]
    assert sum(map(len, files)) == 6
    assert set.union(*files) == set(range(6))


@pytest.mark.parametrize("memory", ["whole", "stream"])
def test_windows_of_a_folder_are_cut_from_the_pages_of_each_file(tmp_path: Path, memory: str) -> None:
    dataset = opened(clips(tmp_path / "x"), window=2, stride=1, memory=memory)
    # never the first pages of several files
    assert dataset.train.read(0, 3).values[:, :, 0, 0].tolist() == [[10, 20], [20, 30], [40, 50]]
    assert names_of(dataset.train) == ["a/clip.gif#0", "a/clip.gif#1", "b/scan.tif#0"]
    assert [note for note in dataset.notes if "All pages of each file" in note]
    first = opened(tmp_path / "x", window=3, pages="first")
    assert first.train.read(0, 1).values[:, :, 0, 0].tolist() == [[40, 60, 70]]
