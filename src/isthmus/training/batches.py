"""Where training batches come from: data in memory, indexed by one permutation, with no Python per example.

Whatever gives batches gives them as a function of seed, epoch and batch alone, so a run can go on at any of them, and
several processes that share the work agree without a word.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor


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


class Supply(Protocol):
    """What the engine asks of its batches.

    Attributes:
        population: examples of an epoch, over all processes.
        smallest: examples in the smallest batch of one process.
    """

    population: int
    smallest: int

    def __len__(self) -> int:
        """Batches in an epoch; the same in every process."""
        ...

    def count(self, batch: int) -> int:
        """Examples in a batch (counted from 0), over all processes."""
        ...

    def epoch(self, number: int, start: int = 0) -> Iterator[Tensor]:
        """This process's share of the batches of an epoch (counted from 0), from batch ``start`` on."""
        ...


class Batches:
    """Shuffled batches of ``x``; the order depends on the seed and the epoch alone.

    A last batch that would leave a process with a single example joins its neighbour: batch statistics and unbiased
    estimates need two.

    Args:
        x: examples, (N, ...).
        size: examples in a batch, over all processes.
        seed: of the order, and of the draws below.
        dynamic: draw each value afresh as Bernoulli(x) at every read; input and target are the same draw.
        share: which process this is; each batch is dealt out row by row.

    >>> [len(b) for b in Batches(torch.zeros(7, 1), 3, seed=0).epoch(0)]
    [3, 4]
    """

    def __init__(self, x: Tensor, size: int, *, seed: int, dynamic: bool = False, share: Share | None = None) -> None:
        self.x, self.size, self.seed, self.dynamic = x, size, seed, dynamic
        self.share = share or Share()
        self.population = n = len(x)
        ends = [*range(size, n, size), n]
        if len(ends) > 1 and ends[-1] - ends[-2] < 2 * self.share.world:
            del ends[-2]
        self.bounds: list[tuple[int, int]] = list(zip([0, *ends[:-1]], ends, strict=True))
        self.smallest = min(end - start for start, end in self.bounds) // self.share.world

    def __len__(self) -> int:
        """Batches in an epoch."""
        return len(self.bounds)

    def count(self, batch: int) -> int:
        """Examples in a batch (counted from 0), over all processes."""
        first, last = self.bounds[batch]
        return last - first

    def epoch(self, number: int, start: int = 0) -> Iterator[Tensor]:
        """This process's share of the batches of one epoch (counted from 0), from batch ``start`` on."""
        generator = torch.Generator(self.x.device).manual_seed(stream(self.seed, "order", number))
        order = torch.randperm(len(self.x), generator=generator, device=self.x.device)
        for batch in range(start, len(self.bounds)):
            first, last = self.bounds[batch]
            rows = order[first + self.share.rank : last : self.share.world]
            # index_select copies whole rows and is three times as fast, but forgets a channels-last layout
            values = self.x.index_select(0, rows) if self.x.is_contiguous() else self.x[rows]
            if self.dynamic:
                generator.manual_seed(stream(self.seed, "draw", number, batch, self.share.rank))
                values = torch.bernoulli(values, generator=generator)
            yield values
