"""Data larger than memory made ready for a run: the training part stays on the disk, the others are small tensors.

Validation and test part are rows drawn at random by the seed, at most 5,000 and 10,000 and no more than 128 MiB each as
32-bit numbers; training is all others. What is measured on the training part (``data.scale``) is measured in one pass
over it.
"""

import math
import warnings
from dataclasses import replace

import numpy as np
import torch

from isthmus.data.arrays import counted
from isthmus.data.bad import Ledger
from isthmus.data.base import Array, Provenance
from isthmus.data.opening import is_bright
from isthmus.data.prepare import Part, Prepared, check_shape, check_trained_on_pixels, scaling_of
from isthmus.data.scaling import Scaling, measure
from isthmus.data.sources import BLOCK, Source, row_bytes
from isthmus.data.splits import MOST_VALIDATION
from isthmus.data.stored import Layout, Stored, beside, layout_of
from isthmus.data.treatment import PARTS, check_unit, drawn
from isthmus.errors import BadData, BadOption
from isthmus.options import DataOptions

MOST_TEST = 10_000
"""Examples of the test part of data on the disk."""
MOST_BYTES = 2**27
"""Bytes of a held-out part as 32-bit numbers: 128 MiB."""
COARSE = 2**24
"""Bytes of a block above which so few fit into a pool that a shuffle is coarse: 16 MiB."""
UNSCALED = Scaling("none", (0.0,), (1.0,))


def prepare_stored(source: Source, name: str, options: DataOptions, seed: int) -> Prepared:
    """Data on the disk as a run needs it; ``name`` is the path or name that was asked for.

    Raises:
        BadData: too few examples, bad ones that are not to be skipped, or values that ``data.binarise`` cannot take.
        BadOption: ``data.binarise=static``, which would have to be kept for each example.
    """
    if options.binarise == "static":
        raise BadOption(
            "data.binarise=static draws every example once and keeps it, but this data stays on the disk. Use "
            "data.binarise=dynamic, or write the binary data to a file first."
        )
    _warn_of_coarse(source)
    layout, ledger = layout_of(source, options.shape), Ledger(options.on_bad, len(source))
    most = max(1, MOST_BYTES // (4 * math.prod(layout.shape)))
    test, valid = held_rows(len(source), options, seed, source.name, most)
    train = _train(source, layout, ledger, np.sort(np.concatenate([test, valid])), options)
    held = {part: _held(train, part, rows, options, seed) for part, rows in (("valid", valid), ("test", test))}
    held, words = _counted(held, repr(source.name))
    return Prepared(
        Part(train, where=lambda index: source.place(int(train.rows(np.array([index]))[0]))),
        held["valid"],
        held["test"],
        shape=layout.shape,
        scaling=train.scaling,
        images=layout.images,
        dynamic=options.binarise == "dynamic",
        name=source.name,
        provenance=Provenance(name, source.files()),
        held_out="held-out part" if len(test) else "none",
        label_names=words,
        ledger=ledger,
    )


def _train(source: Source, layout: Layout, ledger: Ledger, held: Array, options: DataOptions) -> Stored:
    """The training part, scaled as its own values say."""
    raw = Stored(source, layout, UNSCALED, ledger, held).raw()
    scaling = measure(raw, options.scale, images=layout.images, pixels=is_bright(source))
    train = Stored(source, layout, scaling, ledger, held)
    if options.binarise == "dynamic":
        train.demand(lambda x: check_unit(x, f"{source.name!r}", options))
    return train


def stored_like(
    source: Source, shape: tuple[int, ...], scaling: Scaling, options: DataOptions, seed: int, *, clean: bool = True
) -> Stored:
    """Further data on the disk, treated as the training data was: examples of ``shape``, scaled by ``scaling``.

    What is not ``clean`` is only input, never a target, and is not made binary.

    Raises:
        ShapeError: examples of another shape.
        BadData: values in other units than the training data's.
    """
    layout = layout_of(source, options.shape)
    check_shape(layout.shape, shape)
    scaling, unit = scaling_of(scaling, images=layout.images, pixels=is_bright(source))
    binary = clean and options.binarise != "none"
    ledger = Ledger(options.on_bad, len(source))
    stored = Stored(source, layout, scaling, ledger, draws=seed if binary else None)
    if unit:
        stored.demand(check_trained_on_pixels)
    if binary:
        stored.demand(lambda x: check_unit(x, f"{source.name!r}", options))
    return stored


def held_rows(n: int, options: DataOptions, seed: int, name: str, most: int = MOST_TEST) -> tuple[Array, Array]:
    """Rows of the test and of the validation part of ``n`` examples, in random order; ``most`` at most of either.

    The test part depends on the seed and its own share alone.

    Raises:
        BadData: too few examples to give each asked part one.
    """
    parts = 1 + (options.test > 0) + (options.validation > 0)
    if n < parts:
        raise BadData(
            f"{name!r} has {n} examples, too few to give {parts} parts one each. Give more data, or set data.test=0 or "
            "data.validation=0."
        )
    rng = np.random.default_rng(seed)
    spare = parts - 1
    tests = min(max(round(options.test * n), 1), MOST_TEST, most, n - spare) if options.test else 0
    test = rng.choice(n, tests, replace=False)
    left = n - tests
    valids = min(max(round(options.validation * left), 1), MOST_VALIDATION, most, left - 1) if options.validation else 0
    return test, beside(np.sort(test), rng.choice(left, valids, replace=False))


def _held(train: Stored, part: str, rows: Array, options: DataOptions, seed: int) -> Part | None:
    """A held-out part as tensors: its good examples in random order."""
    if not len(rows):
        return None
    source = train.source
    every = Stored(source, train.layout, train.scaling, train.ledger)
    every.checks = train.checks
    x, good = every.picked(np.sort(rows))
    if not len(x):
        raise BadData(f"All {len(rows)} examples of the {part} part of {source.name!r} are bad. Look at the data.")
    order = np.random.default_rng([seed, PARTS.index(part)]).permutation(len(x))
    x, good = x[torch.from_numpy(order)], good[order]
    if options.binarise == "dynamic":
        x = drawn(x, seed, PARTS.index(part))
    return Part(x, source.labels(good), where=lambda index: source.place(int(good[index])))


def _counted(parts: dict[str, Part | None], name: str) -> tuple[dict[str, Part | None], tuple[str, ...]]:
    """The parts with labels as whole numbers, and the words behind them."""
    found = {key: part.labels for key, part in parts.items() if part is not None and part.labels is not None}
    if not found:
        return parts, ()
    numbers, words = counted(found, name)
    return {key: part and replace(part, labels=numbers.get(key)) for key, part in parts.items()}, words


def _warn_of_coarse(source: Source) -> None:
    """Say that a file of few and large blocks is shuffled coarsely."""
    largest = int(np.diff(source.cuts()).max()) * row_bytes(source)
    if largest > COARSE and len(source.cuts()) > 2 and not source.scattered:
        rows = max(1, BLOCK // row_bytes(source))
        warnings.warn(
            f"{source.name!r} has row groups of {largest / 2**20:,.0f} MiB, so examples are shuffled among few of them "
            f"at a time. Write it again with row_group_size={rows} for a finer shuffle.",
            stacklevel=3,
        )
