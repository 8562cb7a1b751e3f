"""Data prepared for a run: its splits as tensors, and how they were made."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from torch import Tensor

from isthmus.data.base import Array, Location, Provenance
from isthmus.data.streaming.lazy import LazyTensor
from isthmus.data.transforms.bad_examples import BadExamples
from isthmus.data.transforms.scaling import Scaling
from isthmus.data.transforms.splits import HeldOut

SUBSAMPLE_BYTES = 2**26
"""Largest subsample of a streamed split as 32-bit numbers, in bytes: 64 MiB."""


@dataclass(frozen=True)
class PreparedSplit:
    """One split of prepared data.

    Args:
        x: model inputs (N, D) or (N, C, H, W), float32; a streamed training set is not in memory.
        labels: class of each example, (N,), where known; a streamed training set has none.
        locate: the location of an example in the source, by its index in the split.
    """

    x: Tensor | LazyTensor
    labels: Array | None = None
    locate: Callable[[int], Location] = field(default=partial(Location, ""), compare=False, repr=False)

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.x)

    @property
    def tensor(self) -> Tensor:
        """``x`` of a split in memory, as all are except a streamed training set."""
        assert isinstance(self.x, Tensor)
        return self.x

    def subsample(self, count: int, seed: int) -> "PreparedSplit":
        """This split if it is in memory; else ``count`` random examples of it, at most 64 MiB, in memory."""
        if isinstance(self.x, Tensor):
            return self
        most = max(1, SUBSAMPLE_BYTES // (4 * self.x.shape[1:].numel()))
        return PreparedSplit(self.x.sample(min(count, most), seed))


@dataclass(frozen=True)
class PreparedData:
    """Prepared data of a run.

    Args:
        train: training set.
        valid: validation set, if any.
        test: test set, if any.
        shape: shape of one example, (D,) or (C, H, W).
        scaling: scaling that was applied.
        images: whether examples are images.
        dynamic: whether the training pixels are probabilities, to be sampled as 0 or 1 at every read; those of the
            validation and the test set are sampled already.
        name: name of the data set.
        provenance: origin, terms and credit.
        held_out: origin of the test set.
        label_names: names of the integer labels.
        bad_examples: record of the invalid examples that were skipped.
    """

    train: PreparedSplit
    valid: PreparedSplit | None
    test: PreparedSplit | None
    shape: tuple[int, ...]
    scaling: Scaling
    images: bool
    dynamic: bool
    name: str
    provenance: Provenance
    held_out: HeldOut
    label_names: tuple[str, ...] = ()
    bad_examples: BadExamples = field(default_factory=lambda: BadExamples("stop", 0), compare=False, repr=False)

    @property
    def streamed(self) -> bool:
        """Whether the training set is streamed, not in memory."""
        return not isinstance(self.train.x, Tensor)
