"""Streams of pieces: the head tells what the data is, training takes what follows, in batches that are shuffled."""

from collections.abc import Iterable, Iterator

import numpy as np
import pytest
import torch

import isthmus as it
from isthmus.data.base import Array
from isthmus.data.preparing import prepare_stream
from isthmus.data.samplers.streams import Stream, StreamTensor
from isthmus.errors import BadData, BadOption
from isthmus.options import DataOptions
from isthmus.training.batches import Share, TensorBatches
from isthmus.training.block_shuffle import StreamBatches

POPULATION = 400
HEAD = 2 * (40 + 36)


class Again:
    """Pieces of 7 examples, (number, number), that can be iterated anew."""

    def __init__(self, n: int, bad: tuple[int, ...] = ()) -> None:
        self.x = np.arange(n, dtype=np.float64)[:, None].repeat(2, axis=1)
        self.x[list(bad), 1] = np.nan

    def __iter__(self) -> Iterator[Array]:
        return (self.x[start : start + 7] for start in range(0, len(self.x), 7))


def poured(pieces: Iterable[Array], **settings: object) -> StreamBatches:
    policy = {"on_bad_data": settings.pop("on_bad_data", "stop")}
    data = prepare_stream(Stream(pieces, POPULATION), DataOptions(**policy), 0)
    assert isinstance(data.train.x, StreamTensor)
    return StreamBatches(data.train.x, 32, seed=0, pool=16 * 100, **settings)


def numbers(batches: Iterable[torch.Tensor]) -> list[int]:
    return torch.cat(list(batches))[:, 0].int().tolist()


def test_the_head_is_held_out_and_what_follows_is_trained_on() -> None:
    data = prepare_stream(Stream(Again(2000), POPULATION), DataOptions(), 0)
    assert (len(data.test), len(data.valid), len(data.train)) == (40, 36, POPULATION)
    held = numbers([data.test.tensor, data.valid.tensor])
    assert len(set(held)) == 76
    assert max(held) < HEAD
    assert data.shape == (2,)
    assert sorted(numbers(poured(Again(2000)).epoch(0))) == list(range(HEAD, HEAD + POPULATION))


def test_what_can_be_begun_again_is_and_an_iterator_goes_on() -> None:
    again = poured(Again(2000))
    first, second = (numbers(again.epoch(number)) for number in (0, 1))
    assert sorted(first) == sorted(second)
    assert first != second
    once = poured(iter(Again(2000)))
    seen = numbers(once.epoch(0)) + numbers(once.epoch(1))
    assert sorted(seen) == list(range(HEAD, HEAD + 2 * POPULATION))


@pytest.mark.parametrize("start", [0, 1, 5, 12])
def test_an_epoch_can_be_entered_at_any_batch(start: int) -> None:
    whole, entered = list(poured(Again(2000)).epoch(3)), list(poured(Again(2000)).epoch(3, start))
    assert all(torch.equal(a, b) for a, b in zip(whole[start:], entered, strict=True))


def test_an_iterator_cannot_be_entered_again() -> None:
    with pytest.raises(BadData, match=r"Batch 3 of epoch 1 cannot be read again"):
        next(poured(iter(Again(2000))).epoch(0, 2))


@pytest.mark.parametrize("world", [1, 2, 3])
def test_processes_share_every_batch_of_a_stream(world: int) -> None:
    parts = [poured(Again(2000), share=Share(rank, world)) for rank in range(world)]
    memory = [TensorBatches(torch.zeros(POPULATION, 2), 32, seed=0, share=Share(rank, world)) for rank in range(world)]
    assert [[len(b) for b in part.epoch(0)] for part in parts] == [[len(b) for b in m.epoch(0)] for m in memory]
    assert [parts[0].count(n) for n in range(len(parts[0]))] == [memory[0].count(n) for n in range(len(memory[0]))]
    assert [part.smallest for part in parts] == [m.smallest for m in memory]
    assert sorted(n for part in parts for n in numbers(part.epoch(0))) == list(range(HEAD, HEAD + POPULATION))


def test_bad_examples_of_a_stream_are_replaced_and_counted_once() -> None:
    bad = (3, 200, 333)
    batches = poured(Again(2000, bad), on_bad_data="skip")
    for number in (0, 1):
        assert torch.isfinite(torch.cat(list(batches.epoch(number)))).all()
    bad_examples = batches.x.like.bad_examples
    assert bad_examples.count == 3
    assert [entry.row for entry in bad_examples.entries] == [3, 200, 333]
    with pytest.raises(BadData, match=r"row 200 is invalid"):
        list(poured(Again(2000, (200,))).epoch(0))


def test_a_stream_that_ends_too_early_is_told() -> None:
    with pytest.raises(BadData, match="ended after 100 examples, but its head alone needs 152"):
        poured(Again(100))
    with pytest.raises(BadData, match=r"ended after 348 examples beyond its first 152, but an epoch has 400"):
        list(poured(Again(500)).epoch(0))


def test_a_stream_that_changes_its_shape_is_told() -> None:
    def changing() -> Iterator[Array]:
        yield np.zeros((200, 2))
        yield np.zeros((400, 3))

    with pytest.raises(BadData, match=r"started with examples of shape \(2,\), but now has \(3,\)"):
        list(poured(changing()).epoch(0))


def simulated() -> Iterator[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    while True:
        yield torch.rand(50, 8, generator=generator)


def test_a_model_is_trained_on_an_iterator_of_so_many_steps() -> None:
    run = it.fit("linear", simulated(), options={"training.steps": 30, "training.batch_size": 16, "latent.size": 3})
    assert [row["step"] for row in run.history] == [30]
    assert run.metadata.counts == {"train": 480, "valid": 43, "test": 48}
    assert run.encode(np.zeros((4, 8))).shape == (4, 3)
    with pytest.raises(BadOption, match=r"Set training\.steps, or pass isthmus\.data\.samplers\.streams\.Stream"):
        it.fit("linear", simulated())


def test_a_model_is_trained_on_a_stream_by_epochs() -> None:
    run = it.fit(
        "vae",
        Stream(Again(1000), POPULATION),
        epochs=2,
        options={"data.scale": "minmax", "latent.size": 2, "likelihood.kind": "gaussian"},
    )
    assert len(run.history) == 2
    assert np.isfinite(run.history[-1]["train"]["loss"])
