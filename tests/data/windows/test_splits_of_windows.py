"""No row of a recording is in two splits, in memory or on disk, and new data keeps all its windows."""

from pathlib import Path

import numpy as np
import pytest
import torch

from isthmus.data.dataset import Dataset
from isthmus.data.description.overview import describe
from isthmus.data.opening import open_data
from isthmus.data.preparing import prepare
from isthmus.data.sources.recordings import Recordings, Sections
from isthmus.data.sources.windows import Windows
from isthmus.data.transforms import splits
from isthmus.data.windowing import divided
from isthmus.errors import BadData
from isthmus.options import DataOptions


def ramp(rows: int) -> np.ndarray:
    """Row t is (t + 1, -t - 1): what a split holds can be read off its values."""
    return (np.arange(rows)[:, None] + 1.0) * [1.0, -1.0]


def rows_of(x: torch.Tensor) -> set[int]:
    """The rows in windows (N, C, T)."""
    return set(x[:, 0].reshape(-1).long().tolist())


def all_rows(part: object) -> set[int]:
    x = part.x if isinstance(part.x, torch.Tensor) else torch.cat(list(part.x.chunks(7)))
    assert x.shape[1] == 2
    return rows_of(x)


@pytest.mark.parametrize(("rows", "length", "stride"), [(1000, 10, 3), (1000, 10, 1), (997, 40, 20), (130, 40, 7)])
@pytest.mark.parametrize("where", ["memory", "disk"])
def test_no_row_is_in_two_splits(where: str, rows: int, length: int, stride: int, tmp_path: Path) -> None:
    data: object = ramp(rows)
    if where == "disk":
        np.save(tmp_path / "r.npy", data)
        data = tmp_path / "r.npy"
    options = DataOptions(window=length, stride=stride, memory="stream" if where == "disk" else "auto")
    made = prepare(data, options, 3)
    assert made.streamed == (where == "disk")
    sets = {name: all_rows(part) for name, part in made.splits.items()}
    assert set(sets) == {"train", "valid", "test"}
    for name, own in sets.items():
        for other, its in sets.items():
            assert name == other or not own & its
    assert len(set.union(*sets.values())) > 0.6 * rows
    if rows > 900:
        shares = [len(sets[name]) / rows for name in ("train", "valid", "test")]
        assert shares[0] > 0.6
        assert min(shares[1:]) > 0.02
    assert any("blocks of time is in one split" in note for note in made.notes)
    # at most the windows over the two ends of each of the four held-out blocks are left out
    lost = (rows - length) // stride + 1 - sum(map(len, made.splits.values()))
    assert 0 < lost <= 8 * -(-length // stride)


def test_windows_that_share_no_row_are_all_kept() -> None:
    made = prepare(ramp(1000), DataOptions(window=10), 3)
    assert sum(map(len, made.splits.values())) == 100
    assert not any("blocks" in note for note in made.notes)


def test_nothing_is_left_out_where_nothing_is_held_out() -> None:
    made = prepare(ramp(100), DataOptions(window=10, stride=1, test=0, validation=0), 3)
    assert len(made.train) == 91


def test_data_that_is_opened_for_a_run_has_all_windows() -> None:
    assert len(open_data(ramp(100), DataOptions(window=10, stride=1)).train) == 91


@pytest.mark.parametrize("seed", range(3))
def test_many_recordings_are_each_in_one_split(seed: int) -> None:
    x = np.repeat(np.arange(30.0), 12).reshape(30, 12, 1) * [1.0, -1.0]
    for stride in (2, 4):
        made = prepare(x, DataOptions(window=4, stride=stride, layout="NTC"), seed)
        assert sum(map(len, made.splits.values())) == 30 * ((12 - 4) // stride + 1)
        found = [rows_of(part.tensor) for part in made.splits.values()]
        assert sum(map(len, found)) == 30
        assert [len(own) for own in found] == [24, 3, 3]


def test_a_recording_too_short_for_three_blocks_says_so() -> None:
    with pytest.raises(BadData, match=r"2 groups \(persons, objects, recordings or blocks of time\), too few for 3"):
        prepare(ramp(40), DataOptions(window=15, stride=5), 0)


def test_blocks_start_at_multiples_of_the_stride_and_are_long() -> None:
    whole = Sections.cut(1003, Recordings(np.array([0]), ["a"]), np.zeros(0, np.int64))
    blocks = whole.blocks(10, 7, 3)
    assert len(blocks) == 20
    assert blocks[0] == 0
    assert (blocks % 7 == 0).all()
    assert np.diff([*blocks, 1003]).min() >= 20
    assert [len(whole.blocks(length, 10, 3)) for length in (50, 100, 200, 400)] == [10, 5, 3, 2]


def test_blocks_are_shared_out_by_length() -> None:
    two = Sections.cut(4000, Recordings(np.array([0, 1000]), ["a", "b"]), np.zeros(0, np.int64))
    blocks = two.blocks(10, 1, 3)
    assert np.histogram(blocks, [0, 1000, 4000])[0].tolist() == [5, 15]


def test_on_disk_only_some_windows_of_a_block_are_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splits, "MOST_TEST", 5)
    monkeypatch.setattr(splits, "MOST_VALIDATION", 4)
    np.save(tmp_path / "r.npy", ramp(2000))
    made = prepare(tmp_path / "r.npy", DataOptions(window=10, stride=1, memory="stream"), 0)
    assert (len(made.test), len(made.valid)) == (5, 4)
    # two blocks of 100 rows are held out: 91 windows inside each, and those over its ends
    assert 1991 - len(made.train) in (2 * 91 + 9 * ends for ends in (2, 3, 4))
    assert not all_rows(made.train) & (all_rows(made.test) | all_rows(made.valid))
    described = splits.split_sizes(
        divided(open_data(tmp_path / "r.npy", DataOptions(window=10, stride=1, memory="stream")), DataOptions()),
        DataOptions(),
        0,
        most=10_000,
    )
    assert described == {"train": len(made.train), "valid": 4, "test": 5}


def test_the_test_set_on_disk_does_not_depend_on_the_validation_share(tmp_path: Path) -> None:
    np.save(tmp_path / "r.npy", ramp(2000))
    dataset = open_data(tmp_path / "r.npy", DataOptions(window=10, stride=1, memory="stream"))
    assert isinstance(dataset, Dataset)
    assert isinstance(dataset.train, Windows)
    blocks = dataset.train.in_blocks(3)
    drawn = [splits.held_out_on_disk(blocks, DataOptions(validation=v), 1) for v in (0.0, 0.1, 0.3)]
    assert len({tuple(own.test.tolist()) for own in drawn}) == 1


@pytest.mark.parametrize("memory", ["auto", "stream"])
def test_the_sizes_that_are_described_are_those_of_a_training(memory: str, tmp_path: Path) -> None:
    np.save(tmp_path / "r.npy", ramp(1000))
    options = DataOptions(window=20, stride=5, memory=memory)
    dataset = divided(open_data(tmp_path / "r.npy", options), options)
    sizes = splits.split_sizes(dataset, options, 4, most=10_000 if memory == "stream" else None)
    made = prepare(tmp_path / "r.npy", options, 4)
    assert sizes == {name: len(part) for name, part in made.splits.items()}
    described = describe(tmp_path / "r.npy", options, 4).content["splits"]
    assert {name: part["examples"] for name, part in described.items()} == sizes


def test_a_block_that_is_held_out_is_not_read_with_its_neighbors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "r.npy", ramp(4000))
    made = prepare(tmp_path / "r.npy", DataOptions(window=10, stride=1, memory="stream", validation=0), 1)
    x = made.train.x
    file, reads = x.source.source, []
    read = file.read
    monkeypatch.setattr(file, "read", lambda start, stop, into=None: reads.append(stop - start) or read(start, stop))
    edges = np.flatnonzero(np.diff(x.rows(np.arange(len(x)))) > 100)
    assert len(edges)
    values = x[int(edges[0]) - 4 : int(edges[0]) + 6]
    assert len(values) == 10
    assert len(rows_of(values)) > 20
    assert max(reads) < 30
