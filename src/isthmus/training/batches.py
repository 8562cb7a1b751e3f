"""Where training batches come from: data in memory, indexed by one permutation, with no Python per example.

Whatever gives batches gives them as a function of seed, epoch and batch alone, so a run can go on at any of them, and
several processes that share the work agree without a word.
"""

import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sized
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from isthmus.functional import shifted

X = TypeVar("X", bound=Sized)


def stream(seed: int, *purpose: str | int) -> int:
    """A seed of its own for each purpose, so that weights, order and noise never share their draws.

    >>> len({stream(0, "order", 1), stream(0, "order", 2), stream(0, "noise"), stream(1, "noise")})
    4
    """
    words = [part if isinstance(part, int) else zlib.crc32(part.encode()) for part in purpose]
    return int(np.random.SeedSequence([seed, *words]).generate_state(1, np.uint64)[0] >> np.uint64(1))


@dataclass(frozen=True)
class Share:
    """The part of the work that process ``rank`` of ``world`` does; all of it by default."""

    rank: int = 0
    world: int = 1


class Supply(ABC, Generic[X]):
    """Shuffled batches of examples: what the engine asks for, and the cutting of an epoch that all kinds share.

    A last batch that would leave a process with a single example joins its neighbour: batch statistics and unbiased
    estimates need two.

    Args:
        x: examples; how many decides the batches of an epoch.
        size: examples in a batch, over all processes.
        seed: of the order, and of the draws below.
        dynamic: draw each value afresh as Bernoulli(x) at every read; input and target are the same draw.
        share: which process this is; each batch is dealt out row by row.

    Attributes:
        population: examples of an epoch, over all processes.
        smallest: examples in the smallest batch of one process.
        shift: pixels by which images are moved at random at every read, at most; input and target alike.
    """

    shift = 0

    def __init__(self, x: X, size: int, *, seed: int, dynamic: bool = False, share: Share | None = None) -> None:
        self.x, self.size, self.seed, self.dynamic = x, size, seed, dynamic
        self.share = share or Share()
        self.population = n = len(x)
        batches = -(-n // size)
        if batches > 1 and n - (batches - 1) * size < 2 * self.share.world:
            batches -= 1
        self._batches, self._last = batches, n - (batches - 1) * size
        self.smallest = min(self.count(0), self._last) // self.share.world

    def __len__(self) -> int:
        """Batches in an epoch; the same in every process."""
        return self._batches

    def count(self, batch: int) -> int:
        """Examples in a batch (counted from 0), over all processes."""
        return self._last if batch == self._batches - 1 else self.size

    @abstractmethod
    def epoch(self, number: int, start: int = 0) -> Iterator[Tensor]:
        """This process's share of the batches of an epoch (counted from 0), from batch ``start`` on."""

    def drawn(self, values: Tensor, number: int, batch: int) -> Tensor:
        """The values of a batch as they are; or moved, and drawn from, as ``shift`` and ``dynamic`` say."""
        if not self.dynamic and not self.shift:
            return values
        seed = stream(self.seed, "draw", number, batch, self.share.rank)
        generator = torch.Generator(values.device).manual_seed(seed)
        if self.shift:
            by = torch.randint(2 * self.shift + 1, (len(values), 2), generator=generator, device=values.device)
            values = shifted(values, by - self.shift)
        return torch.bernoulli(values, generator=generator) if self.dynamic else values


class Batches(Supply[Tensor]):
    """Shuffled batches of a tensor (N, ...); the order depends on the seed and the epoch alone.

    >>> [len(b) for b in Batches(torch.zeros(7, 1), 3, seed=0).epoch(0)]
    [3, 4]
    """

    def epoch(self, number: int, start: int = 0) -> Iterator[Tensor]:
        """This process's share of the batches of one epoch (counted from 0), from batch ``start`` on."""
        generator = torch.Generator(self.x.device).manual_seed(stream(self.seed, "order", number))
        order = torch.randperm(len(self.x), generator=generator, device=self.x.device)
        for batch in range(start, len(self)):
            first = batch * self.size
            rows = order[first + self.share.rank : first + self.count(batch) : self.share.world]
            # index_select copies whole rows and is three times as fast, but forgets a channels-last layout
            values = self.x.index_select(0, rows) if self.x.is_contiguous() else self.x[rows]
            yield self.drawn(values, number, batch)
