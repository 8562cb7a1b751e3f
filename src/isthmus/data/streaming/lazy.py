"""Lazy tensors (N, *shape) of examples that stay on disk.

Examples are read in chunks and converted to model inputs (channels first, scaled, float32) when they are read. Every
chunk is checked for invalid examples.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from isthmus.data.base import Array
from isthmus.data.formats.arrays import CHANNELS, standardize_layout
from isthmus.data.streaming.sources import RawChunk, Source, copy_into, read_rows, row_bytes
from isthmus.data.transforms.bad_examples import BadExamples, Check, find_nonfinite, find_refused, merged
from isthmus.data.transforms.checks import SPLITS, channels_first, draw_bernoulli
from isthmus.data.transforms.scaling import Scaling
from isthmus.errors import BadData

READ = 2**23
"""Raw bytes per read of examples in order: 8 MiB."""
CHUNK_BYTES = 2**26
"""Largest chunk of model inputs, in bytes: 64 MiB."""
FIRST = 100
"""Examples to which a new check is applied at once."""
LOOKED_AT = 2**22
"""Values that are scaled at a time to find invalid examples."""

T = TypeVar("T")


@dataclass(frozen=True)
class Layout:
    """Meaning of the axes of a raw example.

    Args:
        row: shape to which the rows of a table are reshaped, if any.
        first: whether the channels are first already.
        images: whether examples are images.
        shape: shape of an example as model input, (D,) or (C, H, W).
    """

    row: tuple[int, ...] | None
    first: bool
    images: bool
    shape: tuple[int, ...]

    def tensor(self, values: Array) -> Tensor:
        """Raw values (n, ...) as a tensor (n, *shape) of the same data type."""
        values = values.reshape(len(values), *self.row) if self.row else values
        values = values.view(np.uint8) if values.dtype.kind == "b" else values
        return channels_first(values, self.images and not self.first)


def layout_of(source: Source, row: tuple[int, ...] | None) -> Layout:
    """The layout of a source's examples; ``row`` is the option ``data.shape``.

    Raises:
        BadData: examples that are neither rows of numbers nor images.
    """
    blank = np.zeros((1, *source.shape), source.dtype)
    made = standardize_layout(blank, row, repr(source.name))
    raw = row or source.shape
    first = len(raw) == 3 and raw[-1] not in CHANNELS
    images = made.ndim > 2
    return Layout(row, first, images, tuple(channels_first(made, images).shape[1:]))


class Block(NamedTuple):
    """Consecutive examples: the valid ones as a tensor, their number in all, and the indices of the invalid ones."""

    x: Tensor
    size: int
    bad: list[int]


class LazyTensor(Protocol):
    """Interface of examples (N, *shape) that are not in memory."""

    @property
    def shape(self) -> torch.Size:
        """Shape of all examples as a tensor."""
        ...

    def __len__(self) -> int:
        """Number of examples."""
        ...

    def __getitem__(self, rows: slice) -> Tensor:
        """Consecutive valid examples as a tensor."""
        ...

    def chunks(self, size: int) -> Iterator[Tensor]:
        """The valid examples in order, at most ``size`` at a time."""
        ...

    def sample(self, count: int, seed: int) -> Tensor:
        """Random valid examples."""
        ...

    def add_check(self, check: Check) -> None:
        """Treat examples that ``check`` refuses as invalid from now on."""
        ...


class StoredTensor:
    """Examples (N, *shape) of a source, converted to model inputs when they are read.

    Args:
        source: the raw examples.
        layout: meaning of their axes.
        scaling: scaling of their values.
        bad_examples: record of invalid examples.
        excluded: ascending rows of the source that belong to other splits.
        bernoulli_seed: seed with which values are sampled once from Bernoulli(x) when they are read in order; ``None``
            leaves them unchanged.
    """

    def __init__(
        self,
        source: Source,
        layout: Layout,
        scaling: Scaling,
        bad_examples: BadExamples,
        excluded: Array | None = None,
        *,
        bernoulli_seed: int | None = None,
    ) -> None:
        self.source, self.layout, self.scaling, self.bad_examples = source, layout, scaling, bad_examples
        self.bernoulli_seed = bernoulli_seed
        self.excluded = np.zeros(0, np.int64) if excluded is None else excluded
        self.checks: list[Check] = []
        self._always_valid = self._cannot_be_invalid()

    def __len__(self) -> int:
        """Number of examples, including invalid ones."""
        return len(self.source) - len(self.excluded)

    @property
    def shape(self) -> torch.Size:
        """Shape of all examples as a tensor."""
        return torch.Size((len(self), *self.layout.shape))

    @property
    def row_bytes(self) -> int:
        """Raw bytes of one example."""
        return row_bytes(self.source)

    def __getitem__(self, rows: slice) -> Tensor:
        """Consecutive examples as a tensor, without invalid ones."""
        start, stop, _ = rows.indices(len(self))
        return self._block(start, max(start, stop)).x

    def add_check(self, check: Check) -> None:
        """Treat examples that ``check`` refuses as invalid from now on.

        Raises:
            BadData: it refuses more than half of the first examples, so the data as a whole is unsuitable.
        """
        self.checks.append(check)
        self._always_valid = self._cannot_be_invalid()
        if not self._always_valid:
            x = self.transform(self._read(0, min(len(self), FIRST))[0].values)
            if len(find_refused(x, check)) > len(x) / 2:
                check(x)

    def _cannot_be_invalid(self) -> bool:
        """Whether no example can be invalid: a byte has 256 values, and all of them pass the checks."""
        if self.source.dtype != np.uint8 or len(self.scaling.scale) > 1:
            return False
        every = self.scaling.apply(torch.arange(256, dtype=torch.uint8).unsqueeze(1)).float()
        return not any(find_refused(every, check) for check in self.checks)

    def transform(self, values: Array) -> Tensor:
        """Raw values (n, ...) as model inputs (n, *shape), float32."""
        return self.scaling.apply(self.layout.tensor(values)).to(torch.float32).contiguous()

    def cuts(self) -> Array:
        """Indices from 0 to N, ascending, between which ranges are inexpensive to read."""
        cuts = self.source.cuts()
        return np.unique(cuts - np.searchsorted(self.excluded, cuts))

    def read_spans(
        self, spans: Sequence[tuple[int, int]], rng: np.random.Generator, into: Array | None = None
    ) -> Array:
        """The raw examples of some ranges, concatenated; a random valid one replaces each invalid one.

        They are written ``into`` an array of at least that length if one is given.

        Raises:
            BadData: an invalid example if the policy is ``stop``, or no valid one to replace it.
        """
        total = sum(stop - start for start, stop in spans)
        values = self.blank(total) if into is None else into[:total]
        bad: list[int] = []
        first = 0
        for start, stop in spans:
            target = values[first : first + stop - start]
            chunk, rows = self._read(start, stop, target)
            copy_into(chunk, target)
            bad += [first + index for index in self._find_bad(chunk, rows)]
            first += len(rows)
        if bad:
            valid = np.setdiff1d(np.arange(total), bad)
            if not len(valid):
                raise BadData(
                    f"All {total} examples read together from {self.source.name!r} are invalid. Check the data."
                )
            values[bad] = values[rng.choice(valid, len(bad))]
        return values

    def blank(self, count: int) -> Array:
        """Uninitialized array of ``count`` raw examples."""
        return np.empty((count, *self.source.shape), self.source.dtype)

    def blocks(self, size: int) -> Iterator[Block]:
        """All examples in order, at most ``size`` at a time, prefetched by one read."""
        size = min(size, max(1, CHUNK_BYTES // (4 * self.shape[1:].numel())))
        # a whole number of chunks per read, so that chunks do not depend on READ
        step = max(1, READ // self.row_bytes // size) * size

        def read() -> Iterator[list[Block]]:
            for start in range(0, len(self), step):
                stop = min(start + step, len(self))
                yield self._blocks(start, stop, size)

        for blocks in prefetch(read()):
            yield from blocks

    def chunks(self, size: int) -> Iterator[Tensor]:
        """All valid examples in order, at most ``size`` at a time."""
        return (block.x for block in self.blocks(size) if len(block.x))

    def sample(self, count: int, seed: int) -> Tensor:
        """``count`` random examples (all, if there are fewer), sampled without replacement, without invalid ones."""
        rng = np.random.default_rng(seed)
        chosen = rng.choice(len(self), min(count, len(self)), replace=False)
        x, _ = self.select(np.sort(chosen))
        return x[torch.from_numpy(rng.permutation(len(x)))]

    def raw(self) -> Iterator[Tensor]:
        """All valid examples in order, unscaled and of their own data type, some MiB at a time."""
        step = max(1, READ // self.row_bytes)
        for start in range(0, len(self), step):
            chunk, rows = self._read(start, min(start + step, len(self)))
            bad = self._record_bad(merged(chunk.faults, find_nonfinite(chunk.values)), rows)
            yield self.layout.tensor(np.delete(chunk.values, bad, axis=0) if bad else chunk.values)

    def select(self, chosen: Array) -> tuple[Tensor, Array]:
        """The valid ones of some examples, given by ascending index, and their rows in the source."""
        rows = self.rows(chosen)
        chunk = read_rows(self.source, rows)
        valid = np.delete(np.arange(len(rows)), self._find_bad(chunk, rows))
        return self.transform(chunk.values[valid]), rows[valid]

    def _blocks(self, start: int, stop: int, size: int) -> list[Block]:
        chunk, rows = self._read(start, stop)
        bad = np.array(self._find_bad(chunk, rows), dtype=np.int64)
        blocks = []
        for first in range(0, len(rows), size):
            values = chunk.values[first : first + size]
            own = bad[(bad >= first) & (bad < first + len(values))] - first
            x = self.transform(np.delete(values, own, axis=0) if len(own) else values)
            if self.bernoulli_seed is not None:
                x = draw_bernoulli(x, self.bernoulli_seed, len(SPLITS), start + first)
            blocks.append(Block(x, len(values), own.tolist()))
        return blocks

    def _block(self, start: int, stop: int) -> Block:
        if start == stop:
            return Block(torch.zeros(0, *self.layout.shape), 0, [])
        return self._blocks(start, stop, stop - start)[0]

    def rows(self, numbers: Array) -> Array:
        """Rows in the source of examples given by their index in this split."""
        return skip_rows(self.excluded, numbers)

    def _read(self, start: int, stop: int, into: Array | None = None) -> tuple[RawChunk, Array]:
        """Raw examples ``start`` to ``stop`` of this split, and their rows in the source."""
        rows = self.rows(np.arange(start, stop))
        first, last = int(rows[0]), int(rows[-1]) + 1
        if last - first == len(rows):
            return self.source.read(first, last, into), rows
        chunk = self.source.read(first, last)
        kept = rows - first
        index_of = {row: index for index, row in enumerate(kept.tolist())} if chunk.faults else {}
        faults = {index_of[row]: why for row, why in chunk.faults.items() if row in index_of}
        return RawChunk(chunk.values[kept], faults), rows

    def _find_bad(self, chunk: RawChunk, rows: Array) -> list[int]:
        """Ascending indices of the invalid examples of a chunk; each is recorded."""
        found = merged(chunk.faults)
        if not self._always_valid:
            step = max(1, LOOKED_AT // max(1, self.shape[1:].numel()))
            for start in range(0, len(rows), step):
                values = chunk.values[start : start + step]
                x = self.transform(values)
                # scaling makes no value finite, so the raw values need not be checked where all scaled ones are
                nonfinite = (
                    {}
                    if bool(torch.isfinite(x).all())
                    else merged(find_nonfinite(values), find_refused(x, _within_32_bits))
                )
                own = merged(nonfinite, *(find_refused(x, check) for check in self.checks))
                found = merged(found, {start + index: why for index, why in own.items()})
        return self._record_bad(found, rows)

    def _record_bad(self, found: dict[int, str], rows: Array) -> list[int]:
        """Indices of invalid examples; each is recorded with its row in the source."""
        for index, why in found.items():
            row = int(rows[index])
            self.bad_examples.add(row, self.source.locate(row), why)
        return list(found)


def skip_rows(excluded: Array, numbers: Array) -> Array:
    """Rows of the examples with indices ``numbers`` among all rows except the ascending rows ``excluded``.

    >>> skip_rows(np.array([0, 2]), np.array([0, 1, 2])).tolist()
    [1, 3, 4]
    """
    rows: Array = numbers + np.searchsorted(excluded - np.arange(len(excluded)), numbers, side="right")
    return rows


def prefetch(items: Iterator[T]) -> Iterator[T]:
    """The same items; another thread computes each while the previous one is in use."""
    done = object()
    with ThreadPoolExecutor(1, thread_name_prefix="isthmus-reader") as reader:
        future = reader.submit(next, items, done)
        while (item := future.result()) is not done:
            future = reader.submit(next, items, done)
            yield item  # type: ignore[misc]


def _within_32_bits(x: Tensor) -> None:
    """Refuse values that float32 cannot represent.

    Raises:
        BadData: there are such values.
    """
    if not bool(torch.isfinite(x).all()):
        raise BadData("it holds NaN or values too large for 32-bit numbers")
