"""Seeded splits into training, validation and test set.

Sets that the source provides are used unchanged. Where groups are known (persons, objects, photographs) no group is in
two sets, so that metrics measure generalization to new groups. The test set depends only on the seed and on its
fraction, not on that of the validation set.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from isthmus.data.base import Array
from isthmus.data.dataset import Dataset
from isthmus.data.sources.base import Source
from isthmus.errors import BadData, check_range
from isthmus.options import DataOptions

SPLITS = ("train", "valid", "test")
MOST_VALIDATION = 5_000
MOST_TEST = 10_000
"""Largest number of test examples of data on disk."""

HeldOut = Literal["test set", "held-out set", "none"]


@dataclass(frozen=True)
class SplitRows:
    """The rows of the training source that each split of a run consists of.

    Attributes:
        train: rows of the training set, in the order in which they are held.
        valid: rows of the validation set; ``None`` where the source provides one, or where none is wanted.
        test: rows of the test set; likewise.
        held_out: origin of the test set.
    """

    train: Array
    valid: Array | None
    test: Array | None
    held_out: HeldOut


def split(dataset: Dataset, options: DataOptions, seed: int) -> SplitRows:
    """Split a data set in memory: the sets of the source where it has them, else rows sampled with ``seed``.

    Raises:
        BadData: too few examples, or too few groups, for the requested splits.
    """
    check_range("seed", seed, 0)
    n, groups = len(dataset.train), dataset.train.groups()
    test_fraction, valid_fraction = _fractions(dataset, options)
    count = 1 + (test_fraction > 0) + (valid_fraction > 0)
    held_out = _held_out(dataset, test_fraction)
    if count == 1:
        return SplitRows(np.arange(n), None, None, held_out)
    _check_enough(n, groups, count, dataset.name)
    rng = np.random.default_rng(seed)
    order = rng.permutation(n)
    queue = order if groups is None else rng.permutation(np.unique(groups))

    test, queue = _take(n, groups, queue, test_fraction * n, 1 + (valid_fraction > 0), test_fraction > 0)
    left = n - int(test.sum())
    valid, _ = _take(n, groups, queue, min(valid_fraction * left, MOST_VALIDATION), 1, valid_fraction > 0)
    spanning = _spanning(dataset.train, groups, test, valid)
    test, valid = test & ~spanning, valid & ~spanning
    return SplitRows(
        order[~(test | valid | spanning)[order]],
        order[valid[order]] if valid.any() else None,
        order[test[order]] if test.any() else None,
        held_out,
    )


def draw_held_out(n: int, options: DataOptions, seed: int, name: str, most: int = MOST_TEST) -> tuple[Array, Array]:
    """Rows of the test and of the validation set of ``n`` examples, in random order, at most ``most`` of each.

    For data that is too large for a permutation. The test set depends only on the seed and on its fraction.

    Raises:
        BadData: too few examples for the requested splits.
    """
    splits = 1 + (options.test > 0) + (options.validation > 0)
    _check_enough(n, None, splits, name)
    rng = np.random.default_rng(seed)
    spare = splits - 1
    tests = min(max(round(options.test * n), 1), MOST_TEST, most, n - spare) if options.test else 0
    test = rng.choice(n, tests, replace=False)
    left = n - tests
    valids = min(max(round(options.validation * left), 1), MOST_VALIDATION, most, left - 1) if options.validation else 0
    return test, skip_rows(np.sort(test), rng.choice(left, valids, replace=False))


class HeldOutRows(NamedTuple):
    """The rows of the held-out sets of data on disk, and all that are not trained on, ascending."""

    test: Array
    valid: Array
    excluded: Array


def held_out_on_disk(source: Source, options: DataOptions, seed: int, most: int = MOST_TEST) -> HeldOutRows:
    """The held-out rows of data on disk; whole groups where they are known, of which at most ``most`` rows are used.

    The rest of a group that is held out is not trained on either. The test set depends only on the seed and on its
    fraction.

    Raises:
        BadData: too few examples, or too few groups, for the requested splits.
    """
    n, groups = len(source), source.groups()
    if groups is None:
        test, valid = draw_held_out(n, options, seed, source.name, most)
        return HeldOutRows(test, valid, np.sort(np.concatenate([test, valid])))
    spare = (options.test > 0) + (options.validation > 0)
    _check_enough(n, groups, 1 + spare, source.name)
    rng = np.random.default_rng(seed)
    queue = rng.permutation(np.unique(groups))
    tested, queue = _take(n, groups, queue, min(options.test * n, MOST_TEST, most), spare, options.test > 0)
    left = n - int(tested.sum())
    target = min(options.validation * left, MOST_VALIDATION, most)
    validated, _ = _take(n, groups, queue, target, 1, options.validation > 0)
    spanning = _spanning(source, groups, tested, validated)
    test, valid = (
        rng.permutation(np.flatnonzero(mask & ~spanning))[: min(largest, most)]
        for mask, largest in ((tested, MOST_TEST), (validated, MOST_VALIDATION))
    )
    return HeldOutRows(test, valid, np.flatnonzero(tested | validated | spanning))


def _spanning(source: Source, groups: Array | None, test: Array, valid: Array) -> Array:
    """A mask (n,) of the examples that span two groups in different sets, and so belong to none."""
    ends = source.end_groups()
    if groups is None or ends is None:
        return np.zeros(len(test), dtype=bool)
    tested, validated = (np.isin(ends, groups[mask]) for mask in (test, valid))
    return np.asarray((tested != test) | (validated != valid))


def fractions_on_disk(dataset: Dataset, options: DataOptions) -> DataOptions:
    """The options without the fractions of the sets that the source provides."""
    test, validation = _fractions(dataset, options)
    return options.model_copy(update={"test": test, "validation": validation})


def split_sizes(dataset: Dataset, options: DataOptions, seed: int, *, most: int | None) -> dict[str, int]:
    """The number of examples that each split has, without the rows of large sets.

    Args:
        dataset: the data set.
        options: fractions of the held-out sets.
        seed: seed of the split, on which the sizes depend if groups are kept together.
        most: largest size of a held-out set of data that stays on disk; ``None`` for data in memory.

    Raises:
        BadData: too few examples for the requested splits.
    """
    n, groups = len(dataset.train), dataset.train.groups()
    if most is not None:
        drawn = held_out_on_disk(dataset.train, fractions_on_disk(dataset, options), seed, most)
        sizes = {"train": n - len(drawn.excluded), "valid": len(drawn.valid), "test": len(drawn.test)}
        return _with_provided(sizes, dataset)
    if groups is not None:
        rows = split(dataset, options, seed)
        sizes = {name: 0 if own is None else len(own) for name, own in vars(rows).items() if name in SPLITS}
        return _with_provided(sizes, dataset)
    test, valid = _fractions(dataset, options)
    _check_enough(n, None, 1 + (test > 0) + (valid > 0), dataset.name)
    tests = _count(test * n, n, 1 + (valid > 0)) if test else 0
    valids = _count(min(valid * (n - tests), MOST_VALIDATION), n - tests, 1) if valid else 0
    return _with_provided({"train": n - tests - valids, "valid": valids, "test": tests}, dataset)


def _with_provided(sizes: dict[str, int], dataset: Dataset) -> dict[str, int]:
    """The sizes of splits with those that the source provides, without empty ones."""
    sizes |= {name: len(source) for name, source in dataset.splits.items() if name != "train"}
    return {name: size for name, size in sizes.items() if size}


def skip_rows(excluded: Array, numbers: Array) -> Array:
    """Rows of the examples with indices ``numbers`` among all rows except the ascending rows ``excluded``.

    >>> skip_rows(np.array([0, 2]), np.array([0, 1, 2])).tolist()
    [1, 3, 4]
    """
    rows: Array = numbers + np.searchsorted(excluded - np.arange(len(excluded)), numbers, side="right")
    return rows


def _fractions(dataset: Dataset, options: DataOptions) -> tuple[float, float]:
    """Fractions of the test and of the validation set, 0 for those that the source provides."""
    test = options.test if dataset.test is None else 0.0
    return test, options.validation if dataset.valid is None else 0.0


def _held_out(dataset: Dataset, fraction: float) -> HeldOut:
    if dataset.test is not None:
        return "test set"
    return "held-out set" if fraction > 0 else "none"


def _check_enough(n: int, groups: Array | None, count: int, name: str) -> None:
    """Check that each of ``count`` splits gets an example, and where groups are known a whole group."""
    advice = "Use more data, or set data.test=0 or data.validation=0."
    if n < count:
        raise BadData(f"{name!r} has {n} example{'s' if n > 1 else ''}, too few for {count} splits. {advice}")
    different = n if groups is None else len(np.unique(groups))
    if different < count:
        raise BadData(
            f"{name!r} has {different} groups (persons, objects, recordings or blocks of time), too few for {count} "
            f"splits of whole groups. {advice}"
        )


def _take(n: int, groups: Array | None, queue: Array, target: float, spare: int, wanted: bool) -> tuple[Array, Array]:
    """A mask (n,) of about ``target`` examples from the front of ``queue``, and the rest of the queue.

    ``queue`` holds rows, or groups where they are known; at least one is taken and ``spare`` are left.
    """
    if not wanted:
        return np.zeros(n, dtype=bool), queue
    if groups is None:
        count = _count(target, len(queue), spare)
        mask = np.zeros(n, dtype=bool)
        mask[queue[:count]] = True
        return mask, queue[count:]
    taken = _nearest_groups(groups, queue, target, spare)
    return np.isin(groups, taken), queue[~np.isin(queue, taken)]


def _count(target: float, of: int, spare: int) -> int:
    """The whole number nearest to a target size, of at least one, that leaves ``spare`` examples."""
    return min(max(round(target), 1), of - spare)


def _nearest_groups(groups: Array, queue: Array, target: float, spare: int) -> Array:
    """Groups in the order of ``queue``, each taken if it brings the number of examples closer to ``target``."""
    names, counts = np.unique(groups, return_counts=True)
    size = dict(zip(names.tolist(), counts.tolist(), strict=True))
    taken: list[object] = []
    total = 0
    for name in queue.tolist():
        if len(taken) + spare == len(queue):
            break
        if abs(total + size[name] - target) < abs(total - target):
            taken.append(name)
            total += size[name]
    # every group is more than twice the target, so the smallest is closest
    return np.array(taken or [min(queue.tolist(), key=lambda name: size[name])], dtype=queue.dtype)
