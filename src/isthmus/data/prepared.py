"""Data prepared for a run: its splits as tensors, how they were made, and whether a likelihood supports them."""

from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from isthmus.data.base import Array, Location, Provenance
from isthmus.data.samplers.stored import LazyTensor, StoredTensor, TrainingExamples
from isthmus.data.transforms.axes import Kind
from isthmus.data.transforms.bad_examples import BadExamples, Check, find_refused
from isthmus.data.transforms.contract import DataContract
from isthmus.data.transforms.missing import MissingCells
from isthmus.data.transforms.pixels import PixelTensor
from isthmus.data.transforms.scaling import BRIGHTEST, Scaling
from isthmus.data.transforms.splits import HeldOut
from isthmus.errors import BadData, one_line
from isthmus.parts.likelihoods.support import clip_to_support

SUBSAMPLE_BYTES = 2**26
"""Largest subsample of a streamed split as 32-bit numbers, in bytes: 64 MiB."""


@dataclass(frozen=True)
class PreparedSplit:
    """One split of prepared data.

    Args:
        x: model inputs (N, D) or (N, C, H, W), float32, with NaN in place of missing cells; a streamed training set is
            not in memory, and many 8-bit images of one are bytes that are scaled when they are read.
        labels: class of each example, (N,), where known; a streamed training set has none.
        rows: row of each example in the source, (N,); the same as the index if ``None``.
        names: name of each example, (N,), where known.
        inputs: what the encoder sees, if the examples are pairs of input and target; of the shape of ``x``.
        file: file of the examples, for locations.
        row_title: what the names are, such as ``file``.
    """

    x: TrainingExamples
    labels: Array | None = None
    rows: Array | None = field(default=None, compare=False, repr=False)
    names: Array | None = field(default=None, compare=False, repr=False)
    inputs: Tensor | None = None
    file: str = ""
    row_title: str = ""

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.x)

    @property
    def tensor(self) -> Tensor:
        """``x`` of a split in memory as one tensor, as all are except a streamed training set."""
        values = self.values
        assert isinstance(values, Tensor)
        return values

    @property
    def values(self) -> Tensor | LazyTensor:
        """``x`` as one tensor, unless it is streamed."""
        return self.x.tensor() if isinstance(self.x, PixelTensor) else self.x

    def locate(self, index: int) -> Location:
        """The location of an example in the source, by its index in the split."""
        if isinstance(self.x, StoredTensor):
            return self.x.locate(index)
        row = index if self.rows is None else int(self.rows[index])
        name = "" if self.names is None else str(self.names[index])
        return Location(name, row) if name and self.row_title == "file" else Location(self.file, row, name)

    def take(self, index: Array) -> "PreparedSplit":
        """The examples with these indices, of a split in memory."""
        rows = np.arange(len(self)) if self.rows is None else self.rows
        return PreparedSplit(
            self.x.take(index) if isinstance(self.x, PixelTensor) else self.tensor[index],
            None if self.labels is None else self.labels[index],
            rows[index],
            None if self.names is None else self.names[index],
            None if self.inputs is None else self.inputs[index],
            self.file,
            self.row_title,
        )

    def at_most(self, count: int, seed: int) -> "PreparedSplit":
        """At most ``count`` random examples of this split, in memory."""
        some = self.subsample(count, seed)
        if len(some) <= count:
            return some
        return some.take(np.sort(np.random.default_rng(seed).choice(len(some), count, replace=False)))

    def subsample(self, count: int, seed: int) -> "PreparedSplit":
        """This split if it is in memory; else ``count`` random examples of it, at most 64 MiB, in memory."""
        if isinstance(self.x, Tensor | PixelTensor):
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
        contract: how raw examples become model inputs.
        dynamic: whether the training pixels are probabilities, to be sampled as 0 or 1 at every read; those of the
            validation and the test set are sampled already.
        name: name of the data set.
        provenance: origin, terms and credit.
        held_out: origin of the test set.
        label_names: names of the integer labels.
        bad_examples: record of the invalid examples that were skipped.
        missing: record of the missing cells.
        notes: what was guessed about the data, one sentence each.
    """

    train: PreparedSplit
    valid: PreparedSplit | None
    test: PreparedSplit | None
    contract: DataContract
    dynamic: bool
    name: str
    provenance: Provenance
    held_out: HeldOut
    label_names: tuple[str, ...] = ()
    bad_examples: BadExamples = field(default_factory=lambda: BadExamples("stop", 0), compare=False, repr=False)
    missing: MissingCells = field(default_factory=MissingCells)
    notes: tuple[str, ...] = ()

    @property
    def streamed(self) -> bool:
        """Whether the training set is streamed, not in memory."""
        return not isinstance(self.train.x, Tensor | PixelTensor)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example, (D,), (C, T), (C, H, W) or (F, C, H, W)."""
        return self.contract.shape

    @property
    def kind(self) -> Kind:
        """Whether examples are rows of a table, sequences, images or frames."""
        return self.contract.kind

    @property
    def images(self) -> bool:
        """Whether examples are images."""
        return self.contract.images

    @property
    def scaling(self) -> Scaling:
        """Scaling that was applied."""
        return self.contract.scaling

    @property
    def splits(self) -> dict[str, PreparedSplit]:
        """The splits that there are, by name."""
        named = {"train": self.train, "valid": self.valid, "test": self.test}
        return {name: split for name, split in named.items() if split is not None}


class Checked(Protocol):
    """A model that refuses examples outside the support of its likelihood."""

    likelihood: Any

    def check(self, x: Tensor) -> None:
        """Raise ``BadData`` for such examples."""
        ...


def screened(data: PreparedData, model: Checked) -> PreparedData:
    """Data without the examples that are outside the support of the likelihood; those on disk are checked when read.

    Values of the validation and the test set outside the range that ``data.scale=minmax`` found in the training set
    are clipped to it.

    Raises:
        BadData: an invalid example that is not to be skipped, with its file and row; or too many.
    """
    kept = {}
    for name, part in data.splits.items():
        if isinstance(part.x, PixelTensor) and not find_refused(part.x.possible(), model.check):
            kept[name] = part
            continue
        x = part.values
        if not isinstance(x, Tensor):
            x.add_check(model.check)
            kept[name] = part
            continue
        clipped = name != "train" and data.scaling.kind == "minmax"
        part = replace(part, x=clip_to_support(x, model.likelihood) if clipped else x)
        unscaled = name == "train" and data.scaling.scale == (1.0,)
        kept[name] = _screened(part, model.check, data.bad_examples, unscaled=unscaled)
    return replace(data, train=kept["train"], valid=kept.get("valid"), test=kept.get("test"))


def _screened(part: PreparedSplit, check: Check, bad_examples: BadExamples, *, unscaled: bool) -> PreparedSplit:
    try:
        check(part.tensor)
        return part
    except BadData as error:
        if unscaled and _are_bytes(part.tensor):
            raise BadData(
                f"{one_line(error).partition('. ')[0]}. These are whole numbers from {float(part.tensor.min()):g} to "
                f"{float(part.tensor.max()):g}: if they are 8-bit pixels, set data.scale=pixels, which divides them by "
                "255; for other numbers set data.scale=minmax."
            ) from error
        found = find_refused(part.tensor, check)
        if bad_examples.policy == "stop":
            location = min(map(part.locate, found), key=lambda where: where.row, default=Location("", 0))
            raise BadData(f"{error} The first such example: {location} (counted from 0).") from error
    for index, why in found.items():
        bad_examples.add(None, part.locate(index), why)
    return part.take(np.delete(np.arange(len(part)), list(found)))


def _are_bytes(x: Tensor) -> bool:
    """Whether values look like 8-bit pixels that were stored as other numbers."""
    return bool((x == x.round()).all()) and float(x.min()) >= 0 and 1 < float(x.max()) <= BRIGHTEST
