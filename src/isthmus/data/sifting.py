"""Bad examples of data in memory: found before it is split, and again by what the likelihood can describe."""

from dataclasses import replace

import numpy as np
from torch import Tensor

from isthmus.data.bad import Check, Ledger, refused, unfinite
from isthmus.data.base import Dataset, Examples, Place
from isthmus.data.prepare import Part, Prepared, prepare
from isthmus.data.splits import split
from isthmus.data.treatment import PARTS, PIECE
from isthmus.errors import BadData
from isthmus.options import DataOptions


def prepare_whole(dataset: Dataset, options: DataOptions, seed: int) -> Prepared:
    """A data set as the model will see it: without bad examples where they are to be skipped, and split by ``seed``.

    Raises:
        BadData: bad examples that are not to be skipped, or too few good ones.
    """
    ledger = Ledger(options.on_bad, sum(map(len, _parts(dataset).values())) + len(dataset.lost))
    if options.on_bad == "skip":
        for place, why in dataset.lost:
            ledger.meet(None, place, why)
        kept = {name: _sifted(part, _file(dataset, name), ledger) for name, part in _parts(dataset).items()}
        train = kept["train"]
        dataset = replace(dataset, train=train, valid=kept.get("valid"), test=kept.get("test"))
    return replace(prepare(split(dataset, options, seed), dataset, options, seed), ledger=ledger)


def admitted(data: Prepared, check: Check) -> Prepared:
    """Data without what ``check``, a likelihood's, refuses; parts on the disk are looked at when they are read.

    Raises:
        BadData: an example that is not to be skipped, with its file and row; or too many.
    """
    names = {"valid": "validation", "test": "test"}
    kept = {}
    for name in PARTS:
        part: Part | None = getattr(data, name)
        try:
            kept[name] = part and _admitted(part, check, data.ledger)
        except BadData as error:
            if data.scaling.kind != "minmax" or name == "train":
                raise
            raise BadData(
                f"The {names[name]} part leaves the range that data.scale=minmax found on the training part, so the "
                "likelihood cannot describe it. Choose --set likelihood.kind=gaussian (with data.scale=standard)."
            ) from error
    train = kept["train"]
    assert train is not None
    return replace(data, train=train, valid=kept["valid"], test=kept["test"])


def _admitted(part: Part, check: Check, ledger: Ledger) -> Part:
    if not isinstance(part.x, Tensor):
        part.x.demand(check)
        return part
    try:
        check(part.x)
        return part
    except BadData as error:
        found = refused(part.x, check)
        if ledger.policy == "stop":
            place = part.where(min(found)) if found else Place("", 0)
            raise BadData(f"{error} The first such example: {place} (counted from 0).") from error
    for index, why in found.items():
        ledger.meet(None, part.where(index), why)
    good = np.delete(np.arange(len(part.x)), list(found))
    labels = None if part.labels is None else part.labels[good]
    return Part(part.x[good], labels, where=lambda index: part.where(int(good[index])))


def _parts(dataset: Dataset) -> dict[str, Examples]:
    return {name: part for name in PARTS if (part := getattr(dataset, name)) is not None}


def _file(dataset: Dataset, part: str) -> str:
    """The name of the file of a part, as a bad example's place tells it."""
    return dataset.name if part == "train" else f"{dataset.name} ({part} part)"


def _sifted(examples: Examples, file: str, ledger: Ledger) -> Examples:
    """The good examples of a part, with their rows."""
    step = max(1, PIECE // max(1, examples.x[:1].size))
    bad: list[int] = []
    for start in range(0, len(examples), step):
        for index, why in unfinite(examples.x[start : start + step]).items():
            ledger.meet(None, Place(file, int(examples.numbers[start + index])), why)
            bad.append(start + index)
    return examples.take(np.delete(np.arange(len(examples)), bad)) if bad else examples
