"""Lists of recordings of different lengths, and new recordings whose axes follow from the run."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import isthmus as it
from isthmus.data.dataset import Dataset
from isthmus.data.description.looking import kind_of_source
from isthmus.data.opening import open_data
from isthmus.data.preparing import prepare
from isthmus.errors import BadData, ShapeError
from isthmus.options import DataOptions
from isthmus.runs.run import Run

ROWS = np.arange(75)[:, None] * [1.0, -1.0]
PARTS = [ROWS[:25], ROWS[25:32], ROWS[32:]]
WANTED = [0, 10, 32, 42, 52, 62]
"""First rows of the windows of ten rows; the second recording is too short."""
TIMES = pd.date_range("2024-05-01", periods=75, freq="min")


def opened(data: object, labels: object = None, **options: object) -> Dataset:
    dataset = open_data(data, DataOptions.model_validate(options), labels=labels)
    assert isinstance(dataset, Dataset)
    return dataset


FORMS: dict[str, Any] = {
    "arrays": (PARTS, {}),
    "tensors": (list(map(torch.from_numpy, PARTS)), {}),
    "several types": ([PARTS[0].astype(np.float32), PARTS[1].astype(np.int64), PARTS[2]], {}),
    "channels first": ([part.T for part in PARTS], {"layout": "CT"}),
    "named axes": (PARTS, {"layout": "NTC"}),
    "tables": ([pd.DataFrame(part, columns=["a", "b"]) for part in PARTS], {}),
    "columns in another order": (
        [pd.DataFrame(part, columns=["a", "b"])[list(o)] for part, o in zip(PARTS, ("ab", "ba", "ba"), strict=True)],
        {},
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_each_entry_of_a_list_is_a_recording(form: str) -> None:
    data, options = FORMS[form]
    dataset = opened(data, window=10, **options)
    values = dataset.train.read(0, len(dataset.train)).values
    np.testing.assert_array_equal(values, np.stack([ROWS[first : first + 10] for first in WANTED]))
    names = dataset.train.names_of(np.arange(len(dataset.train)))
    assert names is not None
    assert names.tolist() == ["0:0", "0:10", "2:0", "2:10", "2:20", "2:30"]
    assert [note for note in dataset.notes if "1 recording of fewer than 10 rows" in note]


def test_traces_of_different_lengths_have_one_channel() -> None:
    dataset = opened([part[:, 0] for part in PARTS], window=10)
    assert dataset.train.shape == (10, 1)
    assert dataset.train.read(0, 6).values[:, 0, 0].tolist() == WANTED
    # those of one length may be the rows of one recording
    assert len(opened([np.arange(3.0)] * 20, window=10).train) == 2


def test_videos_of_different_lengths_are_frames() -> None:
    videos = [np.arange(n * 6.0).reshape(n, 2, 3) for n in (5, 4)]
    dataset = opened(videos, window=2)
    assert (dataset.train.shape, dataset.train.axes) == ((2, 2, 3), "FHW")
    assert len(dataset.train) == 4


@pytest.mark.parametrize("unit", ["ns", "us", "s"])
def test_times_of_tables_name_the_windows(unit: str) -> None:
    frame = pd.DataFrame(ROWS, columns=["a", "b"], index=TIMES.as_unit(unit))
    dataset = opened([frame[:25], frame[25:32], frame[32:]], window=10)
    names = dataset.train.names_of(np.arange(6))
    assert names is not None
    assert [pd.Timestamp(name.partition(":")[2]) for name in names] == [TIMES[first] for first in WANTED]


def test_each_recording_has_a_label() -> None:
    made = prepare(PARTS, DataOptions(window=10, test=0, validation=0), 0, labels=["rest", "rest", "walk"])
    assert made.label_names == ("rest", "walk")
    assert made.train.labels is not None
    assert made.train.labels.tolist() == [0, 0, 1, 1, 1, 1]
    with pytest.raises(BadData, match="3 recordings takes one label per recording"):
        opened(PARTS, labels=[0, 1], window=10)


def test_without_windows_lists_of_different_shapes_are_refused_with_the_remedy() -> None:
    with pytest.raises(BadData, match=r"3 shapes, such as \(7, 2\) and \(25, 2\)\. .* set data.window"):
        opened(PARTS)
    with pytest.raises(BadData, match=r"has shape \(75,\)\. Pass one row per example, or set data.window"):
        opened(ROWS[:, 0])
    with pytest.raises(BadData, match="'recording 1' holds examples of shape"):
        opened([ROWS, ROWS[:, :1]], window=10)
    with pytest.raises(BadData, match=r"shape \(25, 2\), but data.layout=NTHW says THW of each"):
        opened(PARTS, window=10, layout="NTHW")


@pytest.fixture(scope="module")
def run() -> Run:
    return it.fit("pca", PARTS, options={"data.window": 10, "latent.size": 2, "data.scale": "standard"})


CUT = np.stack([ROWS[first : first + 10] for first in WANTED])


@pytest.mark.parametrize(
    "data", [PARTS, CUT, np.moveaxis(CUT, -1, 1), list(CUT)], ids=["list", "(N, T, C)", "(N, C, T)", "list of windows"]
)
def test_new_recordings_may_be_cut_already_as_their_shape_is_known(run: Run, data: Any) -> None:
    wanted = run.encode(ROWS[:20])
    found = run.encode(data)
    assert len(found) == 6
    np.testing.assert_allclose(found[:2], wanted, atol=1e-6)


def test_new_recordings_with_channels_first_are_turned(run: Run) -> None:
    np.testing.assert_allclose(run.encode(ROWS.T), run.encode(ROWS), atol=1e-6)


def test_new_recordings_that_do_not_fit_are_refused_by_their_shape(run: Run) -> None:
    with pytest.raises(ShapeError, match=r"shape \(10, 3\), but the model was trained on examples of shape \(2, 10\)"):
        run.encode(np.zeros((6, 10, 3)))
    with pytest.raises(BadData, match=r"the longest recording has 9\. Pass longer recordings"):
        run.encode(ROWS[:9])


def test_clips_are_windows_of_a_model_of_frames() -> None:
    video = np.random.default_rng(0).random((40, 6, 7))
    run = it.fit("pca", video, options={"data.window": 5, "data.layout": "NHW", "latent.size": 2})
    clips = video.reshape(8, 5, 6, 7)
    np.testing.assert_allclose(run.encode(clips), run.encode(video), atol=1e-6)
    np.testing.assert_allclose(run.encode(clips[..., None]), run.encode(video), atol=1e-6)


def test_a_folder_of_recordings_is_called_a_folder_of_files(tmp_path: Any) -> None:
    for number, part in enumerate(PARTS):
        np.save(tmp_path / f"{number}.npy", part)
    assert kind_of_source(tmp_path, opened(tmp_path, window=10), named=False) == "folder of files"
