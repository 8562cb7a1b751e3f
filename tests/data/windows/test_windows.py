"""Windows of consecutive rows: which rows they hold, from any source; their names, labels, faults and cuts."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from isthmus.data.dataset import Dataset
from isthmus.data.opening import open_data
from isthmus.data.samplers.streams import Stream
from isthmus.data.sources.arrays import Examples
from isthmus.data.sources.base import RawChunk, Source
from isthmus.data.sources.numpy_file import NumpyFile
from isthmus.data.sources.windows import Windows
from isthmus.errors import BadData, BadOption
from isthmus.options import DataOptions

RAMP = np.arange(100.0)[:, None] * [1.0, 10.0]
"""Row t is (t, 10 t), so the rows of a window can be read off its values."""


def opened(data: object, length: int = 7, stride: int | None = None, **more: object) -> Windows:
    dataset = open_data(data, DataOptions(window=length, stride=stride, **more))
    assert isinstance(dataset, Dataset)
    assert isinstance(dataset.train, Windows)
    return dataset.train


def expected(rows: np.ndarray, length: int, stride: int) -> np.ndarray:
    return np.array([rows[start : start + length] for start in range(0, len(rows) - length + 1, stride)])


@pytest.mark.parametrize(("length", "stride"), [(7, 1), (7, 3), (7, 7), (7, 20), (100, 1), (2, 1)])
@pytest.mark.parametrize("kind", ["array", "npy", "parquet"])
def test_window_k_holds_the_rows_from_k_times_the_stride(kind: str, length: int, stride: int, tmp_path: Path) -> None:
    made: dict[str, object] = {"array": RAMP, "npy": tmp_path / "r.npy", "parquet": tmp_path / "r.parquet"}
    np.save(tmp_path / "r.npy", RAMP)
    pd.DataFrame(RAMP, columns=["a", "b"]).to_parquet(tmp_path / "r.parquet", row_group_size=13)
    source = opened(made[kind], length, stride, memory="auto" if kind == "array" else "stream")
    wanted = expected(RAMP, length, stride)
    assert (len(source), source.shape, source.axes) == (len(wanted), (length, 2), "TC")
    np.testing.assert_array_equal(source.read(0, len(source)).values, wanted)
    into = np.empty_like(wanted[1:3])
    source.read(1, 1 + len(into), into)
    np.testing.assert_array_equal(into, wanted[1:3])
    some = np.arange(0, len(wanted), 3)
    np.testing.assert_array_equal(source.at(some).values, wanted[some])
    for start, chunk in source.pieces(3 * length * 2):
        np.testing.assert_array_equal(chunk.values, wanted[start : start + len(chunk.values)])
    cuts = source.cuts()
    assert (cuts[0], cuts[-1]) == (0, len(source))
    assert (np.diff(cuts) > 0).all()
    np.testing.assert_array_equal(source.names_of(some), stride * some)
    assert source.locate(len(source) - 1).row == stride * (len(source) - 1)


def test_the_stride_is_a_window_by_default() -> None:
    assert opened(RAMP, 9).starts(np.arange(11)).tolist() == list(range(0, 99, 9))


class Counted(Source):
    """Rows of a file that is read by blocks, and how often each was read."""

    name, shape, dtype, scattered = "counted", (2,), RAMP.dtype, False

    def __init__(self) -> None:
        self.reads = np.zeros(len(RAMP), int)

    def __len__(self) -> int:
        return len(RAMP)

    def read(self, start: int, stop: int, into: np.ndarray | None = None) -> RawChunk:
        self.reads[start:stop] += 1
        return RawChunk(RAMP[start:stop])

    def cuts(self) -> np.ndarray:
        return np.arange(0, 101, 20)


def test_windows_in_order_read_each_row_of_a_file_once() -> None:
    rows = Counted()
    windows = opened_source(rows, 10, 2)
    values = np.concatenate([chunk.values for _, chunk in windows.pieces(3 * 20)])
    np.testing.assert_array_equal(values, expected(RAMP, 10, 2))
    assert rows.reads.tolist() == [1] * 100
    # a window belongs to the block that its first row is in
    assert windows.cuts().tolist() == [0, 10, 20, 30, 40, 46]


def opened_source(source: Source, length: int, stride: int) -> Windows:
    from isthmus.data.windowing import windowed

    made = windowed(Dataset("d", source, streamed=True), DataOptions(window=length, stride=stride))
    assert isinstance(made, Dataset)
    assert isinstance(made.train, Windows)
    return made.train


def test_rows_between_distant_windows_are_not_read() -> None:
    rows = Counted()
    opened_source(rows, 3, 50).read(0, 2)
    assert np.flatnonzero(rows.reads).tolist() == [0, 1, 2, 50, 51, 52]


@pytest.mark.parametrize("stride", [1, 2, 3, 5, 9])
def test_a_row_that_cannot_be_decoded_makes_its_windows_invalid(stride: int) -> None:
    bad = {4: "torn", 17: "burnt"}
    rows = Examples(RAMP[:30], faults=bad)
    windows = opened_source(rows, 5, stride)
    wanted = {
        k: next(why for row, why in bad.items() if k * stride <= row < k * stride + 5)
        for k in range(len(windows))
        if any(k * stride <= row < k * stride + 5 for row in bad)
    }
    assert wanted
    assert dict(windows.read(0, len(windows)).faults) == wanted
    assert dict(windows.at(np.arange(len(windows))).faults) == wanted
    own = {k - 1: why for k, why in wanted.items() if k >= 1}
    assert dict(windows.read(1, len(windows)).faults) == own


@pytest.mark.parametrize("labels", [np.repeat([3, 1, 2], [10, 3, 17]), np.repeat(["b", "a"], 15)])
def test_the_label_is_the_most_frequent_of_the_rows(labels: np.ndarray) -> None:
    windows = opened_source(Examples(RAMP[:30], labels), 5, 2)
    wanted = []
    for start in range(0, 26, 2):
        kinds, counts = np.unique(labels[start : start + 5], return_counts=True)
        wanted.append(kinds[counts.argmax()])
    assert windows.labels_of(np.arange(len(windows))).tolist() == wanted
    assert windows.labels_of(np.array([7, 2])).tolist() == [wanted[7], wanted[2]]


def test_labels_that_are_passed_are_those_of_rows() -> None:
    dataset = open_data(RAMP, DataOptions(window=10), labels=np.repeat([0, 1], [55, 45]))
    assert dataset.train.labels_of(np.arange(10)).tolist() == [0] * 5 + [0] + [1] * 4


def test_pairs_have_windows_of_both() -> None:
    windows = opened((RAMP + 1, RAMP), 10, 5)
    np.testing.assert_array_equal(windows.inputs().read(2, 4).values, windows.read(2, 4).values + 1)


@pytest.mark.parametrize(
    "data", [RAMP[:, 0], list(RAMP[:, :1]), pd.Series(RAMP[:, 0]), (RAMP[:, 0], np.zeros(100, int))]
)
def test_single_numbers_are_a_recording_of_one_channel(data: object) -> None:
    windows = opened(data, 10)
    assert windows.shape == (10, 1)
    np.testing.assert_array_equal(windows.read(3, 4).values[0, :, 0], np.arange(30, 40))


def test_an_npy_file_of_single_numbers_is_a_recording_of_one_channel(tmp_path: Path) -> None:
    np.save(tmp_path / "r.npy", RAMP[:, 0])
    for memory in ("whole", "stream"):
        windows = opened(tmp_path / "r.npy", 10, memory=memory)
        np.testing.assert_array_equal(windows.read(3, 4).values[0, :, 0], np.arange(30, 40))


SEQUENCES = np.arange(3 * 20.0)[:, None].reshape(3, 20, 1) * [1.0, 10.0]
"""Three recordings of 20 steps; step t of recording n is (20 n + t, 10 (20 n + t))."""


@pytest.mark.parametrize("layout", ["NTC", "NCT"])
@pytest.mark.parametrize("streamed", [False, True])
def test_recordings_of_one_array_are_cut_along_time(layout: str, streamed: bool, tmp_path: Path) -> None:
    data: object = SEQUENCES if layout == "NTC" else np.ascontiguousarray(SEQUENCES.transpose(0, 2, 1))
    if streamed:
        np.save(tmp_path / "s.npy", data)
        data = tmp_path / "s.npy"
    windows = opened(data, 8, 4, layout=layout, memory="stream" if streamed else "auto")
    wanted = np.concatenate([expected(recording, 8, 4) for recording in SEQUENCES])
    np.testing.assert_array_equal(windows.read(0, len(windows)).values, wanted)
    np.testing.assert_array_equal(windows.at(np.array([1, 5, 11])).values, wanted[[1, 5, 11]])
    assert windows.names_of(np.array([0, 1, 4, 11])).tolist() == ["0:0", "0:4", "1:0", "2:12"]


def test_traces_are_recordings_of_one_channel() -> None:
    windows = opened(SEQUENCES[:, :, 0], 8, layout="NT")
    assert windows.read(0, 6).values[:, 0, 0].tolist() == [0, 8, 20, 28, 40, 48]


def test_a_recording_for_a_model_of_recordings_is_one() -> None:
    np.testing.assert_array_equal(opened(SEQUENCES[1], 8, layout="NTC").read(0, 2).values, expected(SEQUENCES[1], 8, 8))


def test_channels_first_are_turned() -> None:
    windows = opened(RAMP.T, 10, layout="CT")
    np.testing.assert_array_equal(windows.read(0, 10).values, expected(RAMP, 10, 10))


def test_an_array_of_three_axes_says_what_it_is_first() -> None:
    with pytest.raises(BadData, match=r"shape \(3, 20, 2\). Set data\.layout=NTC if .* 3 recordings of 20 time steps"):
        opened(SEQUENCES)


@pytest.mark.parametrize(
    ("data", "options", "match"),
    [
        (RAMP, {"length": 101}, r"No 101 rows of the array follow each other .* has 100\. Pass longer recordings"),
        (np.zeros((3, 101)), {"length": 101}, r"has 3\. Set data.layout=CT if its 101 columns are the time steps\."),
        (Stream([RAMP], population=9), {}, "a stream does not say where they start"),
        (SEQUENCES, {"layout": "NTHWC"}, r"shape \(3, 20, 2\), but data\.layout=NTHWC has 5 letters"),
        (RAMP, {"layout": "HW"}, r"data\.layout=HW names no axis of time"),
        (np.zeros((4, 3, 2, 2, 2, 2)), {}, "6 axes"),
    ],
)
def test_what_cannot_be_cut_is_refused(data: object, options: dict, match: str) -> None:
    with pytest.raises(BadData, match=match):
        opened(data, **options)


def test_a_stride_without_a_window_is_refused() -> None:
    with pytest.raises(BadOption, match=r"Set data\.window"):
        open_data(RAMP, DataOptions(stride=3))


def test_rows_that_are_left_out_are_noted() -> None:
    assert open_data(RAMP, DataOptions(window=30)).notes == (
        "10 rows after the last complete window of a recording are left out.",
    )
    assert open_data(RAMP, DataOptions(window=25)).notes == ()


def test_a_file_on_disk_is_read_by_position(tmp_path: Path) -> None:
    np.save(tmp_path / "r.npy", RAMP)
    assert isinstance(opened(tmp_path / "r.npy", memory="stream").source, NumpyFile)
