"""Shuffled training batches of data in memory: one permutation per epoch, no Python code per example.

Batches are a function of seed, epoch and batch number alone. A run can therefore resume at any batch, and several
processes agree on their batches without communication.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sized
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import torch
from torch import Tensor

from isthmus.data.transforms.pixels import PixelTensor
from isthmus.errors import BadOption, ShapeError
from isthmus.models.seeding import derive_seed
from isthmus.training.augmentation import NONE

X = TypeVar("X", bound=Sized)


@dataclass(frozen=True)
class Share:
    """Rank of a process and number of processes (``world``); a single process by default."""

    rank: int = 0
    world: int = 1


class Pair(NamedTuple):
    """Targets (B, *D), and what the encoder sees instead of them, of the same shape."""

    x: Tensor
    x_in: Tensor


Batch = Tensor | Pair
"""A batch: examples, or pairs of target and input."""


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
        augmentation: random changes of examples at every read, the same for input and target.
        missing: whether values may be missing, NaN; they stay so where examples are sampled at every read.
    """

    augmentation = NONE
    missing = False

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
    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """This process's rows of the batches of an epoch (numbered from 0), starting at batch ``start``."""

    def drawn(self, values: Tensor, number: int, batch: int) -> Tensor:
        """The values of a batch, augmented if ``augmentation`` is set, and sampled from if ``dynamic`` is set."""
        if not self.dynamic and not self.augmentation:
            return values
        seed = derive_seed(self.seed, "draw", number, batch, self.share.rank)
        generator = torch.Generator(values.device).manual_seed(seed)
        values = self.augmentation(values, generator)
        if not self.dynamic:
            return values
        if not self.missing:
            return torch.bernoulli(values, generator=generator)
        return torch.where(values.isnan(), values, torch.bernoulli(values.nan_to_num(0.0), generator=generator))


class TensorBatches(BatchSource[Tensor | PixelTensor]):
    """Shuffled batches of a tensor (N, ...), or of images that are bytes; the order depends on seed and epoch alone.

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


class PairBatches(BatchSource[Tensor]):
    """Shuffled batches of pairs: the rows of targets ``x`` and ``inputs``, in the order of :class:`TensorBatches`.

    Augmentation is the same for both. The other arguments are those of :class:`BatchSource`.

    Raises:
        BadOption: ``dynamic``, which samples input and target as one.
        ShapeError: inputs of another shape than the targets.

    >>> pairs = PairBatches(torch.zeros(7, 1), torch.ones(7, 1), 3, seed=0)
    >>> [tuple(batch.x_in.shape) for batch in pairs.epoch(0)]
    [(3, 1), (4, 1)]
    """

    def __init__(
        self,
        x: Tensor,
        inputs: Tensor,
        size: int,
        *,
        seed: int,
        dynamic: bool = False,
        share: Share | None = None,
    ) -> None:
        super().__init__(x, size, seed=seed, dynamic=dynamic, share=share)
        if inputs.shape != x.shape:
            raise ShapeError(
                f"Pairs of input and target must have one shape, but the inputs have shape {tuple(inputs.shape)} and "
                f"the targets {tuple(x.shape)}. Pass one input per target."
            )
        if dynamic:
            raise BadOption(
                "data.binarize=dynamic samples input and target as one, but the data are pairs of input and target. "
                "Set another data.binarize, or pass the targets only."
            )
        self._of_targets, self._of_inputs = (TensorBatches(v, size, seed=seed, share=share) for v in (x, inputs))

    def epoch(self, number: int, start: int = 0) -> Iterator[Pair]:
        """This process's rows of the batches of an epoch (numbered from 0), starting at batch ``start``."""
        for part in (self._of_targets, self._of_inputs):
            part.augmentation = self.augmentation
        # rows and random changes are functions of seed, epoch and batch, so they are the same for both
        for pair in zip(self._of_targets.epoch(number, start), self._of_inputs.epoch(number, start), strict=True):
            yield Pair(*pair)
