r"""Training batches of data that is not in memory, shuffled by blocks.

An epoch reads blocks of contiguous examples (half a MiB of a ``.npy`` file, a row group of a ``.parquet`` file, some
images) in random order, as many at a time as fill a *pool*. Each pool is shuffled as a whole and split into batches,
while another thread reads the next pool.

Quality of the shuffle. Every example occurs exactly once per epoch, and its neighbors differ between epochs. A batch of
:math:`b` examples is sampled without replacement from a pool of about :math:`P` examples in :math:`B` random blocks.
Where neighbors in the file are similar (at worst, a file sorted by class), the variance of a batch mean is
:math:`1 + (b - 1)/B` times that of a full shuffle: :math:`B = 128` for pools of 64 MiB, so twice as large for batches
of 128. Data smaller than a pool is shuffled fully. A stream has no blocks: its pools keep the order of the stream.
``tests/training/test_block_shuffle.py`` measures the variance.
"""

from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from isthmus.data.base import Array
from isthmus.data.samplers.stored import StoredTensor, TrainingExamples, prefetch
from isthmus.data.samplers.streams import StreamTensor
from isthmus.data.transforms.pixels import PixelTensor
from isthmus.errors import BadData
from isthmus.models.seeding import derive_seed
from isthmus.training.augmentation import NONE, Augmentation
from isthmus.training.batches import BatchSource, PairBatches, Share, TensorBatches

POOL = 2**26
"""Raw bytes of a pool: 64 MiB. Two pools are in memory, one in use and one being read."""

Span = tuple[int, int]


class _Pool(NamedTuple):
    """Raw examples, and the batches made from them: number and rows of each batch."""

    values: Array
    batches: list[tuple[int, Array]]


class StoredBatches(BatchSource[StoredTensor]):
    """Shuffled batches of stored examples, a function of seed, epoch and batch number alone.

    Starting at a batch takes reading one pool, not all pools before it. Each of several processes reads its own blocks.
    ``pool`` is in raw bytes; the other arguments are those of :class:`BatchSource`.
    """

    def __init__(
        self,
        x: StoredTensor,
        size: int,
        *,
        seed: int,
        dynamic: bool = False,
        share: Share | None = None,
        pool: int = POOL,
    ) -> None:
        super().__init__(x, size, seed=seed, dynamic=dynamic, share=share)
        rank, world = self.share.rank, self.share.world
        # this process's examples per batch, in the last batch, and where its range of the shuffled order starts
        self._rows, self._rows_last = _rows_of(size, rank, world), _rows_of(self._last, rank, world)
        self._offset = sum(self._length(other) for other in range(rank))
        self._per_pool = max(1, pool // max(1, x.row_bytes * self._rows))

    def epoch(self, number: int, start: int = 0) -> Iterator[Tensor]:
        """This process's rows of the batches of an epoch (numbered from 0), starting at batch ``start``."""
        for values, batches in prefetch(self._pools(number, start)):
            for batch, rows in batches:
                if batch >= start:
                    yield self.drawn(self.x.transform(values.take(rows, axis=0)), number, batch)

    def _length(self, rank: int) -> int:
        """Examples per epoch of a process."""
        world = self.share.world
        return (len(self) - 1) * _rows_of(self.size, rank, world) + _rows_of(self._last, rank, world)

    def _pools(self, number: int, start: int) -> Iterator[_Pool]:
        """The pools of an epoch, starting with the one that contains batch ``start``."""
        cuts = self.x.cuts()
        order = np.random.default_rng(derive_seed(self.seed, "blocks", number)).permutation(len(cuts) - 1)
        starts, ends = cuts[:-1][order], cuts[1:][order]
        # offset of each block in the shuffled order of blocks
        offsets = np.concatenate([[0], np.cumsum(ends - starts)])
        # allocating memory costs as much as reading into it: two buffers alternate, as batches are copies
        most = min(self._per_pool, len(self)) * self._rows + self._rows_last
        buffers = cycle([self.x.blank(most), self.x.blank(most)])
        for pool in range(start // self._per_pool, -(-len(self) // self._per_pool)):
            batches = range(pool * self._per_pool, min((pool + 1) * self._per_pool, len(self)))
            first = self._offset + batches[0] * self._rows
            sizes = [self._rows_last if batch == len(self) - 1 else self._rows for batch in batches]
            rng = np.random.default_rng(derive_seed(self.seed, "pool", number, pool, self.share.rank))
            spans = _spans(starts, offsets, first, first + sum(sizes))
            # sampled first, so that an invalid example does not change the order of the others
            shuffled = rng.permutation(sum(sizes))
            # shuffled below anyway, so blocks are read in the order they have on disk
            values = self.x.read_spans(sorted(spans), rng, next(buffers))
            rows_of_batches = np.split(shuffled, np.cumsum(sizes)[:-1])
            yield _Pool(values, list(zip(batches, rows_of_batches, strict=True)))


class StreamBatches(BatchSource[StreamTensor]):
    """Shuffled batches of a stream; its pools keep the order of the stream.

    Each process reads the whole stream and keeps its rows of every batch. The arguments are those of
    :class:`StoredBatches`.

    Raises:
        BadData: a batch of an iterator, which cannot be restarted, would have to be read again.
    """

    def __init__(
        self,
        x: StreamTensor,
        size: int,
        *,
        seed: int,
        dynamic: bool = False,
        share: Share | None = None,
        pool: int = POOL,
    ) -> None:
        super().__init__(x, size, seed=seed, dynamic=dynamic, share=share)
        self._per_pool = max(1, pool // max(1, x.row_bytes * size))

    def epoch(self, number: int, start: int = 0) -> Iterator[Tensor]:
        """This process's rows of the batches of an epoch (numbered from 0), starting at batch ``start``."""
        if self.x.flow.once and (start or number != self.x.epochs):
            raise BadData(
                f"Batch {start + 1} of epoch {number + 1} cannot be read again, because the data is an iterator that "
                "is exhausted. Pass a stream that can be iterated again, or train without interruption."
            )
        counts = [self.count(batch) for batch in range(len(self))]
        groups = [counts[first : first + self._per_pool] for first in range(0, len(self), self._per_pool)]
        seeds = [derive_seed(self.seed, "pool", number, pool) for pool in range(len(groups))]
        batch = 0
        for values, sizes, seed in zip(
            prefetch(self.x.pools([sum(group) for group in groups], seeds)), groups, seeds, strict=True
        ):
            order = np.split(np.random.default_rng(seed).permutation(len(values)), np.cumsum(sizes)[:-1])
            for rows in order:
                if batch >= start:
                    mine = rows[self.share.rank :: self.share.world]
                    yield self.drawn(self.x.transform(values[mine]), number, batch)
                batch += 1


def batches_of(
    x: TrainingExamples,
    size: int,
    *,
    seed: int,
    dynamic: bool = False,
    augment: Augmentation = NONE,
    share: Share | None = None,
    inputs: Tensor | None = None,
) -> BatchSource[Any]:
    """Batches of examples in memory, on disk or from a stream; with ``inputs`` batches of pairs of examples in memory.

    Raises:
        BadData: pairs that are not in memory.
    """
    source: BatchSource[Any]
    if inputs is not None:
        if not isinstance(x, Tensor):
            raise BadData("Pairs of input and target must be in memory, but they are streamed. Set data.memory=whole.")
        source = PairBatches(x, inputs, size, seed=seed, dynamic=dynamic, share=share)
    elif isinstance(x, Tensor | PixelTensor):
        source = TensorBatches(x, size, seed=seed, dynamic=dynamic, share=share)
    elif isinstance(x, StreamTensor):
        source = StreamBatches(x, size, seed=seed, dynamic=dynamic, share=share)
    else:
        assert isinstance(x, StoredTensor)
        source = StoredBatches(x, size, seed=seed, dynamic=dynamic, share=share)
    source.augmentation = augment
    return source


def changed(x: TrainingExamples, change: Callable[[Tensor], Tensor]) -> TrainingExamples:
    """Examples with the tensor changed that holds them, such as moved to a device, if they are in memory."""
    if isinstance(x, PixelTensor):
        return x.map(change)
    return change(x) if isinstance(x, Tensor) else x


def _rows_of(size: int, rank: int, world: int) -> int:
    """Examples of process ``rank`` in a batch whose rows are assigned in turn."""
    return len(range(rank, size, world))


def _spans(starts: Array, offsets: Array, first: int, last: int) -> list[Span]:
    """Ranges of examples at the locations ``first`` to ``last`` of the shuffled order of blocks."""
    spans = []
    block = int(np.searchsorted(offsets, first, side="right")) - 1
    while first < last:
        stop = min(last, int(offsets[block + 1]))
        shift = int(starts[block]) - int(offsets[block])
        spans.append((first + shift, stop + shift))
        first, block = stop, block + 1
    return spans
