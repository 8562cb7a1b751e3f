"""Seeded splits into training, validation and test set.

Sets that the source provides are used unchanged. Where groups are known (persons, objects, photographs) no group is in
two sets, so that metrics measure generalization to new groups. The test set depends only on the seed and on its
fraction, not on that of the validation set.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from isthmus.data.base import Array, Dataset, Examples
from isthmus.errors import BadData, check_range
from isthmus.options import DataOptions

MOST_VALIDATION = 5_000

HeldOut = Literal["test set", "held-out set", "none"]


@dataclass(frozen=True)
class Splits:
    """The splits of a run; ``held_out`` states the origin of the test set."""

    train: Examples
    valid: Examples | None
    test: Examples | None
    held_out: HeldOut


def split(dataset: Dataset, options: DataOptions, seed: int) -> Splits:
    """Split a data set: the sets of the source where it has them, else rows sampled with ``seed``.

    Raises:
        BadData: too few examples, or too few groups, for the requested splits.
    """
    check_range("seed", seed, 0)
    train = dataset.train
    test_fraction = options.test if dataset.test is None else 0.0
    valid_fraction = options.validation if dataset.valid is None else 0.0
    count = 1 + (test_fraction > 0) + (valid_fraction > 0)
    if count == 1:
        return Splits(train, dataset.valid, dataset.test, _held_out(dataset, test_fraction))
    _check_enough(train, count, dataset.name)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(train))
    queue = order if train.groups is None else rng.permutation(np.unique(train.groups))

    test, queue = _take(train, queue, test_fraction * len(train), 1 + (valid_fraction > 0), test_fraction > 0)
    left = len(train) - int(test.sum())
    valid, _ = _take(train, queue, min(valid_fraction * left, MOST_VALIDATION), 1, valid_fraction > 0)
    return Splits(
        train.take(order[~(test | valid)[order]]),
        train.take(order[valid[order]]) if valid.any() else dataset.valid,
        train.take(order[test[order]]) if test.any() else dataset.test,
        _held_out(dataset, test_fraction),
    )


def _held_out(dataset: Dataset, fraction: float) -> HeldOut:
    if dataset.test is not None:
        return "test set"
    return "held-out set" if fraction > 0 else "none"


def _check_enough(train: Examples, count: int, name: str) -> None:
    """Check that each of ``count`` splits gets an example, and where groups are known a whole group."""
    advice = "Use more data, or set data.test=0 or data.validation=0."
    if len(train) < count:
        raise BadData(f"{name!r} has {len(train)} examples, too few for {count} splits. {advice}")
    groups = 0 if train.groups is None else len(np.unique(train.groups))
    if train.groups is not None and groups < count:
        raise BadData(
            f"{name!r} has {groups} groups (persons, objects or photographs), too few for {count} splits of whole "
            f"groups. {advice}"
        )


def _take(train: Examples, queue: Array, target: float, spare: int, wanted: bool) -> tuple[Array, Array]:
    """A mask (N,) of about ``target`` examples from the front of ``queue``, and the rest of the queue.

    ``queue`` holds rows, or groups where they are known; at least one is taken and ``spare`` are left.
    """
    if not wanted:
        return np.zeros(len(train), dtype=bool), queue
    if train.groups is None:
        count = min(max(round(target), 1), len(queue) - spare)
        mask = np.zeros(len(train), dtype=bool)
        mask[queue[:count]] = True
        return mask, queue[count:]
    taken = _nearest_groups(train.groups, queue, target, spare)
    return np.isin(train.groups, taken), queue[~np.isin(queue, taken)]


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
