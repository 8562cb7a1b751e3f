"""Preparation of a stream of chunks of unknown length: from a socket, a simulation, a queue.

    chunks = (simulate(seed) for seed in itertools.count())         # arrays (n, ...)
    it.fit("vae", Stream(chunks, population=100_000), epochs=3)

The head of the stream is read once; the held-out sets are taken from it, and the scaling is fitted to it. Training uses
the examples after the head, in pools that are shuffled. An iterable is restarted at every epoch; an iterator continues,
so its epochs have different examples and a run on it cannot be resumed.
"""

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from isthmus.data.base import Array, Provenance
from isthmus.data.formats.arrays import is_8bit
from isthmus.data.preparing.on_disk import MOST_BYTES, UNSCALED, draw_held_out
from isthmus.data.preparing.prepared import PreparedData, PreparedSplit
from isthmus.data.streaming.lazy import StoredTensor, layout_of
from isthmus.data.streaming.sources import ArraySource
from isthmus.data.transforms.bad_examples import BadExamples, Check
from isthmus.data.transforms.checks import SPLITS, check_unit, draw_bernoulli
from isthmus.data.transforms.scaling import measure
from isthmus.errors import BadData, BadOption, check_range
from isthmus.options import DataOptions

HEAD = 2
"""Size of the head as a multiple of the held-out examples, so that it also represents the training set."""


class Stream:
    """A stream of raw examples.

    Args:
        pieces: chunks of raw examples, arrays or tensors (n, ...) of any n; an iterator, or an iterable that can be
            iterated again.
        population: examples per epoch; penalties use it as the number of training examples.

    Raises:
        BadOption: a population below 2.
    """

    def __init__(self, pieces: Iterable[Array | Tensor], population: int) -> None:
        check_range("The population of a stream", population, 2)
        self.pieces, self.population = pieces, population
        self.once = isinstance(pieces, Iterator)

    def arrays(self) -> Iterator[Array]:
        """The chunks from the start, or from the current position of an iterator.

        Raises:
            BadData: a chunk has fewer than two axes.
        """
        for number, chunk in enumerate(self.pieces):
            values = chunk.detach().cpu().numpy() if isinstance(chunk, Tensor) else np.asarray(chunk)
            if values.ndim < 2:
                raise BadData(
                    f"Chunk {number} of the stream has shape {values.shape}, but chunks (n, ...) of n examples each "
                    "are required. Wrap a single example in a list."
                )
            yield values


class StreamTensor:
    """The training set of a stream: the examples after its head.

    Args:
        flow: the stream.
        like: its head as stored examples, whose layout, scaling and checks apply to all examples after it.
        left: raw examples that were read after the head.

    Attributes:
        epochs: number of epochs that were read completely.
    """

    def __init__(self, flow: Stream, like: StoredTensor, left: Array) -> None:
        self.flow, self.like = flow, like
        self.epochs = 0
        self._left = left

    def __len__(self) -> int:
        """Examples per epoch."""
        return self.flow.population

    @property
    def shape(self) -> torch.Size:
        """Shape of the examples of an epoch as a tensor."""
        return torch.Size((len(self), *self.like.layout.shape))

    @property
    def row_bytes(self) -> int:
        """Raw bytes of one example."""
        return self.like.row_bytes

    def add_check(self, check: Check) -> None:
        """Treat examples that ``check`` refuses as invalid from now on."""
        self.like.add_check(check)

    def sample(self, count: int, seed: int) -> Tensor:
        """Random valid examples of the head, as a sample of the stream."""
        return self.like.sample(count, seed)

    def __getitem__(self, rows: slice) -> Tensor:
        """Consecutive examples of the head."""
        return self.like[rows]

    def transform(self, values: Array) -> Tensor:
        """Raw values (n, ...) as model inputs."""
        return self.like.transform(values)

    def chunks(self, size: int) -> Iterator[Tensor]:
        """The valid examples of the head, as a sample of the stream."""
        return self.like.chunks(size)

    def pools(self, sizes: Sequence[int], seeds: Sequence[int]) -> Iterator[Array]:
        """The raw examples of an epoch in pools of ``sizes``; a valid example of the pool replaces each invalid one.

        Raises:
            BadData: the stream ends too early, or its shape changes.
        """
        following, seen = self._after_head(), 0
        left = self._left if self.flow.once else self._left[:0]
        for size, seed in zip(sizes, seeds, strict=True):
            chunks, count = [left], len(left)
            while count < size:
                chunks.append(next(following, left[:0]))
                if not len(chunks[-1]):
                    raise BadData(
                        f"The stream ended after {seen + count:,} examples beyond its first {len(self.like):,}, but an "
                        f"epoch has {len(self):,}. Set a smaller population, or pass a longer stream."
                    )
                count += len(chunks[-1])
            values = np.concatenate(chunks)
            left = self._left = values[size:]
            yield self._without_invalid(values[:size], seen, seed)
            seen += size
        self.epochs += 1

    def _after_head(self) -> Iterator[Array]:
        """The chunks of an epoch, without the head."""
        skip = 0 if self.flow.once else len(self.like)
        for chunk in self.flow.arrays():
            if chunk.shape[1:] != self.like.source.shape:
                raise BadData(
                    f"The stream started with examples of shape {self.like.source.shape}, but now has "
                    f"{chunk.shape[1:]}. Pass examples of one shape."
                )
            kept = chunk[skip:]
            skip = max(0, skip - len(chunk))
            if len(kept):
                yield kept.astype(self.like.source.dtype, copy=False)

    def _without_invalid(self, values: Array, seen: int, seed: int) -> Array:
        """The same values, with each invalid example replaced by a valid one."""
        known = self.like.bad_examples
        source = ArraySource(values, "the stream", first=len(self.like) + seen)
        pool = StoredTensor(source, self.like.layout, self.like.scaling, BadExamples(known.policy, len(values)))
        pool.checks = self.like.checks
        replaced = pool.read_spans([(0, len(values))], np.random.default_rng(seed))
        if self.flow.once or not self.epochs:
            # a stream that is restarted has the same invalid examples in every epoch
            known.merge(pool.bad_examples)
        return replaced


def prepare_stream(flow: Stream, options: DataOptions, seed: int) -> PreparedData:
    """Prepare a stream for a run.

    Raises:
        BadData: it ends within its head, or has invalid examples that are not to be skipped.
        BadOption: ``data.binarize=static``, whose samples would have to be stored.
    """
    if options.binarize == "static":
        raise BadOption(
            "data.binarize=static stores its samples, which a stream does not support. Set data.binarize=dynamic."
        )
    head, left, valid, test = _head(flow, options, seed)
    source = ArraySource(head, "the stream")
    layout, bad_examples = (
        layout_of(source, options.shape),
        BadExamples(options.on_bad_data, flow.population + len(head)),
    )
    raw = StoredTensor(source, layout, UNSCALED, bad_examples).raw()
    scaling = measure(raw, options.scale, images=layout.images, pixels=is_8bit([head]))
    like = StoredTensor(source, layout, scaling, bad_examples)
    if options.binarize == "dynamic":
        like.add_check(lambda x: check_unit(x, "The stream", options))
    x = like.sample(len(head), seed)
    held_out = {"valid": x[:valid], "test": x[valid : valid + test]}
    if options.binarize == "dynamic":
        held_out = {split: draw_bernoulli(x, seed, SPLITS.index(split)) for split, x in held_out.items()}
    return PreparedData(
        PreparedSplit(StreamTensor(flow, like, left)),
        PreparedSplit(held_out["valid"]) if valid else None,
        PreparedSplit(held_out["test"]) if test else None,
        shape=layout.shape,
        scaling=scaling,
        images=layout.images,
        dynamic=options.binarize == "dynamic",
        name="stream",
        provenance=Provenance("stream"),
        held_out="held-out set" if test else "none",
        bad_examples=bad_examples,
    )


def _head(flow: Stream, options: DataOptions, seed: int) -> tuple[Array, Array, int, int]:
    """The raw examples of the head, those read after it, and the sizes of the validation and the test set."""
    arrays = flow.arrays()
    chunks = [next(arrays, np.zeros((0, 1)))]
    most = max(1, MOST_BYTES // (4 * max(1, math.prod(chunks[0].shape[1:]))))
    test, valid = (len(rows) for rows in draw_held_out(flow.population, options, seed, "the stream", most))
    needed = HEAD * (test + valid) or 1
    while sum(map(len, chunks)) < needed:
        chunk = next(arrays, None)
        if chunk is None:
            raise BadData(
                f"The stream ended after {sum(map(len, chunks)):,} examples, but its head alone needs {needed:,}. Set "
                "a smaller population, or lower data.test and data.validation."
            )
        chunks.append(chunk)
    values = np.concatenate(chunks)
    return values[:needed], values[needed:], valid, test
