r"""Training batches of data that is not in memory, in an order that is shuffled by blocks.

An epoch takes the cheap-to-read blocks of the data (half a MiB of a ``.npy`` file, a row group of a ``.parquet`` one,
some pictures) in random order, so many at a time that they fill a *pool*; each pool is shuffled as a whole and cut into
batches, and the next pool is read by another thread meanwhile.

Quality. Every example comes exactly once an epoch, and another epoch has other neighbours. A batch of :math:`b`
examples is drawn without repetition from a pool of about :math:`P` examples in :math:`B` random blocks; where
neighbours in the file are alike (a file sorted by class, at worst), the mean of a batch varies :math:`1 + (b - 1)/B`
times as much as under a full shuffle: :math:`B = 128` for pools of 64 MiB, so twice for batches of 128. Data smaller
than a pool is shuffled fully. A stream has no blocks: its pools follow each other as they come.
``tests/training/test_streaming.py`` measures it.
"""

from collections.abc import Iterator
from itertools import cycle
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from isthmus.data.base import Array
from isthmus.data.flow import Flowing
from isthmus.data.stored import Lazy, Stored, ahead
from isthmus.errors import BadData
from isthmus.training.batches import Batches, Share, Supply, stream

POOL = 2**26
"""Raw bytes of a pool: 64 MiB. Two are in memory, the one in use and the one that is being read."""

Span = tuple[int, int]


class _Pool(NamedTuple):
    """Raw examples as they were read, and the batches that are cut from them: number and rows of each."""

    values: Array
    batches: list[tuple[int, Array]]


class Streamed(Supply[Stored]):
    """Shuffled batches of stored examples: a function of seed, epoch and batch alone.

    A batch can be entered after reading one pool, not all before it. With several processes each reads its own share
    of the blocks. ``pool`` is in raw bytes; the other arguments are those of :class:`Supply`.
    """

    def __init__(
        self,
        x: Stored,
        size: int,
        *,
        seed: int,
        dynamic: bool = False,
        share: Share | None = None,
        pool: int = POOL,
    ) -> None:
        super().__init__(x, size, seed=seed, dynamic=dynamic, share=share)
        rank, world = self.share.rank, self.share.world
        # this process's examples in all batches but the last, in the last, and where its share of the order begins
        self._mine, self._mine_last = _dealt(size, rank, world), _dealt(self._last, rank, world)
        self._begin = sum(self._length(other) for other in range(rank))
        self._at_once = max(1, pool // max(1, x.row_bytes * self._mine))

    def epoch(self, number: int, start: int = 0) -> Iterator[Tensor]:
        """This process's share of the batches of one epoch (counted from 0), from batch ``start`` on."""
        for values, batches in ahead(self._pools(number, start)):
            for batch, rows in batches:
                if batch >= start:
                    yield self.drawn(self.x.treated(values.take(rows, axis=0)), number, batch)

    def _length(self, rank: int) -> int:
        """Examples of an epoch that a process sees."""
        world = self.share.world
        return (len(self) - 1) * _dealt(self.size, rank, world) + _dealt(self._last, rank, world)

    def _pools(self, number: int, start: int) -> Iterator[_Pool]:
        """The pools of an epoch from the one that holds batch ``start`` on."""
        cuts = self.x.cuts()
        order = np.random.default_rng(stream(self.seed, "blocks", number)).permutation(len(cuts) - 1)
        starts, ends = cuts[:-1][order], cuts[1:][order]
        # where in the shuffled order of blocks each of them begins
        begins = np.concatenate([[0], np.cumsum(ends - starts)])
        # fresh memory costs as much as reading into it: two buffers take turns, as batches are copies
        most = min(self._at_once, len(self)) * self._mine + self._mine_last
        buffers = cycle([self.x.blank(most), self.x.blank(most)])
        for pool in range(start // self._at_once, -(-len(self) // self._at_once)):
            batches = range(pool * self._at_once, min((pool + 1) * self._at_once, len(self)))
            first = self._begin + batches[0] * self._mine
            sizes = [self._mine_last if batch == len(self) - 1 else self._mine for batch in batches]
            rng = np.random.default_rng(stream(self.seed, "pool", number, pool, self.share.rank))
            spans = _spans(starts, begins, first, first + sum(sizes))
            # drawn first, so that a bad example moves no other
            shuffled = rng.permutation(sum(sizes))
            # shuffled below anyway, so they are read in the order of the disk
            values = self.x.gathered(sorted(spans), rng, next(buffers))
            cut = np.split(shuffled, np.cumsum(sizes)[:-1])
            yield _Pool(values, list(zip(batches, cut, strict=True)))


class Poured(Supply[Flowing]):
    """Shuffled batches of a stream, pool by pool in the order it comes.

    Each process reads the whole stream and keeps its share of every batch. The arguments are those of
    :class:`Streamed`.

    Raises:
        BadData: an epoch of an iterator, which cannot be begun again, is to be entered in its middle.
    """

    def __init__(
        self,
        x: Flowing,
        size: int,
        *,
        seed: int,
        dynamic: bool = False,
        share: Share | None = None,
        pool: int = POOL,
    ) -> None:
        super().__init__(x, size, seed=seed, dynamic=dynamic, share=share)
        self._at_once = max(1, pool // max(1, x.row_bytes * size))

    def epoch(self, number: int, start: int = 0) -> Iterator[Tensor]:
        """This process's share of the batches of one epoch (counted from 0), from batch ``start`` on."""
        if self.x.flow.once and (start or number != self.x.epochs):
            raise BadData(
                f"Batch {start + 1} of epoch {number + 1} cannot be read again, for the data is an iterator that is "
                "spent. Give a stream that can be iterated anew, or train in one go."
            )
        counts = [self.count(batch) for batch in range(len(self))]
        groups = [counts[first : first + self._at_once] for first in range(0, len(self), self._at_once)]
        seeds = [stream(self.seed, "pool", number, pool) for pool in range(len(groups))]
        batch = 0
        for values, sizes, seed in zip(
            ahead(self.x.pools([sum(group) for group in groups], seeds)), groups, seeds, strict=True
        ):
            order = np.split(np.random.default_rng(seed).permutation(len(values)), np.cumsum(sizes)[:-1])
            for rows in order:
                if batch >= start:
                    mine = rows[self.share.rank :: self.share.world]
                    yield self.drawn(self.x.treated(values[mine]), number, batch)
                batch += 1


def supply_of(
    x: Tensor | Lazy, size: int, *, seed: int, dynamic: bool = False, shift: int = 0, share: Share | None = None
) -> Supply[Any]:
    """The batches of examples, wherever they are."""
    supply: Supply[Any]
    if isinstance(x, Tensor):
        supply = Batches(x, size, seed=seed, dynamic=dynamic, share=share)
    elif isinstance(x, Flowing):
        supply = Poured(x, size, seed=seed, dynamic=dynamic, share=share)
    else:
        assert isinstance(x, Stored)
        supply = Streamed(x, size, seed=seed, dynamic=dynamic, share=share)
    supply.shift = shift
    return supply


def _dealt(size: int, rank: int, world: int) -> int:
    """Examples that process ``rank`` gets of a batch that is dealt out one by one."""
    return len(range(rank, size, world))


def _spans(starts: Array, begins: Array, first: int, last: int) -> list[Span]:
    """The ranges of examples that stand at ``first`` to ``last`` in the shuffled order of blocks."""
    spans = []
    block = int(np.searchsorted(begins, first, side="right")) - 1
    while first < last:
        stop = min(last, int(begins[block + 1]))
        shift = int(starts[block]) - int(begins[block])
        spans.append((first + shift, stop + shift))
        first, block = stop, block + 1
    return spans
