"""Batches of data that is in memory: one permutation indexes one tensor, with no Python per example."""

import zlib
from collections.abc import Iterator

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


class Batches:
    """Shuffled batches of ``x``; the order depends on the seed and the epoch alone.

    A last batch of a single example joins its neighbour: batch statistics and unbiased estimates need two.

    Args:
        x: examples, (N, ...).
        size: examples in a batch.
        seed: of the order, and of the draws below.
        dynamic: draw each value afresh as Bernoulli(x) at every read; input and target are the same draw.

    >>> [len(b) for b in Batches(torch.zeros(7, 1), 3, seed=0).epoch(0)]
    [3, 4]
    """

    def __init__(self, x: Tensor, size: int, *, seed: int, dynamic: bool = False) -> None:
        self.x, self.size, self.seed, self.dynamic = x, size, seed, dynamic
        n = len(x)
        ends = [*range(size, n, size), n]
        if len(ends) > 1 and ends[-1] - ends[-2] == 1:
            del ends[-2]
        self.bounds = list(zip([0, *ends[:-1]], ends, strict=True))

    def __len__(self) -> int:
        """Batches in an epoch."""
        return len(self.bounds)

    def epoch(self, number: int) -> Iterator[Tensor]:
        """The batches of one epoch (counted from 0)."""
        generator = torch.Generator(self.x.device).manual_seed(stream(self.seed, "order", number))
        order = torch.randperm(len(self.x), generator=generator, device=self.x.device)
        for start, end in self.bounds:
            rows = order[start:end]
            # index_select copies whole rows and is three times as fast, but forgets a channels-last layout
            batch = self.x.index_select(0, rows) if self.x.is_contiguous() else self.x[rows]
            yield torch.bernoulli(batch, generator=generator) if self.dynamic else batch
