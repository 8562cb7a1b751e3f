"""Shuffled training batches of data in memory: one permutation per epoch, no Python code per example.

Batches are a function of seed, epoch and batch number alone. A run can therefore resume at any batch, and several
processes agree on their batches without communication.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sized
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor

from isthmus.functional import shifted
from isthmus.models.seeding import derive_seed

X = TypeVar("X", bound=Sized)


@dataclass(frozen=True)
class Share:
    """Rank of a process and number of processes (``world``); a single process by default."""

    rank: int = 0
    world: int = 1


class BatchSource(ABC, Generic[X]):
    """Base class of shuffled batches: the interface that the engine uses, and the number and sizes of batches.

    A last batch that would leave a process with a single example is merged into the batch before it: batch statistics
    and unbiased estimates require two examples.

    Args:
        x: examples; their number determines the batches of an epoch.
        size: batch size, over all processes.
        seed: seed of the order and of the sampling below.
        dynamic: sample each value as Bernoulli(x) at every read; input and target are the same sample.
        share: rank of this process and number of processes; the rows of each batch are assigned in turn.

    Attributes:
        population: examples per epoch, over all processes.
        smallest: size of the smallest batch of one process.
        shift: largest random shift of images at every read, in pixels; the same for input and target.
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
        """Number of batches per epoch, the same in every process."""
        return self._batches

    def count(self, batch: int) -> int:
        """Size of a batch (numbered from 0), over all processes."""
        return self._last if batch == self._batches - 1 else self.size

    @abstractmethod
    def epoch(self, number: int, start: int = 0) -> Iterator[Tensor]:
        """This process's rows of the batches of an epoch (numbered from 0), starting at batch ``start``."""

    def drawn(self, values: Tensor, number: int, batch: int) -> Tensor:
        """The values of a batch, randomly shifted if ``shift`` is set, and sampled from if ``dynamic`` is set."""
        if not self.dynamic and not self.shift:
            return values
        seed = derive_seed(self.seed, "draw", number, batch, self.share.rank)
        generator = torch.Generator(values.device).manual_seed(seed)
        if self.shift:
            by = torch.randint(2 * self.shift + 1, (len(values), 2), generator=generator, device=values.device)
            values = shifted(values, by - self.shift)
        return torch.bernoulli(values, generator=generator) if self.dynamic else values


class TensorBatches(BatchSource[Tensor]):
    """Shuffled batches of a tensor (N, ...); the order depends on seed and epoch alone.

    >>> [len(b) for b in TensorBatches(torch.zeros(7, 1), 3, seed=0).epoch(0)]
    [3, 4]
    """

    def epoch(self, number: int, start: int = 0) -> Iterator[Tensor]:
        """This process's rows of the batches of an epoch (numbered from 0), starting at batch ``start``."""
        generator = torch.Generator(self.x.device).manual_seed(derive_seed(self.seed, "order", number))
        order = torch.randperm(len(self.x), generator=generator, device=self.x.device)
        for batch in range(start, len(self)):
            first = batch * self.size
            rows = order[first + self.share.rank : first + self.count(batch) : self.share.world]
            # index_select copies whole rows and is three times as fast, but does not preserve a channels-last layout
            values = self.x.index_select(0, rows) if self.x.is_contiguous() else self.x[rows]
            yield self.drawn(values, number, batch)
