"""Batches from the disk: every example once an epoch, the same from any start, shuffled as well as is stated."""

from pathlib import Path

import numpy as np
import pytest
import torch

from isthmus.data.samplers.stored import StoredTensor
from isthmus.data.sources import base
from isthmus.data.sources.arrays import Examples
from isthmus.data.transforms.bad_examples import BadExamples
from isthmus.data.transforms.contract import DataContract
from isthmus.data.transforms.scaling import Scaling
from isthmus.training.batches import Share, TensorBatches
from isthmus.training.block_shuffle import StoredBatches

N = 1003


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    # blocks of 8 examples of two doubles
    monkeypatch.setattr(base, "BLOCK", 8 * 16)


def stored(n: int = N, held: list[int] | None = None, policy: str = "stop", bad: tuple[int, ...] = ()) -> StoredTensor:
    x = np.arange(n, dtype=np.float64)[:, None].repeat(2, axis=1)
    x[list(bad)] = np.nan
    bad_examples = BadExamples(policy, n)  # type: ignore[arg-type]
    excluded = np.array(held or [], dtype=np.int64)
    return StoredTensor(Examples(x), DataContract((2,)), bad_examples, excluded)


def numbers(batches: list[torch.Tensor]) -> list[int]:
    return torch.cat(batches)[:, 0].int().tolist()


def test_every_example_comes_once_an_epoch_in_another_order() -> None:
    made = StoredBatches(stored(held=[0, 500, 1002]), 32, seed=0, pool=16 * 200)
    first, second = (numbers(list(made.epoch(number))) for number in (0, 1))
    assert sorted(first) == sorted(second) == [n for n in range(N) if n not in (0, 500, 1002)]
    assert first != second
    assert first == numbers(list(made.epoch(0)))
    assert first != numbers(list(StoredBatches(stored(held=[0, 500, 1002]), 32, seed=1, pool=16 * 200).epoch(0)))


def test_blocks_meet_other_blocks_in_another_epoch() -> None:
    made = StoredBatches(stored(), 32, seed=0, pool=16 * 200)
    first, second = ({n // 8 for n in numbers([next(iter(made.epoch(number)))])} for number in (0, 1))
    # 25 of 126 blocks are in a pool, and a batch of 32 sees most of those
    assert len(first & second) < len(first) / 2


@pytest.mark.parametrize(
    ("n", "size", "world"), [(97, 32, 1), (96, 32, 1), (5, 32, 1), (67, 16, 3), (10, 4, 2), (33, 16, 2)]
)
def test_batches_are_as_many_and_as_large_as_those_of_memory(n: int, size: int, world: int) -> None:
    for rank in range(world):
        here = StoredBatches(stored(n), size, seed=0, share=Share(rank, world), pool=16 * 20)
        memory = TensorBatches(torch.zeros(n, 2), size, seed=0, share=Share(rank, world))
        assert [len(b) for b in here.epoch(0)] == [len(b) for b in memory.epoch(0)]
        assert [here.count(n) for n in range(len(here))] == [memory.count(n) for n in range(len(memory))]
        assert (len(here), here.population, here.smallest) == (len(memory), memory.population, memory.smallest)


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("start", [0, 1, 6, 7, 30, 31])
def test_an_epoch_can_be_entered_at_any_batch(start: int, dynamic: bool) -> None:
    x = stored()
    x.scaling = Scaling("minmax", (0.0,), (float(N),))
    made = StoredBatches(x, 32, seed=3, dynamic=dynamic, pool=16 * 200)
    whole, entered = list(made.epoch(2)), list(made.epoch(2, start))
    assert len(entered) == len(whole) - start
    assert all(torch.equal(a, b) for a, b in zip(whole[start:], entered, strict=True))
    if dynamic:
        assert set(torch.cat(whole).unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("world", [2, 3])
def test_processes_share_the_examples_and_read_only_their_own_blocks(world: int) -> None:
    parts = [
        list(StoredBatches(stored(), 32, seed=0, share=Share(r, world), pool=16 * 100).epoch(1)) for r in range(world)
    ]
    assert sorted(n for part in parts for n in numbers(part)) == list(range(N))
    assert len({len(part) for part in parts}) == 1
    blocks = [{n // 8 for n in numbers(part)} for part in parts]
    shared = sum(len(a & b) for i, a in enumerate(blocks) for b in blocks[i + 1 :])
    assert shared <= world - 1


def test_a_bad_example_leaves_the_batches_as_they_are() -> None:
    bad = (11, 400, 401)
    good = StoredBatches(stored(), 32, seed=0, pool=16 * 200)
    here = StoredBatches(stored(policy="skip", bad=bad), 32, seed=0, pool=16 * 200)
    for _ in range(2):
        batches = list(here.epoch(0))
    assert [len(b) for b in batches] == [len(b) for b in good.epoch(0)]
    mixed = zip(numbers(batches), numbers(list(good.epoch(0))), strict=True)
    assert {b for a, b in mixed if a != b} == set(bad)
    assert (here.x.bad_examples.count, sorted(e.row for e in here.x.bad_examples.entries)) == (3, list(bad))


def test_draws_differ_from_batch_to_batch_and_from_epoch_to_epoch() -> None:
    source = Examples(np.full((64, 50), 0.5))
    x = StoredTensor(source, DataContract((50,)), BadExamples("stop", 64))
    first, second = StoredBatches(x, 32, seed=0, dynamic=True).epoch(0)
    third, _ = StoredBatches(x, 32, seed=0, dynamic=True).epoch(1)
    assert not torch.equal(first, second)
    assert not torch.equal(first, third)


def spread(pool_blocks: int, batch: int) -> float:
    """Variance of the mean position of a batch of a sorted file, as a share of what a full shuffle gives."""
    n = 8 * 1024
    made = StoredBatches(stored(n), batch, seed=0, pool=16 * 8 * pool_blocks)
    means = [b[:, 0].mean().item() / n for epoch in range(12) for b in made.epoch(epoch)]
    full = (1 / 12) / batch * (n - batch) / (n - 1)
    return float(np.mean((np.array(means) - 0.5) ** 2)) / full


@pytest.mark.parametrize(("blocks", "batch"), [(32, 32), (32, 128), (128, 32), (1024, 32)])
def test_the_quality_of_the_shuffle_is_as_stated(blocks: int, batch: int) -> None:
    # pools are drawn without repetition too, which makes them better than stated where they are much of the data
    stated = 1 + (batch - 1) / blocks * (1024 - blocks) / 1023
    assert spread(blocks, batch) == pytest.approx(stated, rel=0.25)


def test_classes_of_a_sorted_file_are_mixed(tmp_path: Path) -> None:
    made = StoredBatches(stored(8 * 1024), 64, seed=0, pool=16 * 8 * 128)
    present = [len((b[:, 0] // 819.2).unique()) for b in made.epoch(0)]
    assert min(present) >= 9
