"""Examples that come as a stream of pieces whose end nobody knows: from a socket, a simulation, a queue.

    pieces = (simulate(seed) for seed in itertools.count())         # arrays (n, ...)
    it.fit("vae", Flow(pieces, population=100_000), epochs=3)

The head of the stream, read once, gives the held-out parts and what is measured of the data (scaling, brightness);
training takes what follows, in pools that are shuffled. An iterable that can be begun again is, at every epoch; an
iterator goes on, so its epochs have other examples and a run on it cannot be taken up again.
"""

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from isthmus.data.arrays import bright
from isthmus.data.bad import Check, Ledger
from isthmus.data.base import Array, Provenance
from isthmus.data.large import MOST_BYTES, UNSCALED, held_rows
from isthmus.data.prepare import Part, Prepared
from isthmus.data.scaling import measure
from isthmus.data.sources import ArraySource
from isthmus.data.stored import Stored, layout_of
from isthmus.data.treatment import PARTS, check_unit, drawn
from isthmus.errors import BadData, BadOption, check_range
from isthmus.options import DataOptions

HEAD = 2
"""The head has this many times the examples that are held out, so that it also tells what the data is like."""


class Flow:
    """A stream of raw examples.

    Args:
        pieces: arrays or tensors (n, ...) of raw examples, n free; an iterator, or what can be iterated again.
        population: examples in an epoch, and for penalties the number of training examples.

    Raises:
        BadOption: a population below 2.
    """

    def __init__(self, pieces: Iterable[Array | Tensor], population: int) -> None:
        check_range("The population of a stream", population, 2)
        self.pieces, self.population = pieces, population
        self.once = isinstance(pieces, Iterator)

    def arrays(self) -> Iterator[Array]:
        """The pieces from the beginning, or from where an iterator stands."""
        for number, piece in enumerate(self.pieces):
            values = piece.detach().cpu().numpy() if isinstance(piece, Tensor) else np.asarray(piece)
            if values.ndim < 2:
                raise BadData(
                    f"Piece {number} of the stream has shape {values.shape}; pieces (n, ...) of n examples each are "
                    "needed. Wrap a single example in a list."
                )
            yield values


class Flowing:
    """The training part of a stream: what follows its head.

    Args:
        flow: the stream.
        like: its head as stored examples, whose layout, scaling and checks are those of all that follows.
        left: raw examples that were read after the head.

    Attributes:
        epochs: how many were read to their end.
    """

    def __init__(self, flow: Flow, like: Stored, left: Array) -> None:
        self.flow, self.like = flow, like
        self.epochs = 0
        self._left = left

    def __len__(self) -> int:
        """Examples in an epoch."""
        return self.flow.population

    @property
    def shape(self) -> torch.Size:
        """Shape of the tensor that an epoch stands for."""
        return torch.Size((len(self), *self.like.layout.shape))

    @property
    def row_bytes(self) -> int:
        """Raw bytes of one example."""
        return self.like.row_bytes

    def demand(self, check: Check) -> None:
        """From now on take examples that ``check`` refuses for bad ones."""
        self.like.demand(check)

    def sample(self, count: int, seed: int) -> Tensor:
        """Examples from the head, which stand for the rest."""
        return self.like.sample(count, seed)

    def __getitem__(self, rows: slice) -> Tensor:
        """Examples from the head."""
        return self.like[rows]

    def treated(self, values: Array) -> Tensor:
        """Raw values (n, ...) as the model sees them."""
        return self.like.treated(values)

    def chunks(self, size: int) -> Iterator[Tensor]:
        """The good examples of the head, which stand for the rest."""
        return self.like.chunks(size)

    def pools(self, sizes: Sequence[int], seeds: Sequence[int]) -> Iterator[Array]:
        """An epoch's raw examples, so many at a time; the place of a bad one is taken by a good one of its pool.

        Raises:
            BadData: the stream ends too early, or changes its shape.
        """
        coming, seen = self._coming(), 0
        left = self._left if self.flow.once else self._left[:0]
        for size, seed in zip(sizes, seeds, strict=True):
            parts, count = [left], len(left)
            while count < size:
                parts.append(next(coming, left[:0]))
                if not len(parts[-1]):
                    raise BadData(
                        f"The stream ended after {seen + count:,} examples beyond its first {len(self.like):,}, but an "
                        f"epoch has {len(self):,}. Give a smaller population, or a stream that goes on."
                    )
                count += len(parts[-1])
            values = np.concatenate(parts)
            left = self._left = values[size:]
            yield self._good(values[:size], seen, seed)
            seen += size
        self.epochs += 1

    def _coming(self) -> Iterator[Array]:
        """The pieces of an epoch, without the head."""
        skip = 0 if self.flow.once else len(self.like)
        for piece in self.flow.arrays():
            if piece.shape[1:] != self.like.source.shape:
                raise BadData(
                    f"The stream began with examples of shape {self.like.source.shape} and now has {piece.shape[1:]}. "
                    "Give all the same shape."
                )
            kept = piece[skip:]
            skip = max(0, skip - len(piece))
            if len(kept):
                yield kept.astype(self.like.source.dtype, copy=False)

    def _good(self, values: Array, seen: int, seed: int) -> Array:
        """The same values, with each bad example replaced."""
        known = self.like.ledger
        source = ArraySource(values, "the stream", first=len(self.like) + seen)
        pool = Stored(source, self.like.layout, self.like.scaling, Ledger(known.policy, len(values)))
        pool.checks = self.like.checks
        good = pool.gathered([(0, len(values))], np.random.default_rng(seed))
        if self.flow.once or not self.epochs:
            # what is begun again has the same bad examples every time
            known.absorb(pool.ledger)
        return good


def prepare_flow(flow: Flow, options: DataOptions, seed: int) -> Prepared:
    """A stream as a run needs it.

    Raises:
        BadData: it ends within its head, or holds bad examples that are not to be skipped.
        BadOption: an option that needs all examples at hand.
    """
    if options.binarise == "static":
        raise BadOption("data.binarise=static keeps what it draws, which a stream cannot. Use data.binarise=dynamic.")
    head, left, valid, test = _head(flow, options, seed)
    source = ArraySource(head, "the stream")
    layout, ledger = layout_of(source, options.shape), Ledger(options.on_bad, flow.population + len(head))
    raw = Stored(source, layout, UNSCALED, ledger).raw()
    scaling = measure(raw, options.scale, images=layout.images, pixels=bright([head]))
    like = Stored(source, layout, scaling, ledger)
    if options.binarise == "dynamic":
        like.demand(lambda x: check_unit(x, "The stream", options))
    x = like.sample(len(head), seed)
    held = {"valid": x[:valid], "test": x[valid : valid + test]}
    if options.binarise == "dynamic":
        held = {part: drawn(x, seed, PARTS.index(part)) for part, x in held.items()}
    return Prepared(
        Part(Flowing(flow, like, left)),
        Part(held["valid"]) if valid else None,
        Part(held["test"]) if test else None,
        shape=layout.shape,
        scaling=scaling,
        images=layout.images,
        dynamic=options.binarise == "dynamic",
        name="stream",
        provenance=Provenance("stream"),
        held_out="held-out part" if test else "none",
        ledger=ledger,
    )


def _head(flow: Flow, options: DataOptions, seed: int) -> tuple[Array, Array, int, int]:
    """The first raw examples, those that were read with them, and how many validation and test part are to have."""
    coming = flow.arrays()
    parts = [next(coming, np.zeros((0, 1)))]
    most = max(1, MOST_BYTES // (4 * max(1, math.prod(parts[0].shape[1:]))))
    test, valid = (len(rows) for rows in held_rows(flow.population, options, seed, "the stream", most))
    needed = HEAD * (test + valid) or 1
    while sum(map(len, parts)) < needed:
        piece = next(coming, None)
        if piece is None:
            raise BadData(
                f"The stream ended after {sum(map(len, parts)):,} examples; its head alone needs {needed:,}. Give a "
                "smaller population, or set data.test and data.validation lower."
            )
        parts.append(piece)
    values = np.concatenate(parts)
    return values[:needed], values[needed:], valid, test
