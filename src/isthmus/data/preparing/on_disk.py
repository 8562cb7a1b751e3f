"""Preparation of data larger than memory: the training set stays on disk, the other sets are small tensors.

Validation and test set are random rows, at most 5,000 and 10,000 and at most 128 MiB each as 32-bit numbers; all other
rows are the training set. ``data.scale`` is fitted in one pass over the training set.
"""

import math
import warnings
from dataclasses import replace

import numpy as np
import torch

from isthmus.data.base import Array, Provenance
from isthmus.data.formats.arrays import encode_labels
from isthmus.data.preparing.prepared import PreparedData, PreparedSplit
from isthmus.data.streaming.choice import is_8bit_source
from isthmus.data.streaming.lazy import Layout, StoredTensor, layout_of, skip_rows
from isthmus.data.streaming.sources import BLOCK, Source, row_bytes
from isthmus.data.transforms.bad_examples import BadExamples
from isthmus.data.transforms.checks import SPLITS, check_unit, draw_bernoulli
from isthmus.data.transforms.scaling import Scaling, measure
from isthmus.data.transforms.splits import MOST_VALIDATION
from isthmus.errors import BadData, BadOption
from isthmus.options import DataOptions

MOST_TEST = 10_000
"""Largest number of test examples of data on disk."""
MOST_BYTES = 2**27
"""Largest held-out set as 32-bit numbers, in bytes: 128 MiB."""
COARSE = 2**24
"""Size of a block, in bytes, above which so few fit into a pool that the shuffle is coarse: 16 MiB."""
UNSCALED = Scaling("none", (0.0,), (1.0,))


def prepare_on_disk(source: Source, name: str, options: DataOptions, seed: int) -> PreparedData:
    """Prepare data on disk for a run; ``name`` is the path or name that was requested.

    Raises:
        BadData: too few examples, invalid ones that are not to be skipped, or values outside [0, 1] to be binarized.
        BadOption: ``data.binarize=static``, whose samples would have to be stored.
    """
    if options.binarize == "static":
        raise BadOption(
            "data.binarize=static samples every example once and stores it, but this data stays on disk. Set "
            "data.binarize=dynamic, or write the binary data to a file first."
        )
    _warn_of_coarse_shuffle(source)
    layout, bad_examples = layout_of(source, options.shape), BadExamples(options.on_bad_data, len(source))
    most = max(1, MOST_BYTES // (4 * math.prod(layout.shape)))
    test, valid = draw_held_out(len(source), options, seed, source.name, most)
    train = _train(source, layout, bad_examples, np.sort(np.concatenate([test, valid])), options)
    held_out = {
        split: _held_out(train, split, rows, options, seed) for split, rows in (("valid", valid), ("test", test))
    }
    held_out, label_names = _with_integer_labels(held_out, repr(source.name))
    return PreparedData(
        PreparedSplit(train, locate=lambda index: source.locate(int(train.rows(np.array([index]))[0]))),
        held_out["valid"],
        held_out["test"],
        shape=layout.shape,
        scaling=train.scaling,
        images=layout.images,
        dynamic=options.binarize == "dynamic",
        name=source.name,
        provenance=Provenance(name, source.files()),
        held_out="held-out set" if len(test) else "none",
        label_names=label_names,
        bad_examples=bad_examples,
    )


def _train(
    source: Source, layout: Layout, bad_examples: BadExamples, excluded: Array, options: DataOptions
) -> StoredTensor:
    """The training set: all rows except ``excluded``, with the scaling fitted to it."""
    raw = StoredTensor(source, layout, UNSCALED, bad_examples, excluded).raw()
    scaling = measure(raw, options.scale, images=layout.images, pixels=is_8bit_source(source))
    train = StoredTensor(source, layout, scaling, bad_examples, excluded)
    if options.binarize == "dynamic":
        train.add_check(lambda x: check_unit(x, f"{source.name!r}", options))
    return train


def draw_held_out(n: int, options: DataOptions, seed: int, name: str, most: int = MOST_TEST) -> tuple[Array, Array]:
    """Rows of the test and of the validation set of ``n`` examples, in random order, at most ``most`` of each.

    The test set depends only on the seed and on its fraction.

    Raises:
        BadData: too few examples for the requested splits.
    """
    splits = 1 + (options.test > 0) + (options.validation > 0)
    if n < splits:
        raise BadData(
            f"{name!r} has {n} examples, too few for {splits} splits. Use more data, or set data.test=0 or "
            "data.validation=0."
        )
    rng = np.random.default_rng(seed)
    spare = splits - 1
    tests = min(max(round(options.test * n), 1), MOST_TEST, most, n - spare) if options.test else 0
    test = rng.choice(n, tests, replace=False)
    left = n - tests
    valids = min(max(round(options.validation * left), 1), MOST_VALIDATION, most, left - 1) if options.validation else 0
    return test, skip_rows(np.sort(test), rng.choice(left, valids, replace=False))


def _held_out(train: StoredTensor, split: str, rows: Array, options: DataOptions, seed: int) -> PreparedSplit | None:
    """A held-out set in memory: its valid examples in random order."""
    if not len(rows):
        return None
    source = train.source
    every = StoredTensor(source, train.layout, train.scaling, train.bad_examples)
    every.checks = train.checks
    x, kept = every.select(np.sort(rows))
    if not len(x):
        raise BadData(f"All {len(rows)} examples of the {split} split of {source.name!r} are invalid. Check the data.")
    order = np.random.default_rng([seed, SPLITS.index(split)]).permutation(len(x))
    x, kept = x[torch.from_numpy(order)], kept[order]
    if options.binarize == "dynamic":
        x = draw_bernoulli(x, seed, SPLITS.index(split))
    return PreparedSplit(x, source.labels(kept), locate=lambda index: source.locate(int(kept[index])))


def _with_integer_labels(
    splits: dict[str, PreparedSplit | None], name: str
) -> tuple[dict[str, PreparedSplit | None], tuple[str, ...]]:
    """The splits with labels as integers, and the names of the labels."""
    found = {key: split.labels for key, split in splits.items() if split is not None and split.labels is not None}
    if not found:
        return splits, ()
    encoded, label_names = encode_labels(found, name)
    return {key: split and replace(split, labels=encoded.get(key)) for key, split in splits.items()}, label_names


def _warn_of_coarse_shuffle(source: Source) -> None:
    """Warn that a file of few and large row groups is shuffled coarsely."""
    largest = int(np.diff(source.cuts()).max()) * row_bytes(source)
    if largest > COARSE and len(source.cuts()) > 2 and not source.scattered:
        rows = max(1, BLOCK // row_bytes(source))
        warnings.warn(
            f"{source.name!r} has row groups of {largest / 2**20:,.0f} MiB, so examples are shuffled among few of them "
            f"at a time. Write the file again with row_group_size={rows} for a finer shuffle.",
            stacklevel=3,
        )
