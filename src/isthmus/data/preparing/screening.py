"""Last check before training: examples outside the support of the likelihood."""

from dataclasses import replace

import numpy as np
from torch import Tensor

from isthmus.data.base import Location
from isthmus.data.preparing.prepared import PreparedData, PreparedSplit
from isthmus.data.transforms.bad_examples import BadExamples, Check, find_refused
from isthmus.data.transforms.checks import SPLITS
from isthmus.errors import BadData


def screened(data: PreparedData, check: Check) -> PreparedData:
    """Data without the examples that ``check`` of a likelihood refuses; splits on disk are checked when they are read.

    Raises:
        BadData: an invalid example that is not to be skipped, with its file and row; or too many.
    """
    names = {"valid": "validation", "test": "test"}
    kept = {}
    for name in SPLITS:
        split: PreparedSplit | None = getattr(data, name)
        try:
            kept[name] = split and _screened(split, check, data.bad_examples)
        except BadData as error:
            if data.scaling.kind != "minmax" or name == "train":
                raise
            raise BadData(
                f"The {names[name]} set has values outside the range that data.scale=minmax found in the training set, "
                "which are outside the support of the likelihood. Set likelihood.kind=gaussian and data.scale=standard."
            ) from error
    train = kept["train"]
    assert train is not None
    return replace(data, train=train, valid=kept["valid"], test=kept["test"])


def _screened(split: PreparedSplit, check: Check, bad_examples: BadExamples) -> PreparedSplit:
    if not isinstance(split.x, Tensor):
        split.x.add_check(check)
        return split
    try:
        check(split.x)
        return split
    except BadData as error:
        found = find_refused(split.x, check)
        if bad_examples.policy == "stop":
            location = min(map(split.locate, found), key=lambda where: where.row, default=Location("", 0))
            raise BadData(f"{error} The first such example: {location} (counted from 0).") from error
    for index, why in found.items():
        bad_examples.add(None, split.locate(index), why)
    kept = np.delete(np.arange(len(split.x)), list(found))
    labels = None if split.labels is None else split.labels[kept]
    return PreparedSplit(split.x[kept], labels, locate=lambda index: split.locate(int(kept[index])))
