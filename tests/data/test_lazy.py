"""Stored examples are the tensors that the same data makes in memory, and bad ones are found on the way."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from isthmus.data.base import Array
from isthmus.data.dataset import Dataset
from isthmus.data.preparing import prepare_dataset
from isthmus.data.samplers import stored as module
from isthmus.data.samplers.stored import StoredTensor, prefetch
from isthmus.data.sources.arrays import Examples
from isthmus.data.sources.base import Source, sampled_file
from isthmus.data.sources.joined import Joined
from isthmus.data.sources.numpy_file import NumpyFile
from isthmus.data.transforms.bad_examples import BadExamples
from isthmus.data.transforms.contract import DataContract
from isthmus.data.transforms.layout import layout_of
from isthmus.data.transforms.scaling import Scaling
from isthmus.errors import BadData
from isthmus.options import DataOptions

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (50, 5, 6, 3), dtype=np.uint8)
TABLE = RNG.normal(size=(50, 4))
PLAIN = Scaling("none", (0.0,), (1.0,))
BYTES = Scaling("auto", (0.0,), (255.0,))


def stored(
    x: Array | Source, scaling: Scaling = PLAIN, *, held: Array | None = None, policy: str = "stop"
) -> StoredTensor:
    source = Examples(x) if isinstance(x, np.ndarray) else x
    layout = layout_of(source, None)
    contract = DataContract(layout.shape, scaling)
    return StoredTensor(source, contract, BadExamples(policy, len(source)), held, layout=layout)  # type: ignore[arg-type]


def in_memory(x: Array, **settings: object) -> torch.Tensor:
    dataset = Dataset("a", Examples(x), pixels=x.dtype == np.uint8)
    return prepare_dataset(dataset, DataOptions(test=0, validation=0, **settings), 0).train.tensor


def saved(folder: Path, name: str, x: Array) -> Path:
    np.save(folder / name, x)
    return folder / name


@pytest.mark.parametrize(
    "x",
    [
        PIXELS,
        PIXELS[..., 0],
        np.moveaxis(PIXELS, -1, 1),
        TABLE,
        TABLE.astype(">f4"),
        TABLE.astype("f2"),
        PIXELS[:, 0, 0] > 99,
        PIXELS.astype("u2"),
    ],
    ids=["color", "gray", "channels first", "table", "foreign", "half", "truth", "16 bit"],
)
def test_stored_examples_are_the_bits_that_memory_holds(x: Array, tmp_path: Path) -> None:
    scaling = BYTES if x.dtype == np.uint8 else PLAIN
    here = stored(NumpyFile(saved(tmp_path, "x.npy", x)), scaling)
    expected = in_memory(x.astype(np.uint8), scale="none") if x.dtype == bool else in_memory(x)
    assert here.shape == expected.shape
    assert torch.equal(torch.cat(list(here.chunks(7))), expected)
    assert torch.equal(here[3:9], expected[3:9])
    assert all(chunk.is_contiguous() and chunk.dtype == torch.float32 for chunk in here.chunks(7))


def test_chunks_are_of_the_size_asked_for_however_much_is_read_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "READ", 10 * PIXELS[0].nbytes)
    assert [len(chunk) for chunk in stored(PIXELS).chunks(8)] == [8, 8, 8, 8, 8, 8, 2]


def test_chunks_of_large_examples_are_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK_BYTES", 3 * 4 * PIXELS[0].size)
    assert {len(chunk) for chunk in stored(PIXELS).chunks(8)} == {3, 2}


def test_held_out_rows_are_in_no_read() -> None:
    held = np.array([0, 3, 4, 49])
    here = stored(TABLE, held=held)
    left = torch.from_numpy(np.delete(TABLE, held, axis=0)).float()
    assert len(here) == 46
    assert torch.equal(torch.cat(list(here.chunks(5))), left)
    assert torch.equal(here[1:3], left[1:3])
    numbers = np.array([0, 2, 45])
    x, rows = here.select(numbers)
    assert torch.equal(x, left[numbers])
    assert rows.tolist() == [1, 5, 48]
    assert torch.equal(here.sample(46, 1).sort(0).values, left.sort(0).values)
    assert here.cuts()[0] == 0
    assert here.cuts()[-1] == 46


def test_shards_are_one_array(tmp_path: Path) -> None:
    shards = [
        NumpyFile(saved(tmp_path, f"{n}.npy", TABLE[a:b])) for n, (a, b) in enumerate([(0, 20), (20, 21), (21, 50)])
    ]
    joined = Joined("shards", shards)
    assert len(joined) == 50
    np.testing.assert_array_equal(joined.read(18, 23).values, TABLE[18:23])
    rows = np.array([0, 19, 20, 21, 49])
    np.testing.assert_array_equal(joined.at(rows).values, TABLE[rows])
    assert [joined.locate(row)[:2] for row in (19, 20, 22)] == [("0.npy", 19), ("1.npy", 0), ("2.npy", 1)]
    assert joined.cuts().tolist() == [0, 20, 21, 50]
    assert [file.name for file in joined.files()] == ["0.npy", "1.npy", "2.npy"]


def test_what_a_shard_cannot_decode_keeps_its_place_among_all() -> None:
    joined = Joined("shards", [Examples(TABLE[:5]), Examples(TABLE[5:], faults={2: "torn"})])
    assert joined.read(3, 20).faults == {4: "torn"}
    assert joined.read(8, 20).faults == {}
    assert joined.at(np.array([0, 7, 9])).faults == {1: "torn"}


def test_shards_that_differ_are_refused(tmp_path: Path) -> None:
    shards = [NumpyFile(saved(tmp_path, f"{n}.npy", x)) for n, x in enumerate([TABLE, TABLE[:, :3]])]
    with pytest.raises(BadData, match=r"'1.npy' holds examples of shape \(3,\) .* but '0.npy', the first"):
        Joined("shards", shards)


def test_a_file_laid_out_by_columns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="column by column"):
        NumpyFile(saved(tmp_path, "x.npy", np.asfortranarray(TABLE)))


def test_a_file_cut_short_meanwhile_is_told(tmp_path: Path) -> None:
    path = saved(tmp_path, "x.npy", TABLE)
    source = NumpyFile(path)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(BadData, match=r"'x.npy' ends before row 50"):
        source.read(40, 50)


def test_a_fingerprint_sees_size_and_pieces_and_says_that_it_is_sampled(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(bytes(2**20))
    first = sampled_file(path)
    assert first.sampled
    assert first.bytes == 2**20
    path.write_bytes(bytes(2**20 + 1))
    assert sampled_file(path).sha256 != first.sha256
    path.write_bytes(bytes(2**20 - 1) + b"x")
    assert sampled_file(path).sha256 != first.sha256


def spoiled() -> Array:
    x = TABLE.copy()
    x[7, 2] = np.nan
    x[33, 0] = np.inf
    return x


@pytest.mark.parametrize(
    "read", [lambda s: list(s.chunks(10)), lambda s: s.read_spans([(0, 50)], RNG), lambda s: s[:9]]
)
def test_a_bad_row_stops_with_file_row_and_column(read: Callable[[StoredTensor], object], tmp_path: Path) -> None:
    source = NumpyFile(saved(tmp_path, "x.npy", spoiled()))
    with pytest.raises(
        BadData, match=r"'x.npy', row 7 is invalid: .*NaN or infinity \(column 2\).*data\.on_bad_data=skip"
    ):
        read(stored(source))


def test_bad_rows_are_left_out_and_counted_once() -> None:
    here = stored(spoiled(), policy="skip")
    for _ in range(2):
        left = torch.cat(list(here.chunks(10)))
    assert torch.equal(left, torch.from_numpy(np.delete(TABLE, [7, 33], axis=0)).float())
    assert here.bad_examples.count == 2
    assert [(entry.row, entry.why) for entry in here.bad_examples.entries] == [
        (7, "it holds NaN or infinity (column 2)"),
        (33, "it holds NaN or infinity (column 0)"),
    ]
    assert [slab.bad for slab in here.blocks(10)] == [[7], [], [], [3], []]
    assert torch.isfinite(torch.cat(list(here.raw()))).all()


def test_bad_rows_are_found_wherever_the_look_falls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOKED_AT", 6 * 4)
    here = stored(spoiled(), policy="skip")
    assert [slab.bad for slab in here.blocks(50)] == [[7, 33]]


def test_a_bad_row_is_replaced_by_a_good_one_of_its_pool() -> None:
    here = stored(spoiled(), policy="skip")
    pool = here.read_spans([(30, 40), (5, 10)], np.random.default_rng(0))
    assert pool.shape == (15, 4)
    good = {tuple(row) for row in TABLE[[*range(30, 40), *range(5, 10)]]} - {tuple(TABLE[7]), tuple(TABLE[33])}
    assert {tuple(row) for row in pool} == good
    np.testing.assert_array_equal(pool[:3], TABLE[30:33])


def test_what_a_likelihood_refuses_is_bad() -> None:
    from isthmus.parts.likelihoods import Bernoulli

    x = RNG.random((300, 3))
    x[[120, 250], 1] = 2.0
    here = stored(x, policy="skip")
    here.add_check(Bernoulli().check)
    assert sum(map(len, here.chunks(100))) == 298
    assert [entry.row for entry in here.bad_examples.entries] == [120, 250]
    assert "spans" in here.bad_examples.entries[0].why
    with pytest.raises(BadData, match="A Bernoulli likelihood requires values"):
        stored(x * 100, policy="skip").add_check(Bernoulli().check)


def test_bytes_that_cannot_be_bad_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    from isthmus.parts.likelihoods import Bernoulli

    here = stored(PIXELS, BYTES)
    here.add_check(Bernoulli().check)
    monkeypatch.setattr(module, "find_nonfinite", None)
    assert len(torch.cat(list(here.chunks(100)))) == 50
    with pytest.raises(BadData, match="spans"):
        stored(PIXELS, PLAIN).add_check(Bernoulli().check)


def test_many_bad_rows_are_no_accident() -> None:
    x = np.ones((2000, 2))
    x[::5] = np.nan
    with pytest.raises(BadData, match=r"201 of 2,000 examples are invalid, but at most a tenth may be skipped"):
        list(stored(x, policy="skip").chunks(100))


def test_reading_ahead_keeps_order_and_passes_faults_on() -> None:
    assert list(prefetch(iter(range(5)))) == [0, 1, 2, 3, 4]

    def broken():
        yield 1
        raise BadData("here")

    items = prefetch(broken())
    assert next(items) == 1
    with pytest.raises(BadData, match="here"):
        next(items)
