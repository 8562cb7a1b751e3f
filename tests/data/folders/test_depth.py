"""Pictures at any depth: which are taken, in which order, and what labels them."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from isthmus.data.dataset import Dataset
from isthmus.data.opening import open_data
from isthmus.data.sources.base import Source
from isthmus.data.sources.image_folder import ImageFolder
from isthmus.errors import BadData
from isthmus.options import DataOptions

from .conftest import Made


def opened(folder: Path, **options: object) -> Dataset:
    dataset = open_data(str(folder), DataOptions.model_validate(options))
    assert isinstance(dataset, Dataset)
    return dataset


def names_of(source: Source) -> list[str]:
    names = source.names_of(np.arange(len(source)))
    assert names is not None
    return names.tolist()


def grays_of(source: Source) -> list[int]:
    return source.read(0, len(source)).values[:, 0, 0].tolist()


def words_of(dataset: Dataset, source: Source | None = None) -> list[str] | None:
    labels = (source or dataset.train).labels_of(np.arange(len(source or dataset.train)))
    return None if labels is None else [dataset.label_names[label] for label in labels.tolist()]


def listed_of(dataset: Dataset) -> ImageFolder:
    source = getattr(dataset.train, "located", dataset.train)
    assert isinstance(source, ImageFolder)
    return source


OMNIGLOT = ["Greek/b2/1.png", "Greek/b10/1.png", "Greek/b10/2.png", "Latin/a/1.png", "Latin/b2/7.png"]


@pytest.mark.parametrize("memory", ["whole", "stream"])
@pytest.mark.parametrize(
    ("level", "names", "labels"),
    [
        (1, ("Greek", "Latin"), ["Greek", "Greek", "Greek", "Latin", "Latin"]),
        (2, ("a", "b2", "b10"), ["b2", "b10", "b10", "a", "b2"]),
        (0, (), None),
        (3, (), None),
    ],
)
def test_drawings_of_characters_of_alphabets(
    made: Made, memory: str, level: int, names: tuple[str, ...], labels: list[str] | None
) -> None:
    dataset = opened(made(OMNIGLOT), memory=memory, label_level=level)
    assert names_of(dataset.train) == OMNIGLOT
    assert grays_of(dataset.train) == [0, 1, 2, 3, 4]
    assert dataset.label_names == names
    assert words_of(dataset) == labels
    assert any("no labels" in note for note in dataset.notes) == (level == 3)
    assert dataset.train.groups() is None
    assert dataset.streamed == (memory == "stream")


def test_pictures_in_the_folder_and_in_sub_folders_are_all_taken(made: Made) -> None:
    dataset = opened(made(["b.png", "a/1.png", "c/d/2.png"]))
    assert names_of(dataset.train) == ["a/1.png", "b.png", "c/d/2.png"]
    assert grays_of(dataset.train) == [1, 0, 2]
    assert words_of(dataset) is None
    (note,) = [note for note in dataset.notes if "label" in note]
    assert "1 of 3 pictures are not in a folder at level 1 (data.label_level)" in note


def test_a_flat_folder_has_no_labels_and_no_note(made: Made) -> None:
    dataset = opened(made(["10.png", "9.png"]))
    assert (names_of(dataset.train), words_of(dataset), dataset.notes) == (["9.png", "10.png"], None, ())


def test_folders_with_numbers_keep_the_order_of_numbers(made: Made) -> None:
    dataset = opened(made([f"{number}/x.png" for number in (10, 2, 0, 1)]))
    assert dataset.label_names == ("0", "1", "2", "10")
    assert words_of(dataset) == ["0", "1", "2", "10"]
    assert grays_of(dataset.train) == [2, 3, 1, 0]


def test_a_folder_around_all_labels_is_looked_through(made: Made) -> None:
    dataset = opened(made(["data/images/cat/1.png", "data/images/dog/1.png"]))
    assert words_of(dataset) == ["cat", "dog"]
    assert any("'data/images'" in note for note in dataset.notes)
    # a level that is asked for is counted from the data
    assert words_of(opened(made(["data/images/cat/1.png"]), label_level=2)) == ["images", "images"]


def test_a_single_sub_folder_is_the_label(made: Made) -> None:
    dataset = opened(made(["cat/1.png", "cat/2.png"]))
    assert words_of(dataset) == ["cat", "cat"]
    assert dataset.notes == ()


def test_other_files_are_counted_and_left_out(made: Made) -> None:
    others = ["a.txt", "b.txt", "labels.csv", ".DS_Store", "x/Thumbs.db", "x/data.json", "README"]
    dataset = opened(made(["x/1.png"], others))
    assert names_of(dataset.train) == ["x/1.png"]
    assert dataset.notes == ("Left out: 2 .txt, 1 .csv, 1 .json and 1 other files beside the pictures.",)


def test_a_folder_without_pictures_says_what_it_holds(made: Made) -> None:
    with pytest.raises(BadData, match=r"^'folder' holds 2 .mp3 and 1 .txt files, but no picture; known are .*\.png"):
        opened(made([], ["a.mp3", "deep/down/b.MP3", "c.txt"]))
    with pytest.raises(BadData, match=r"^'empty' holds no file; known are"):
        opened(made([], [".hidden"], name="empty"))


def test_files_without_extension_are_tried_only_where_no_picture_is_known(made: Made) -> None:
    folder = made(["0001", "0002"], ["notes.txt"])
    dataset = opened(folder)
    assert names_of(dataset.train) == ["0001", "0002"]
    assert any(note.startswith("Files of no extension are pictures by their first bytes") for note in dataset.notes)
    assert any("1 .txt file" in note for note in dataset.notes)
    Image.fromarray(np.full((4, 3), 9, np.uint8)).save(folder / "x.png")
    dataset = opened(folder)
    assert names_of(dataset.train) == ["x.png"]
    assert any("Left out: 1 .txt and 2 other files" in note for note in dataset.notes)


def test_pictures_by_first_bytes_of_an_unknown_extension(made: Made) -> None:
    folder = made(["1.png", "2.png"])
    for path in folder.iterdir():
        path.rename(path.with_suffix(".image"))
    assert grays_of(opened(folder).train) == [0, 1]


@pytest.mark.parametrize("memory", ["whole", "stream"])
def test_folders_are_numbers_for_windows_of_frames(made: Made, memory: str) -> None:
    dataset = opened(made(["a/1.png", "a/2.png", "b/c/1.png", "b/c/2.png", "top.png"]), memory=memory)
    numbers = listed_of(dataset).folder_numbers()
    assert [numbers.tolist().index(number) for number in numbers] == [0, 0, 2, 2, 4]


def test_labels_take_a_number_per_folder_not_per_picture(made: Made) -> None:
    source = listed_of(opened(made([f"{n % 2}/{n}.png" for n in range(50)]), memory="stream"))
    kept = [value for value in vars(source).values() if isinstance(value, np.ndarray)]
    assert max(value.nbytes for value in kept) <= 50 * 8
    assert not any(value.dtype.kind in "US" for value in kept)
    assert min(value.size for value in kept) == 2


def test_names_that_are_not_utf8_are_read(made: Made) -> None:
    name = os.fsdecode(b"caf\xe9/1.png")
    dataset = opened(made([name, "b/2.png"]))
    assert names_of(dataset.train) == ["b/2.png", name]
    assert grays_of(dataset.train) == [1, 0]


def test_links_out_of_the_folder_are_refused(made: Made, tmp_path: Path) -> None:
    made(["secret.png"], name="outside")
    folder = made(["a/1.png"])
    (folder / "a" / "2.png").symlink_to(tmp_path / "outside" / "secret.png")
    with pytest.raises(BadData, match=r"'2\.png' in 'folder' is a link that leads out of the folder"):
        opened(folder)
