"""A stream of chunks of unknown length as a training set: from a socket, a simulation, a queue.

    chunks = (simulate(seed) for seed in itertools.count())         # arrays (n, ...)
    it.fit("vae", Stream(chunks, population=100_000), epochs=3)

The head of the stream is read once; the held-out sets are taken from it, and the scaling is fitted to it. Training uses
the examples after the head, in pools that are shuffled. An iterable is restarted at every epoch; an iterator continues,
so its epochs have different examples and a run on it cannot be resumed.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from isthmus.data.base import Array
from isthmus.data.objects import as_chunk
from isthmus.data.samplers.stored import StoredTensor
from isthmus.data.sources.arrays import Examples
from isthmus.data.tables.frames import is_table, to_frame
from isthmus.data.tables.names import quote_names
from isthmus.data.transforms.bad_examples import BadExamples, Check
from isthmus.errors import BadData, check_range

if TYPE_CHECKING:
    import pandas as pd

HEAD = 2
"""Size of the head as a multiple of the held-out examples, so that it also represents the training set."""


class Stream:
    """A stream of raw examples.

    Args:
        pieces: chunks of raw examples, arrays or tensors (n, ...) of any n, or pairs (x, y) of such chunks, of which
            x is taken; an iterator, or an iterable that can be iterated again.
        population: examples per epoch; penalties use it as the number of training examples.

    Raises:
        BadOption: a population below 2.
    """

    def __init__(self, pieces: Iterable[object], population: int) -> None:
        check_range("The population of a stream", population, 2)
        self.pieces, self.population = pieces, population
        self.once = isinstance(pieces, Iterator)
        self._columns: list[object] | None = None

    def arrays(self) -> Iterator[Array]:
        """The chunks from the start, or from the current position of an iterator.

        Raises:
            BadData: a chunk has fewer than two axes.
        """
        for number, chunk in enumerate(self.pieces):
            if is_table(chunk):
                frame = to_frame(chunk)
                self._columns = self._columns or list(frame.columns)
                chunk = in_order(frame, self._columns)
            values = as_chunk(chunk)
            if values.ndim < 2:
                raise BadData(
                    f"Chunk {number} of the stream has shape {values.shape}, but chunks (n, ...) of n examples each "
                    "are required. Wrap a single example in a list."
                )
            yield values


def in_order(frame: "pd.DataFrame", columns: list[object]) -> "pd.DataFrame":
    """A table with its columns in the order of those of the first chunk.

    Raises:
        BadData: it has other columns.
    """
    if list(frame.columns) == columns:
        return frame
    if len(frame.columns) != len(columns) or set(frame.columns) != set(columns):
        raise BadData(
            f"The first table has the columns {quote_names([*map(str, columns)])}, but another one "
            f"{quote_names([*map(str, frame.columns)])}. Pass tables with the same columns."
        )
    return frame[columns]


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
                        f"epoch has {len(self):,}. Pass a longer stream or a smaller population; or leave "
                        "training.steps out, and data that ends is read into memory."
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
        source = Examples(values, name="the stream", first=len(self.like) + seen)
        bad = BadExamples(known.policy, len(values))
        pool = StoredTensor(source, self.like.contract, bad, layout=self.like.layout, missing=self.like.missing)
        pool.checks = self.like.checks
        replaced = pool.read_spans([(0, len(values))], np.random.default_rng(seed))
        if self.flow.once or not self.epochs:
            # a stream that is restarted has the same invalid examples in every epoch
            known.merge(pool.bad_examples)
        return replaced


def head_of(flow: Stream, size_for: Callable[[int], int]) -> tuple[Array, Array]:
    """The first raw examples of a stream, and those that were read after them.

    ``size_for`` gives the number of examples of the head from the number of values of one example.

    Raises:
        BadData: the stream ends within its head.
    """
    arrays = flow.arrays()
    chunks = [next(arrays, np.zeros((0, 1)))]
    wanted = size_for(int(np.prod(chunks[0].shape[1:])))
    while sum(map(len, chunks)) < wanted:
        chunk = next(arrays, None)
        if chunk is None:
            raise BadData(
                f"The stream ended after {sum(map(len, chunks)):,} examples, but its head alone needs {wanted:,}. Pass "
                "a longer stream or a smaller population, or leave training.steps out: data that ends is read into "
                "memory."
            )
        chunks.append(chunk)
    values = np.concatenate(chunks)
    return values[:wanted], values[wanted:]
