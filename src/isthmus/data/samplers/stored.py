"""Examples of a source as model inputs (N, *shape), read on demand or loaded into memory.

Raw values are converted by the data contract (channels first, scaled, float32) when they are read. Every chunk is
checked for invalid examples.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from isthmus.data.base import Array, Location
from isthmus.data.sources.arrays import Examples
from isthmus.data.sources.base import RawChunk, Source, copy_into, row_bytes
from isthmus.data.transforms.axes import unit_axis
from isthmus.data.transforms.bad_examples import BadExamples, Check, find_nonfinite, find_refused, merged
from isthmus.data.transforms.binary import draw_bernoulli
from isthmus.data.transforms.contract import DataContract
from isthmus.data.transforms.layout import Layout
from isthmus.data.transforms.pixels import PixelTensor
from isthmus.data.transforms.scaling import BRIGHTEST_OF
from isthmus.data.transforms.splits import SPLITS, skip_rows
from isthmus.errors import BadData

READ = 2**23
"""Raw bytes per read of examples in order: 8 MiB."""
CHUNK_BYTES = 2**26
"""Largest chunk of model inputs, in bytes: 64 MiB."""
FIRST = 100
"""Examples to which a new check is applied at once."""
SPARSE = 2
"""How many times more rows a range may have than are wanted of it, to be read in one piece."""
MANY = 2**22
"""Values from which on 8-bit images in memory stay bytes: 16 MiB as float32."""
LOOKED_AT = 2**22
"""Values that are scaled at a time to find invalid examples."""

T = TypeVar("T")


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


TrainingExamples = Tensor | PixelTensor | LazyTensor
"""Training examples in memory, as model inputs or as bytes, or read on demand."""


class StoredTensor:
    """Examples (N, *shape) of a source, converted to model inputs when they are read.

    Args:
        source: the raw examples.
        contract: how they become model inputs.
        bad_examples: record of invalid examples.
        excluded: ascending rows of the source that belong to other splits.
        layout: meaning of the axes, if not that of new data for the contract.
        missing: whether NaN marks a missing cell; otherwise it makes an example invalid.
        first: number of examples before those of the source in the record of invalid examples.
        bernoulli_seed: seed with which values are sampled once from Bernoulli(x) when they are read in order; ``None``
            leaves them unchanged.

    Attributes:
        checks: each refuses examples, which are invalid then.
        always_valid: whether no example that can be decoded is invalid, whatever its values.
        clip: the last step from raw values to model inputs, if any.
    """

    def __init__(
        self,
        source: Source,
        contract: DataContract,
        bad_examples: BadExamples,
        excluded: Array | None = None,
        *,
        layout: Layout | None = None,
        missing: bool = False,
        first: int = 0,
        bernoulli_seed: int | None = None,
    ) -> None:
        self.source, self.contract, self.bad_examples = source, contract, bad_examples
        self.layout = contract.layout_for(source) if layout is None else layout
        self.scaling = contract.scaling_for(source)
        self.missing, self.first, self.bernoulli_seed = missing, first, bernoulli_seed
        self.excluded = np.zeros(0, np.int64) if excluded is None else excluded
        self.checks: list[Check] = []
        self.clip: Callable[[Tensor], Tensor] | None = None
        self.always_valid = self._cannot_be_invalid()

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
        self.always_valid = self._cannot_be_invalid()
        if not self.always_valid:
            x = self.transform(self._read(0, min(len(self), FIRST))[0].values)
            if len(find_refused(x, check)) > len(x) / 2:
                check(x)

    def _cannot_be_invalid(self) -> bool:
        """Whether no example can be invalid: pixels have 256 or 65,536 values, and all of them pass the checks."""
        largest = BRIGHTEST_OF.get(self.source.dtype.name)
        if largest is None or len(self.scaling.scale) > 1 or self.contract.missing:
            return False
        every = self.scaling.apply(torch.arange(largest + 1, dtype=torch.float64).unsqueeze(1)).float()
        return not any(find_refused(every, check) for check in self.checks)

    def transform(self, values: Array) -> Tensor:
        """Raw values (n, ...) as model inputs (n, *shape), float32."""
        values = self.contract.without_sentinels(values)
        x = self.scaling.apply(self.layout.tensor(values)).to(torch.float32).contiguous()
        return x if self.clip is None else self.clip(x)

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
            bad = self._record_bad(merged(chunk.faults, find_nonfinite(chunk.values, missing=self.missing)), rows)
            values = np.delete(chunk.values, bad, axis=0) if bad else chunk.values
            yield self.layout.tensor(self.contract.without_sentinels(values))

    def select(self, chosen: Array) -> tuple[Tensor, Array]:
        """The valid ones of some examples, given by ascending index, and their rows in the source."""
        rows = self.rows(chosen)
        chunk = self.source.at(rows)
        x = self.transform(chunk.values)
        valid = np.delete(np.arange(len(rows)), self._find_bad(chunk, rows, x))
        return x[valid], rows[valid]

    def load(self, rows: Array | None = None) -> tuple[Tensor, Array]:
        """The valid ones of the examples at some rows of the source (all by default), in that order; and their rows.

        Raises:
            BadData: all of them are invalid.
        """
        rows = np.arange(len(self.source)) if rows is None else rows
        x = torch.empty(len(rows), *self.layout.shape)
        kept: list[Array] = []
        # in pieces that are small as scaled values too, which for 8-bit images take four times the memory
        step, done = max(1, READ // max(self.row_bytes, x[:1].nbytes)), 0
        for start in range(0, len(rows), step):
            own = rows[start : start + step]
            chunk = self.source.at(own)
            values = self.transform(chunk.values)
            bad = self._find_bad(chunk, own, values)
            valid = np.delete(own, bad)
            x[done : done + len(valid)] = values[np.delete(np.arange(len(own)), bad)] if bad else values
            done += len(valid)
            kept.append(valid)
        if not done:
            raise BadData(f"All {len(rows)} examples of {self.source.name!r} are invalid. Check the data.")
        return x[:done], np.concatenate(kept)

    def load_pixels(self, rows: Array) -> PixelTensor | None:
        """The examples at some rows of the source as bytes, if they are many 8-bit images; ``None`` otherwise."""
        shape = self.shape[1:]
        if len(rows) * shape.numel() < MANY or unit_axis(shape) is not None or self.layout.recolor:
            return None
        if self.source.dtype != np.uint8 or not self.always_valid:
            return None
        raw = torch.empty(len(rows), *shape, dtype=torch.uint8)
        step = max(1, READ // self.row_bytes)
        for start in range(0, len(rows), step):
            chunk = self.source.at(rows[start : start + step])
            if chunk.faults:
                return None
            raw[start : start + step] = self.layout.tensor(chunk.values)
        return PixelTensor(raw, self.scaling)

    def _blocks(self, start: int, stop: int, size: int) -> list[Block]:
        chunk, rows = self._read(start, stop)
        inputs = self.transform(chunk.values)
        bad = np.array(self._find_bad(chunk, rows, inputs), dtype=np.int64)
        blocks = []
        for first in range(0, len(rows), size):
            values = inputs[first : first + size]
            own = bad[(bad >= first) & (bad < first + len(values))] - first
            x = values[np.delete(np.arange(len(values)), own)] if len(own) else values
            if self.bernoulli_seed is not None:
                x = draw_bernoulli(x, self.bernoulli_seed, len(SPLITS), shared=True)
            blocks.append(Block(x, len(values), own.tolist()))
        return blocks

    def _block(self, start: int, stop: int) -> Block:
        if start == stop:
            return Block(torch.zeros(0, *self.layout.shape), 0, [])
        return self._blocks(start, stop, stop - start)[0]

    def rows(self, numbers: Array) -> Array:
        """Rows in the source of examples given by their index in this split."""
        return skip_rows(self.excluded, numbers)

    def locate(self, number: int) -> Location:
        """The location in the source of an example given by its index in this split."""
        return self.source.locate(int(self.rows(np.array([number]))[0]))

    def _read(self, start: int, stop: int, into: Array | None = None) -> tuple[RawChunk, Array]:
        """Raw examples ``start`` to ``stop`` of this split, and their rows in the source."""
        rows = self.rows(np.arange(start, stop))
        first, last = int(rows[0]), int(rows[-1]) + 1
        if last - first == len(rows):
            return self.source.read(first, last, into), rows
        if last - first > SPARSE * len(rows):
            # a whole group that is held out lies between them
            return self.source.at(rows), rows
        chunk = self.source.read(first, last)
        kept = rows - first
        index_of = {row: index for index, row in enumerate(kept.tolist())} if chunk.faults else {}
        faults = {index_of[row]: why for row, why in chunk.faults.items() if row in index_of}
        return RawChunk(chunk.values[kept], faults), rows

    def _find_bad(self, chunk: RawChunk, rows: Array, inputs: Tensor | None = None) -> list[int]:
        """Ascending indices of the invalid examples of a chunk with these model ``inputs``; each is recorded."""
        found = merged(chunk.faults)
        if not self.always_valid:
            step = max(1, LOOKED_AT // max(1, self.shape[1:].numel()))
            for start in range(0, len(rows), step):
                values = chunk.values[start : start + step]
                x = self.transform(values) if inputs is None else inputs[start : start + step]
                # scaling makes no value finite, so the raw values need not be checked where all scaled ones are
                # and so does their sum, without a temporary array
                nonfinite = (
                    {}
                    if math.isfinite(float(x.sum()))
                    else merged(find_nonfinite(values, missing=self.missing), find_refused(x, self._within_32_bits))
                )
                own = merged(nonfinite, *(find_refused(x, check) for check in self.checks))
                found = merged(found, {start + index: why for index, why in own.items()})
        return self._record_bad(found, rows)

    def _within_32_bits(self, x: Tensor) -> None:
        """Refuse values that float32 cannot represent; NaN too, unless it marks a missing cell.

        Raises:
            BadData: there are such values.
        """
        if bool((torch.isinf(x) if self.missing else ~torch.isfinite(x)).any()):
            advice = " (set data.scale=standard)" if self.scaling.kind in ("auto", "none") else ""
            raise BadData(f"it holds values too large for 32-bit numbers{advice}")

    def _record_bad(self, found: dict[int, str], rows: Array) -> list[int]:
        """Indices of invalid examples; each is recorded with its row in the source."""
        if found and self.bad_examples.policy == "stop":
            known = self.source.faults if isinstance(self.source, Examples) else {}
            bad = {**{int(rows[index]): why for index, why in found.items()}, **known}
            self.bad_examples.stop([(self.source.locate(row), bad[row]) for row in sorted(bad)], all_known=bool(known))
        for index, why in found.items():
            row = int(rows[index])
            self.bad_examples.add(self.first + row, self.source.locate(row), why)
        return list(found)


def prefetch(items: Iterator[T]) -> Iterator[T]:
    """The same items; another thread computes each while the previous one is in use."""
    done = object()
    with ThreadPoolExecutor(1, thread_name_prefix="isthmus-reader") as reader:
        future = reader.submit(next, items, done)
        while (item := future.result()) is not done:
            future = reader.submit(next, items, done)
            yield item  # type: ignore[misc]
