"""Time: windows span neither a gap nor a restart, are called by their time, and irregular steps are noted."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from isthmus.data.opening import open_data
from isthmus.data.transforms.times import as_times, breaks_in
from isthmus.errors import BadData
from isthmus.options import DataOptions

START = np.zeros(1, np.int64)


def frame(times: object, rows: int) -> pd.DataFrame:
    return pd.DataFrame({"time": times, "a": np.arange(rows) * 1.5, "b": np.arange(rows) * -2.5})


def opened(data: object, length: int, **more: object):
    return open_data(data, DataOptions(window=length, **({"index": "time"} | more)))


@pytest.mark.parametrize(
    "times",
    [
        pd.date_range("2024-01-01", periods=40, freq="h"),
        pd.date_range("2024-01-01", periods=40, freq="h").strftime("%Y-%m-%d %H:%M"),
        np.arange(40) * 0.25,
        np.arange(40) + 1000,
    ],
    ids=["dates", "texts", "seconds", "counts"],
)
@pytest.mark.parametrize("kind", ["frame", "csv", "parquet", "parquet, streamed"])
def test_windows_are_called_by_the_time_of_their_start(times: object, kind: str, tmp_path: Path) -> None:
    table = frame(times, 40)
    data: object = table
    if kind != "frame":
        data = tmp_path / f"r.{kind[:7]}"
        (table.to_csv if kind == "csv" else table.to_parquet)(data, index=False)
    made = opened(data, 8, stride=4, memory="stream" if "streamed" in kind else "auto")
    assert made.train.row_title == "time"
    own = as_times(np.asarray(made.train.names_of(np.arange(9))))
    np.testing.assert_array_equal(own, as_times(np.asarray(times))[np.arange(9) * 4])
    np.testing.assert_array_equal(made.train.read(2, 3).values[0, :, 0], np.arange(8, 16) * 1.5)
    assert not [note for note in made.notes if "time" in note and "window" in note]


def test_no_window_spans_a_gap() -> None:
    times = np.arange(60.0)
    times[25:] += 3
    made = opened(frame(times, 60), 10)
    assert made.train.names_of(np.arange(5)).tolist() == [0.0, 10.0, 28.0, 38.0, 48.0]
    assert made.train.starts(np.arange(len(made.train))).tolist() == [0, 10, 25, 35, 45]
    assert any("'time' has 1 gap of more than 1.5 times" in note for note in made.notes)


def test_a_time_that_starts_again_is_another_recording() -> None:
    made = opened(frame(np.concatenate([np.arange(25), np.arange(20), np.arange(3), np.arange(15)]), 63), 10)
    names = made.train.names_of(np.arange(len(made.train))).tolist()
    assert names == ["0:0", "0:10", "1:0", "1:10", "3:0"]
    assert made.train.row_title == "start"
    assert any("goes back 3 times, and a recording starts at each" in note for note in made.notes)
    assert any("1 recording of fewer than 10 rows (data.window) is left out: '2'." in note for note in made.notes)


def test_a_calendar_without_weekends_is_irregular_but_whole() -> None:
    made = opened(frame(pd.bdate_range("2024-01-01", periods=60), 60), 20)
    assert len(made.train) == 3
    assert any("equal numbers of rows, not equal durations" in note for note in made.notes)


def test_newest_first_is_time_backward() -> None:
    times = np.arange(60.0)[::-1].copy()
    times[30:] -= 5
    newest = frame(times, 60)
    made, forward = opened(newest, 10), opened(newest[::-1], 10)
    np.testing.assert_array_equal(made.train.read(0, 6).values, forward.train.read(0, 6).values)
    assert made.train.names_of(np.arange(6)).tolist() == [-5, 5, 15, 30, 40, 50]
    assert any("1 gap" in note for note in made.notes)
    assert any("begins with the newest" in note for note in made.notes)
    assert made.train.locate(0).row == 59
    kept = open_data(newest, DataOptions(window=10, index="none"))
    assert kept.train.read(0, 1).values[0, :, 0].tolist() == times[:10].tolist()


def test_numbers_in_no_order_are_no_time() -> None:
    made = opened(frame(np.random.default_rng(0).permutation(60), 60), 10)
    assert len(made.train) == 6
    assert any("'time' is not in order" in note for note in made.notes)


def test_gaps_that_leave_nothing_are_named() -> None:
    times = np.arange(90.0) + 10 * (np.arange(90) // 30)
    with pytest.raises(BadData, match=r"longest recording has 30 \(The index 'time' has 2 gaps .*data.index=none"):
        opened(frame(times, 90), 40)
    assert len(opened(frame(times, 90), 40, index="none", exclude=("time",)).train) == 2


def test_jitter_is_no_gap() -> None:
    rng = np.random.default_rng(0)
    assert not breaks_in(np.arange(500) + rng.uniform(-0.2, 0.2, 500), "t", START).notes


@pytest.mark.parametrize("names", [np.array(["ann", "bob", "cyd", "dan"]), np.array([0.0, np.nan, 2.0, 3.0])])
def test_names_are_no_time(names: np.ndarray) -> None:
    assert as_times(names) is None
    assert not breaks_in(names, "who", START).notes


def test_steps_between_recordings_do_not_count() -> None:
    found = breaks_in(np.array([0, 1, 2, 3, 0, 1, 2, 3]), "t", np.array([0, 4]))
    assert not len(found.restarts)
    assert not found.notes


@pytest.mark.parametrize("name", ["Zeit [s]", "time", "t", "Time (s)", "timestamp_ms", "id"])
def test_a_column_that_increases_like_a_time_is_the_time_of_windows(name: str) -> None:
    table = frame(np.concatenate([np.arange(30) / 8, np.arange(12) / 8]), 42).rename(columns={"time": name})
    made = opened(table, 10, index="auto")
    assert made.schema.index == name
    assert made.train.names_of(np.array([1, 3])).tolist() == ["0:1.25", "1:0.0"]
    assert any("increases like a time" in note for note in made.notes)
    assert open_data(table, DataOptions()).schema.index is None
    assert opened(table, 10, index="none").train.shape == (10, 3)


@pytest.mark.parametrize("name", ["time", "price"])
def test_other_columns_stay_in_x(name: str) -> None:
    values = np.arange(30) % 3 if name == "time" else np.arange(30)
    assert opened(frame(values, 30).rename(columns={"time": name}), 10, index="auto").schema.index is None


def test_days_that_repeat_are_in_order_but_show_no_gaps() -> None:
    days = np.repeat(["2024-01-01", "2024-01-02"], 50)
    found = breaks_in(days, "day", START)
    assert not len(found.restarts)
    assert not len(found.gaps)
    assert found.notes == ("The index 'day' is often the same in neighboring rows, so gaps in time are not known.",)


@pytest.mark.parametrize("memory", ["whole", "stream"])
def test_each_recording_that_begins_with_the_newest_is_turned(memory: str, tmp_path: Path) -> None:
    for number in range(2):
        table = frame(pd.date_range("2024-01-01", periods=20, freq="h"), 20)
        table["kind"] = np.repeat([0, 1], 10)
        table["a"] += 100 * number
        table[::-1].to_parquet(tmp_path / f"{number}.parquet", index=False)
    made = opened(tmp_path, 10, memory=memory, labels="kind")
    assert made.train.read(0, 4).values[:, :2, 0].tolist() == [[0, 1.5], [15, 16.5], [100, 101.5], [115, 116.5]]
    assert made.train.labels_of(np.arange(4)).tolist() == [0, 1, 0, 1]
    assert [str(name)[:22] for name in made.train.names_of(np.array([0, 3]))] == [
        "0.parquet:2024-01-01 0",
        "1.parquet:2024-01-01 1",
    ]
