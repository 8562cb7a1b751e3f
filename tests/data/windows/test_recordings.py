"""Folders of recordings: files of different lengths, names, labels and splits by folders; tables in several files."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from isthmus.data.dataset import Dataset
from isthmus.data.opening import open_data
from isthmus.data.sources.windows import Windows
from isthmus.errors import BadData
from isthmus.options import DataOptions

LENGTHS = {"a2.x": 25, "a10.x": 7, "b.x": 43}
"""Rows of each file; they follow each other in natural order."""


def rows_of(lengths: dict[str, int]) -> dict[str, np.ndarray]:
    starts = np.cumsum([0, *lengths.values()])
    return {
        name: (start + np.arange(length))[:, None] * [1.0, -1.0]
        for (name, length), start in zip(lengths.items(), starts, strict=False)
    }


def write_csv(path: Path, x: np.ndarray) -> None:
    pd.DataFrame(x, columns=["a", "b"]).to_csv(path, index=False)


WRITERS: dict[str, Callable[[Path, np.ndarray], None]] = {
    ".npy": lambda path, x: np.save(path, x),
    ".csv": write_csv,
    ".csv.gz": write_csv,
    ".parquet": lambda path, x: pd.DataFrame(x, columns=["a", "b"]).to_parquet(path),
    ".feather": lambda path, x: pd.DataFrame(x, columns=["a", "b"]).to_feather(path),
    ".txt": lambda path, x: np.savetxt(path, x),
}


def folder(root: Path, ending: str, lengths: dict[str, int]) -> Path:
    for name, x in rows_of(lengths).items():
        path = root / name.replace(".x", ending)
        path.parent.mkdir(parents=True, exist_ok=True)
        WRITERS[ending](path, x)
    return root


def opened(data: object, **options: object) -> Dataset:
    dataset = open_data(data, DataOptions(**options))
    assert isinstance(dataset, Dataset)
    return dataset


@pytest.mark.parametrize("ending", WRITERS)
@pytest.mark.parametrize("memory", ["auto", "stream"])
def test_each_file_is_a_recording(ending: str, memory: str, tmp_path: Path) -> None:
    data = folder(tmp_path / "f", ending, LENGTHS)
    if memory == "stream" and ending not in (".npy", ".parquet"):
        with pytest.raises(BadData, match="cannot be streamed"):
            opened(data, window=10, memory=memory)
        return
    made = opened(data, window=10, stride=5, memory=memory)
    assert isinstance(made.train, Windows)
    wanted = [x[start : start + 10] for x in rows_of(LENGTHS).values() for start in range(0, len(x) - 9, 5)]
    assert len(wanted) == 4 + 0 + 7
    np.testing.assert_array_equal(made.train.read(0, 11).values, wanted)
    np.testing.assert_array_equal(made.train.at(np.array([2, 3, 4, 9])).values, np.array(wanted)[[2, 3, 4, 9]])
    assert made.train.names_of(np.array([0, 3, 4, 10])).tolist() == [
        f"a2{ending}:0",
        f"a2{ending}:15",
        f"b{ending}:0",
        f"b{ending}:30",
    ]
    assert any(f"1 recording of fewer than 10 rows (data.window) is left out: 'a10{ending}'." in n for n in made.notes)
    assert [file.name for file in made.provenance.files] == [name.replace(".x", ending) for name in LENGTHS]
    assert made.streamed == (memory == "stream")


@pytest.mark.parametrize("ending", [".npy", ".csv", ".parquet"])
def test_the_first_folder_is_the_label(ending: str, tmp_path: Path) -> None:
    data = folder(tmp_path / "f", ending, {"sick/a.x": 20, "sick/b.x": 10, "well/deep/a.x": 20})
    made = opened(data, window=10)
    assert made.train.labels_of(np.arange(5)).tolist() == ["sick"] * 3 + ["well"] * 2
    assert made.train.names_of(np.array([4])).tolist() == [f"well/deep/a{ending}:10"]
    paths = ["sick/a", "sick/b", "well/deep/a"]
    assert [file.name for file in made.provenance.files] == [f"{path}{ending}" for path in paths]
    assert opened(data, window=10, label_level=0).train.labels_of(np.arange(5)) is None
    assert opened(data, window=10, label_level=2).train.labels_of(np.arange(5)) is None


def test_folders_of_splits_are_splits_whose_folders_are_labels(tmp_path: Path) -> None:
    lengths = {"test/x/a.x": 10, "train/x/a.x": 30, "train/y/b.x": 20, "val/y/c.x": 10}
    made = opened(folder(tmp_path / "f", ".csv", lengths), window=10)
    assert {name: len(source) for name, source in made.splits.items()} == {"train": 5, "valid": 1, "test": 1}
    assert made.train.labels_of(np.arange(5)).tolist() == ["x"] * 3 + ["y"] * 2
    assert made.test.read(0, 1).values[0, 0].tolist() == [0, 0]
    assert made.valid.read(0, 1).values[0, 0].tolist() == [60, -60]


def test_a_column_of_texts_is_the_label_although_files_hold_other_ones(tmp_path: Path) -> None:
    for name, kind in (("a", "walk"), ("b", "run"), ("c", "sit")):
        pd.DataFrame({"x": np.arange(10.0), "y": 1.0, "what": kind}).to_csv(tmp_path / f"{name}.csv", index=False)
    made = opened(tmp_path, window=10, labels="what")
    assert made.train.labels_of(np.arange(3)).tolist() == ["walk", "run", "sit"]


def test_a_time_is_the_name_after_that_of_the_file(tmp_path: Path) -> None:
    for name, first in (("a", 0.5), ("b", 100.0)):
        pd.DataFrame({"t": first + np.arange(20) / 4, "x": np.arange(20.0), "y": 2.0}).to_csv(
            tmp_path / f"{name}.csv", index=False
        )
    made = opened(tmp_path, window=8, index="t")
    assert made.train.names_of(np.arange(4)).tolist() == ["a.csv:0.5", "a.csv:2.5", "b.csv:100.0", "b.csv:102.0"]


def test_tables_without_windows_are_joined(tmp_path: Path) -> None:
    data = folder(tmp_path / "f", ".csv", LENGTHS)
    made = opened(data)
    np.testing.assert_array_equal(made.train.read(0, 75).values, np.concatenate(list(rows_of(LENGTHS).values())))
    assert made.schema is not None
    assert made.schema.features == ("a", "b")
    assert made.train.locate(26).file.endswith("a10.csv")


@pytest.mark.parametrize("ending", [".npy", ".csv"])
def test_recordings_in_an_archive_are_those_of_the_folder(ending: str, tmp_path: Path) -> None:
    data = folder(tmp_path / "f", ending, {"sick/a.x": 25, "well/b.x": 21})
    with zipfile.ZipFile(tmp_path / "f.zip", "w") as archive:
        for path in sorted(data.rglob(f"*{ending}")):
            archive.write(path, path.relative_to(data))
    packed, plain = opened(tmp_path / "f.zip", window=10).train, opened(data, window=10).train
    np.testing.assert_array_equal(packed.read(0, 4).values, plain.read(0, 4).values)
    for known in (packed.names_of, packed.labels_of):
        own = plain.names_of if known == packed.names_of else plain.labels_of
        assert known(np.arange(4)).tolist() == own(np.arange(4)).tolist()


def test_files_of_other_columns_are_refused(tmp_path: Path) -> None:
    folder(tmp_path, ".csv", {"a.x": 5})
    pd.DataFrame({"a": [1.0, 2.0], "c": [1.0, 2.0]}).to_csv(tmp_path / "b.csv", index=False)
    with pytest.raises(BadData, match=r"'b\.csv'.*column"):
        opened(tmp_path)


def test_a_folder_of_pictures_with_a_table_beside_them_is_one_of_pictures(tmp_path: Path) -> None:
    folder(tmp_path, ".csv", {"labels.x": 5})
    Image.new("L", (4, 4)).save(tmp_path / "1.png")
    assert opened(tmp_path).train.shape == (4, 4)
    folder(tmp_path / "masks", ".npy", {"a.x": 5})
    assert opened(tmp_path).train.shape == (4, 4)
    folder(tmp_path, ".npy", {"a.x": 5})
    assert opened(tmp_path).train.shape == (2,)


def test_texts_are_no_tables_unless_windows_are_cut(tmp_path: Path) -> None:
    folder(tmp_path, ".txt", {"a.x": 30})
    with pytest.raises(BadData, match="but no picture"):
        opened(tmp_path)
    folder(tmp_path, ".csv", {"a.x": 30})
    made = opened(tmp_path, window=10)
    assert len(made.train) == 3
    assert "1 other file is left out beside those of .csv." in made.notes


def pictures(root: Path, counts: dict[str, int]) -> Path:
    value = 0
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            Image.fromarray(np.full((4, 5), value, np.uint8)).save(root / name / f"{number}.png")
            value += 1
    return root


@pytest.mark.parametrize("memory", ["auto", "stream"])
def test_windows_of_numbered_pictures_are_frames_of_one_folder(memory: str, tmp_path: Path) -> None:
    made = opened(pictures(tmp_path / "f", {"one": 12, "two": 5}), window=3, stride=2, memory=memory)
    assert made.train.shape == (3, 4, 5)
    assert made.train.axes == "FHW"
    firsts = [0, 2, 4, 6, 8, 12, 14]
    np.testing.assert_array_equal(made.train.read(0, 7).values[:, :, 0, 0], np.array(firsts)[:, None] + np.arange(3))
    assert made.train.names_of(np.array([1, 6])).tolist() == ["one/2.png", "two/2.png"]
    assert made.train.labels_of(np.arange(7)).tolist() == [0] * 5 + [1] * 2
    assert made.label_names == ("one", "two")


VIDEO = np.arange(11 * 4 * 5 * 3).reshape(11, 4, 5, 3)


@pytest.mark.parametrize(
    ("data", "layout", "axes"),
    [
        (VIDEO.astype(np.float64), "auto", "FHWC"),
        (VIDEO[..., 0].astype(np.uint8), "auto", "FHW"),
        (VIDEO[..., 0].astype(np.float64), "NHW", "FHW"),
        (VIDEO.transpose(0, 3, 1, 2).astype(np.float64), "auto", "FCHW"),
        (VIDEO.astype(np.float64), "FHWC", "FHWC"),
        (VIDEO.transpose(1, 2, 3, 0).astype(np.float64), "HWCN", "FHWC"),
    ],
)
def test_an_array_of_pictures_is_a_video(data: np.ndarray, layout: str, axes: str) -> None:
    made = opened(data, window=3, stride=4, layout=layout)
    wanted = np.moveaxis(data, -1, 0) if layout == "HWCN" else data
    assert made.train.axes == axes
    np.testing.assert_array_equal(made.train.read(0, 3).values, [wanted[start : start + 3] for start in (0, 4, 8)])


@pytest.mark.parametrize("layout", ["auto", "NFHWC"])
def test_windows_of_clips_stay_inside_each(layout: str) -> None:
    clips = np.arange(2 * 5 * 4 * 4 * 3.0).reshape(2, 5, 4, 4, 3)
    made = opened(clips, window=2, layout=layout)
    assert made.train.axes == "FHWC"
    np.testing.assert_array_equal(made.train.read(0, 4).values, [clips[n, t : t + 2] for n in (0, 1) for t in (0, 2)])
    assert made.train.names_of(np.arange(4)).tolist() == ["0:0", "0:2", "1:0", "1:2"]
