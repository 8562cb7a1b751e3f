"""Examples that stay on the disk: the lazy counterpart of a tensor (N, *shape).

They are read piece by piece and become what the model sees (channels first, scaled, float32) when they are read;
until then their raw bytes stay raw. Every piece is looked at for bad examples on its way.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from isthmus.data.arrays import CHANNELS, arranged
from isthmus.data.bad import Check, Ledger, merged, refused, unfinite
from isthmus.data.base import Array
from isthmus.data.scaling import Scaling
from isthmus.data.sources import Piece, Source, put, row_bytes, taken
from isthmus.data.treatment import PARTS, channels_first, drawn
from isthmus.errors import BadData

READ = 2**23
"""Raw bytes that are read at a time in order: 8 MiB."""
CHUNK_BYTES = 2**26
"""Bytes of a chunk of tensors, at most: 64 MiB."""
FIRST = 100
"""Examples that a new check sees at once."""
LOOKED_AT = 2**22
"""Values that are scaled at a time to look for bad examples."""

T = TypeVar("T")


@dataclass(frozen=True)
class Layout:
    """What the axes of a raw example mean.

    ``row`` is the shape a table's row is given, ``first`` says that channels stand first already, ``images`` that
    examples are images; ``shape`` is that of an example as the model sees it, (D,) or (C, H, W).
    """

    row: tuple[int, ...] | None
    first: bool
    images: bool
    shape: tuple[int, ...]

    def tensor(self, values: Array) -> Tensor:
        """Raw values (n, ...) as a tensor (n, *shape) of their own type."""
        values = values.reshape(len(values), *self.row) if self.row else values
        values = values.view(np.uint8) if values.dtype.kind == "b" else values
        return channels_first(values, self.images and not self.first)


def layout_of(source: Source, row: tuple[int, ...] | None) -> Layout:
    """The layout of a source's examples; ``row`` is the option ``data.shape``.

    Raises:
        BadData: examples that are neither rows of numbers nor images.
    """
    blank = np.zeros((1, *source.shape), source.dtype)
    made = arranged(blank, row, repr(source.name))
    raw = row or source.shape
    first = len(raw) == 3 and raw[-1] not in CHANNELS
    images = made.ndim > 2
    return Layout(row, first, images, tuple(channels_first(made, images).shape[1:]))


class Slab(NamedTuple):
    """Consecutive examples: the good ones as a tensor, how many there are in all, and which of them are bad."""

    x: Tensor
    size: int
    bad: list[int]


class Lazy(Protocol):
    """Examples (N, *shape) that are not in memory: what a part asks of them."""

    @property
    def shape(self) -> torch.Size:
        """Shape of the tensor that this stands for."""
        ...

    def __len__(self) -> int:
        """Number of examples."""
        ...

    def __getitem__(self, rows: slice) -> Tensor:
        """Some examples as a tensor."""
        ...

    def chunks(self, size: int) -> Iterator[Tensor]:
        """The good examples in order, at most ``size`` at a time."""
        ...

    def sample(self, count: int, seed: int) -> Tensor:
        """Good examples drawn at random."""
        ...

    def demand(self, check: Check) -> None:
        """From now on take examples that ``check`` refuses for bad ones."""
        ...


class Stored:
    """Examples (N, *shape) in a source, treated as the model takes them when they are read.

    Args:
        source: where the raw examples are.
        layout: what their axes mean.
        scaling: how values become what the model sees.
        ledger: notes bad examples, or refuses them.
        held: rising rows of the source that belong to other parts.
        draws: a seed where values are to be drawn once as Bernoulli(x) when they are read in order.
    """

    def __init__(
        self,
        source: Source,
        layout: Layout,
        scaling: Scaling,
        ledger: Ledger,
        held: Array | None = None,
        *,
        draws: int | None = None,
    ) -> None:
        self.source, self.layout, self.scaling, self.ledger, self.draws = source, layout, scaling, ledger, draws
        self.held = np.zeros(0, np.int64) if held is None else held
        self.checks: list[Check] = []
        self._sure = self._proven()

    def __len__(self) -> int:
        """Number of examples, bad ones included."""
        return len(self.source) - len(self.held)

    @property
    def shape(self) -> torch.Size:
        """Shape of the tensor that this stands for."""
        return torch.Size((len(self), *self.layout.shape))

    @property
    def row_bytes(self) -> int:
        """Raw bytes of one example."""
        return row_bytes(self.source)

    def __getitem__(self, rows: slice) -> Tensor:
        """Consecutive examples as a tensor; bad ones are left out."""
        start, stop, _ = rows.indices(len(self))
        return self._slab(start, max(start, stop)).x

    def demand(self, check: Check) -> None:
        """From now on take examples that ``check`` refuses for bad ones.

        Raises:
            BadData: it refuses more than half of the first examples: the data, not an example, is at fault.
        """
        self.checks.append(check)
        self._sure = self._proven()
        if not self._sure:
            x = self.treated(self._read(0, min(len(self), FIRST))[0].values)
            if len(refused(x, check)) > len(x) / 2:
                check(x)

    def _proven(self) -> bool:
        """Whether no example can be refused: a byte has 256 values, and all of them pass."""
        if self.source.dtype != np.uint8 or len(self.scaling.scale) > 1:
            return False
        every = self.scaling.apply(torch.arange(256, dtype=torch.uint8).unsqueeze(1)).float()
        return not any(refused(every, check) for check in self.checks)

    def treated(self, values: Array) -> Tensor:
        """Raw values (n, ...) as the model sees them: (n, *shape), float32."""
        return self.scaling.apply(self.layout.tensor(values)).to(torch.float32).contiguous()

    def cuts(self) -> Array:
        """The examples, rising from 0 to N, between which ranges are cheap to read."""
        cuts = self.source.cuts()
        return np.unique(cuts - np.searchsorted(self.held, cuts))

    def gathered(self, spans: Sequence[tuple[int, int]], rng: np.random.Generator, into: Array | None = None) -> Array:
        """The raw examples of some ranges, one after the other; the place of a bad one is taken by a good one.

        They are put ``into`` an array where one of their number or more is given.

        Raises:
            BadData: a bad example where the policy is to stop, or no good one to take its place.
        """
        total = sum(stop - start for start, stop in spans)
        values = self.blank(total) if into is None else into[:total]
        bad: list[int] = []
        at = 0
        for start, stop in spans:
            place = values[at : at + stop - start]
            piece, rows = self._read(start, stop, place)
            put(piece, place)
            bad += [at + index for index in self._met(piece, rows)]
            at += len(rows)
        if bad:
            good = np.setdiff1d(np.arange(total), bad)
            if not len(good):
                raise BadData(f"All of {total} examples read together from {self.source.name!r} are bad.")
            values[bad] = values[rng.choice(good, len(bad))]
        return values

    def blank(self, count: int) -> Array:
        """Room for so many raw examples."""
        return np.empty((count, *self.source.shape), self.source.dtype)

    def slabs(self, size: int) -> Iterator[Slab]:
        """All examples in order, at most ``size`` at a time, read ahead by one."""
        size = min(size, max(1, CHUNK_BYTES // (4 * self.shape[1:].numel())))
        # whole chunks to a read, so that chunks do not depend on how much is read at a time
        step = max(1, READ // self.row_bytes // size) * size

        def read() -> Iterator[list[Slab]]:
            for start in range(0, len(self), step):
                stop = min(start + step, len(self))
                yield self._slabs(start, stop, size)

        for slabs in ahead(read()):
            yield from slabs

    def chunks(self, size: int) -> Iterator[Tensor]:
        """All good examples in order, at most ``size`` at a time."""
        return (slab.x for slab in self.slabs(size) if len(slab.x))

    def sample(self, count: int, seed: int) -> Tensor:
        """``count`` examples (all, where there are fewer) drawn at random without repetition; good ones only."""
        rng = np.random.default_rng(seed)
        chosen = rng.choice(len(self), min(count, len(self)), replace=False)
        x, _ = self.picked(np.sort(chosen))
        return x[torch.from_numpy(rng.permutation(len(x)))]

    def raw(self) -> Iterator[Tensor]:
        """All good examples in order and in their own type, some MiB at a time, before any scaling."""
        step = max(1, READ // self.row_bytes)
        for start in range(0, len(self), step):
            piece, rows = self._read(start, min(start + step, len(self)))
            bad = self._noted(merged(piece.faults, unfinite(piece.values)), rows)
            yield self.layout.tensor(np.delete(piece.values, bad, axis=0) if bad else piece.values)

    def picked(self, chosen: Array) -> tuple[Tensor, Array]:
        """The good ones of some examples, by rising number, and their rows in the source."""
        rows = self.rows(chosen)
        piece = taken(self.source, rows)
        good = np.delete(np.arange(len(rows)), self._met(piece, rows))
        return self.treated(piece.values[good]), rows[good]

    def _slabs(self, start: int, stop: int, size: int) -> list[Slab]:
        piece, rows = self._read(start, stop)
        bad = np.array(self._met(piece, rows), dtype=np.int64)
        slabs = []
        for first in range(0, len(rows), size):
            values = piece.values[first : first + size]
            here = bad[(bad >= first) & (bad < first + len(values))] - first
            kept = np.delete(values, here, axis=0) if len(here) else values
            x = self.treated(kept)
            x = x if self.draws is None else drawn(x, self.draws, len(PARTS), start + first)
            slabs.append(Slab(x, len(values), here.tolist()))
        return slabs

    def _slab(self, start: int, stop: int) -> Slab:
        if start == stop:
            return Slab(torch.zeros(0, *self.layout.shape), 0, [])
        return self._slabs(start, stop, stop - start)[0]

    def rows(self, numbers: Array) -> Array:
        """Rows of the source, of examples by their number in this part."""
        return beside(self.held, numbers)

    def _read(self, start: int, stop: int, into: Array | None = None) -> tuple[Piece, Array]:
        """Raw examples ``start`` to ``stop`` of this part, and their rows in the source."""
        rows = self.rows(np.arange(start, stop))
        first, last = int(rows[0]), int(rows[-1]) + 1
        if last - first == len(rows):
            return self.source.read(first, last, into), rows
        piece = self.source.read(first, last)
        kept = rows - first
        new = {row: index for index, row in enumerate(kept.tolist())} if piece.faults else {}
        return Piece(piece.values[kept], {new[row]: why for row, why in piece.faults.items() if row in new}), rows

    def _met(self, piece: Piece, rows: Array) -> list[int]:
        """The bad examples of a piece by rising index, each noted in the ledger."""
        found = merged(piece.faults)
        if not self._sure:
            step = max(1, LOOKED_AT // max(1, self.shape[1:].numel()))
            for start in range(0, len(rows), step):
                values = piece.values[start : start + step]
                x = self.treated(values)
                # what is not finite is not made finite by scaling, so the raw values need no look of their own
                odd = {} if bool(torch.isfinite(x).all()) else merged(unfinite(values), refused(x, _within_32_bits))
                here = merged(odd, *(refused(x, check) for check in self.checks))
                found = merged(found, {start + index: why for index, why in here.items()})
        return self._noted(found, rows)

    def _noted(self, found: dict[int, str], rows: Array) -> list[int]:
        """The indices of bad examples, each told to the ledger with its row in the source."""
        for index, why in found.items():
            row = int(rows[index])
            self.ledger.meet(row, self.source.place(row), why)
        return list(found)


def beside(held: Array, numbers: Array) -> Array:
    """Rows of examples that are numbered without the rising rows ``held``.

    >>> beside(np.array([0, 2]), np.array([0, 1, 2])).tolist()
    [1, 3, 4]
    """
    rows: Array = numbers + np.searchsorted(held - np.arange(len(held)), numbers, side="right")
    return rows


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items, each made by another thread while the one before it is in use."""
    done = object()
    with ThreadPoolExecutor(1, thread_name_prefix="isthmus-reader") as reader:
        coming = reader.submit(next, items, done)
        while (item := coming.result()) is not done:
            coming = reader.submit(next, items, done)
            yield item  # type: ignore[misc]


def _within_32_bits(x: Tensor) -> None:
    """Refuse values that float32 cannot hold.

    Raises:
        BadData: there are some.
    """
    if not bool(torch.isfinite(x).all()):
        raise BadData("it holds values too large for 32-bit numbers, or none (NaN)")
