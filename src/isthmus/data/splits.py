"""Seeded splits into training, validation and test part.

Parts that the source has are used as they are. Where groups are known (persons, objects, photographs) a group
is never in two parts, so that a figure tells about new ones. The test part depends on the seed and its own share
alone: another validation share leaves it as it is.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from isthmus.data.base import Array, Dataset, Examples
from isthmus.errors import BadData, check_range
from isthmus.options import DataOptions

MOST_VALIDATION = 5_000

HeldOut = Literal["test part", "held-out part", "none"]


@dataclass(frozen=True)
class Split:
    """The parts of a run; ``held_out`` says where the test part came from."""

    train: Examples
    valid: Examples | None
    test: Examples | None
    held_out: HeldOut


def split(dataset: Dataset, options: DataOptions, seed: int) -> Split:
    """The parts of a data set: the source's own where it has them, else rows drawn with ``seed``.

    Raises:
        BadData: too few examples, or too few groups, to give each asked part one.
    """
    check_range("seed", seed, 0)
    train = dataset.train
    test_share = options.test if dataset.test is None else 0.0
    valid_share = options.validation if dataset.valid is None else 0.0
    parts = 1 + (test_share > 0) + (valid_share > 0)
    if parts == 1:
        return Split(train, dataset.valid, dataset.test, _held_out(dataset, test_share))
    _check_enough(train, parts, dataset.name)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(train))
    queue = order if train.groups is None else rng.permutation(np.unique(train.groups))

    test, queue = _draw(train, queue, test_share * len(train), 1 + (valid_share > 0), test_share > 0)
    left = len(train) - int(test.sum())
    valid, _ = _draw(train, queue, min(valid_share * left, MOST_VALIDATION), 1, valid_share > 0)
    return Split(
        train.take(order[~(test | valid)[order]]),
        train.take(order[valid[order]]) if valid.any() else dataset.valid,
        train.take(order[test[order]]) if test.any() else dataset.test,
        _held_out(dataset, test_share),
    )


def _held_out(dataset: Dataset, share: float) -> HeldOut:
    if dataset.test is not None:
        return "test part"
    return "held-out part" if share > 0 else "none"


def _check_enough(train: Examples, parts: int, name: str) -> None:
    """Each part needs an example, and where groups are known a whole group."""
    advice = "Give more data, or set data.test=0 or data.validation=0."
    if len(train) < parts:
        raise BadData(f"{name!r} has {len(train)} examples, too few to give {parts} parts one each. {advice}")
    groups = 0 if train.groups is None else len(np.unique(train.groups))
    if train.groups is not None and groups < parts:
        raise BadData(
            f"{name!r} has {groups} groups (persons, objects or photographs), too few for {parts} parts with "
            f"whole groups each. {advice}"
        )


def _draw(train: Examples, queue: Array, target: float, spare: int, wanted: bool) -> tuple[Array, Array]:
    """A mask (N,) of about ``target`` examples from the head of ``queue``, and what is left of the queue.

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
    """Groups in the order of ``queue``, each taken if it brings the number of examples nearer to ``target``."""
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
    # every group is more than twice the target: the smallest is nearest
    return np.array(taken or [min(queue.tolist(), key=lambda name: size[name])], dtype=queue.dtype)
