"""Batches visit every example once, in an order that the seed and the epoch decide."""

import pytest
import torch

from isthmus.training.augmentation import Augmentation
from isthmus.training.batches import Share, TensorBatches
from isthmus.training.block_shuffle import batches_of

X = torch.arange(10.0)[:, None]


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 9, 10])
@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_every_example_is_seen_once_in_an_epoch(n: int, size: int) -> None:
    batches = TensorBatches(X[:n], size, seed=3)
    drawn = list(batches.epoch(0))
    assert len(drawn) == len(batches)
    assert torch.equal(torch.cat(drawn).sort(0).values, X[:n])


def test_a_last_batch_of_one_joins_its_neighbor() -> None:
    assert [len(b) for b in TensorBatches(X, 3, seed=0).epoch(0)] == [3, 3, 4]
    assert [len(b) for b in TensorBatches(X, 4, seed=0).epoch(0)] == [4, 4, 2]
    assert [len(b) for b in TensorBatches(X[:1], 4, seed=0).epoch(0)] == [1]


def test_the_order_changes_with_epoch_and_seed_and_repeats_otherwise() -> None:
    def order(seed: int, epoch: int) -> list[float]:
        return torch.cat(list(TensorBatches(X, 3, seed=seed).epoch(epoch))).flatten().tolist()

    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1)
    assert order(0, 0) != order(1, 0)


def test_dynamic_draws_are_binary_fresh_and_have_the_right_mean() -> None:
    gray = torch.full((2000, 1), 0.3)
    batches = TensorBatches(gray, 500, seed=0, dynamic=True)
    first, second = (torch.cat(list(batches.epoch(number))) for number in (0, 1))
    assert set(first.unique().tolist()) == {0.0, 1.0}
    assert not torch.equal(first, second)
    # five standard errors of a mean of 2,000 Bernoulli(0.3) draws
    assert abs(first.mean().item() - 0.3) < 5 * (0.21 / 2000) ** 0.5
    assert torch.equal(gray, torch.full((2000, 1), 0.3))


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("start", [0, 1, 2, 3])
def test_an_epoch_can_be_entered_at_any_batch(start: int, dynamic: bool) -> None:
    batches = TensorBatches(X / 10, 3, seed=5, dynamic=dynamic)
    whole = list(batches.epoch(2))
    entered = list(batches.epoch(2, start))
    assert len(entered) == len(whole) - start
    assert all(torch.equal(a, b) for a, b in zip(whole[start:], entered, strict=True))


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("n", [7, 9, 10])
def test_processes_deal_out_each_batch_and_none_is_left_with_a_single_example(n: int, world: int) -> None:
    alone = TensorBatches(X[:n], 6, seed=1)
    shares = [TensorBatches(X[:n], 6, seed=1, share=Share(rank, world)) for rank in range(world)]
    assert len({len(share) for share in shares}) == 1
    dealt = list(zip(*(share.epoch(0) for share in shares), strict=True))
    assert min(len(part) for parts in dealt for part in parts) >= min(2, n // world)
    assert torch.equal(torch.cat([torch.cat(parts) for parts in dealt]).sort(0).values, X[:n])
    if len(shares[0]) == len(alone):
        for whole, parts in zip(alone.epoch(0), dealt, strict=True):
            assert torch.equal(torch.cat(parts).sort(0).values, whole.sort(0).values)


def test_images_are_moved_by_whole_pixels_at_every_read_and_nothing_comes_in() -> None:
    # a single lit pixel in the middle tells where its image went
    x = torch.zeros(500, 1, 7, 7)
    x[:, :, 3, 3] = 1 + torch.arange(500.0)[:, None]
    batches_found = batches_of(x, 100, seed=0, augment=Augmentation(shift=2))
    first, second = (torch.cat(list(batches_found.epoch(n))) for n in (0, 1))
    assert torch.equal(first.flatten(1).amax(1).sort().values, 1 + torch.arange(500.0))
    assert bool((first.flatten(1).count_nonzero(1) == 1).all())
    places = (first > 0).nonzero()[:, 2:]
    counts = torch.bincount((places[:, 0] - 1) * 5 + places[:, 1] - 1, minlength=25)
    # 25 places, 20 images each on average: none is empty (chance 25 e^-20) and none is full
    assert len(counts) == 25
    assert counts.min() > 0
    assert not torch.equal(places, (second > 0).nonzero()[:, 2:])
    assert torch.equal(torch.cat(list(batches_found.epoch(1, 2))), second[200:])
