"""The description of a data set: what ``isthmus data`` prints and ``--json`` gives."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.data.base import Array
from isthmus.data.catalogue.table import is_named
from isthmus.data.dataset import Dataset
from isthmus.data.description.columns import Column, describe_channels, describe_columns, first_rows
from isthmus.data.description.looking import Sample, kind_of_source, looked_at, open_briefly
from isthmus.data.description.unusable import unusable_columns
from isthmus.data.description.words import class_names, contract_words, layout_words
from isthmus.data.opening import Data
from isthmus.data.preparing import largest_held_out, prepare_dataset
from isthmus.data.transforms.axes import unit_axis
from isthmus.data.transforms.bad_examples import BadExamples, find_nonfinite
from isthmus.data.transforms.contract import DataContract
from isthmus.data.transforms.fitting import SAMPLED_ROWS, brightness_of, fit_scaling, undecided
from isthmus.data.transforms.guesses import guesses
from isthmus.data.transforms.layout import Layout, layout_of
from isthmus.data.transforms.scaling import Kind, Scaling, by_unit
from isthmus.data.transforms.splits import split_sizes
from isthmus.data.windowing import cut, divided
from isthmus.errors import BadData, IsthmusError
from isthmus.options import DataOptions

FIRST_ROWS, FIRST, LISTED = 5, 12, 100
"""Examples that are shown, and invalid ones that are listed."""
NAMES = {"train": "training", "valid": "validation", "test": "test"}


@dataclass(frozen=True)
class Description:
    """What was understood of a data set.

    Args:
        content: all of it as plain data, one entry per topic.
        table: raw values of the examples that were looked at, with NaN for missing cells: (n, D) of a
            table, (n T, C) of sequences.
        examples: raw values of the first examples, channels first, (n, *shape); ``None`` for a table.
        inputs: the given inputs of these examples, if they are pairs of input and target.
        refused: the message with which a training would refuse the data; empty if it would not.
    """

    content: dict[str, Any]
    table: Array
    examples: Array | None = None
    inputs: Array | None = None
    refused: str = ""


@dataclass
class _View:
    """A data set with its layout, what is decided about it, and the examples that were looked at."""

    dataset: Dataset
    options: DataOptions
    layout: Layout
    contract: DataContract
    samples: Mapping[str, Sample]
    streamed: bool
    sizes: dict[str, int] = field(default_factory=dict)

    @property
    def sample(self) -> Sample:
        """The examples of the training set."""
        return self.samples["train"]

    def cells(self, split: str) -> Array:
        """The values of the examples of a split, with NaN in place of numbers that mean missing."""
        return self.contract.without_sentinels(self.samples[split].decoded)


def describe(data: Data, options: DataOptions, seed: int = 0) -> Description:
    """What is understood of data in any form, from all of it or, if it is large, from a part.

    Raises:
        IsthmusError: data that cannot be read at all. What a training would refuse for another reason is in
            ``refused``; columns that cannot be used do not keep the others from being described.
    """
    refused = ""
    unusable: dict[str, str] = {}
    try:
        dataset, streamed = open_briefly(data, options, seed)
    except BadData as error:
        unusable = unusable_columns(data, options)
        if not unusable:
            raise
        refused = str(error)
        options = options.model_copy(update={"exclude": (*options.exclude, *unusable)})
        dataset, streamed = open_briefly(data, options, seed)
    view = _view(dataset, options, streamed)
    refused = refused or _refusal(view, seed)
    view.sizes = view.sizes or _sizes(view, seed)
    content = _content(view, data, unusable) | {"refused": refused}
    given = dataset.train.inputs()
    return Description(content, _table(view), _first(view, view.sample.decoded), _given(view, given), refused)


def _view(dataset: Dataset, options: DataOptions, streamed: bool) -> _View:
    dataset, options = divided(dataset, options), cut(options)
    layout = layout_of(dataset.train, options.shape, options.layout, options.missing)
    samples = {name: looked_at(source) for name, source in dataset.splits.items()}
    sample = samples["train"]
    brightest = brightness_of(dataset, options.scale, layout.kind, sample.decoded)
    contract = undecided(dataset, layout, options)
    contract = replace(contract, scaling=_probable(options.scale, layout, contract, sample, brightest))
    return _View(dataset, options, layout, contract, samples, streamed)


def _probable(kind: Kind, layout: Layout, contract: DataContract, sample: Sample, brightest: float | None) -> Scaling:
    """The scaling of the examples that were looked at; one that is fitted to all examples is only named."""
    if kind in ("minmax", "standard"):
        return Scaling(kind, (0.0,), (1.0,))
    values = sample.decoded[:SAMPLED_ROWS]
    values = np.where(np.isinf(values), np.nan, values) if values.dtype.kind == "f" else values
    x = layout.tensor(contract.without_sentinels(values))
    try:
        return fit_scaling(x, x, kind, brightest=brightest)
    except BadData:
        # such as a column without any value, which a training names
        return Scaling(kind, (0.0,), (1.0,))


def _refusal(view: _View, seed: int) -> str:
    """The message with which a training would refuse the data, or nothing.

    Data that was looked at as a whole is prepared as for a training, which also gives the contract and the splits.
    """
    dataset, options = view.dataset, view.options
    try:
        if all(sample.whole for sample in view.samples.values()) and not dataset.streamed:
            prepared = prepare_dataset(dataset, options, seed)
            view.contract = prepared.contract
            view.sizes = {name: len(split.x) for name, split in prepared.splits.items()}
            return ""
        most = largest_held_out(view.layout.shape) if view.streamed else None
        view.sizes = split_sizes(dataset, options, seed, most=most)
        if options.on_bad_data == "stop":
            for name, sample in view.samples.items():
                for index, why in sample.faults.items():
                    where = dataset.splits[name].locate(int(sample.rows[index]))
                    BadExamples("stop", sample.of).add(None, where, why)
    except IsthmusError as error:
        return str(error)
    return ""


def _sizes(view: _View, seed: int) -> dict[str, int]:
    """The number of examples of each split, if no example is invalid; none if there are too few examples."""
    most = largest_held_out(view.layout.shape) if view.streamed else None
    try:
        return split_sizes(view.dataset, view.options, seed, most=most)
    except IsthmusError:
        return {}


def _content(view: _View, data: Data, unusable: Mapping[str, str]) -> dict[str, Any]:
    """The description as plain data, one entry per topic."""
    dataset, layout, options = view.dataset, view.layout, view.options
    named = isinstance(data, str) and is_named(data)
    files, given = dataset.provenance.files, dataset.train.inputs()
    content: dict[str, Any] = {
        "examples": sum(map(len, dataset.splits.values())),
        "name": str(data) if isinstance(data, str | Path) else dataset.name,
        "source": {
            "kind": kind_of_source(data, dataset, named),
            "files": [{"name": f.name, "bytes": f.bytes, "sha256": f.sha256, "sampled": f.sampled} for f in files],
            "streamed": view.streamed,
            "named_columns": dataset.schema is not None,
            "terms": dataset.provenance.terms,
            "credit": dataset.provenance.credit,
        },
        "looked_at": {"examples": len(view.sample.rows), "of": view.sample.of, "how": str(view.sample)},
        "layout": {
            "kind": layout.kind,
            "shape": list(layout.shape),
            "words": layout_words(layout.shape, dataset.schema),
            "type": str(dataset.train.dtype),
            "bits": 8 * dataset.train.dtype.itemsize,
        },
        "values": _range(view.cells("train")),
        "inputs": None if given is None else _range(looked_at(given).values),
        "scaling": contract_words(view.contract),
        "splits": _splits(view),
        "labels": _labels(view),
        "rows": _names(view),
        "missing": _missing(view),
        "invalid": _invalid(view),
        "guessed": list(guesses(view.contract, dataset, options, _range(view.cells("train"))["max"])),
    }
    if unit_axis(layout.shape) is not None:
        columns = [column for column in _columns(view) if column["name"] not in unusable]
        content["columns"] = columns + [{"name": n, "kind": "unusable", "why": why} for n, why in unusable.items()]
    if layout.kind == "table":
        content["first_rows"] = first_rows(_table(view), dataset.schema, FIRST_ROWS)
    return content | ({"policy": options.on_bad_data} if options.on_bad_data != "stop" else {})


def _table(view: _View) -> Array:
    """The values of the examples that were looked at as a table: its columns, or the channels of others."""
    table: Array = by_unit(view.layout.tensor(view.cells("train"))).numpy()
    return table


def _columns(view: _View) -> list[Column]:
    """The columns of a table, or the channels of others with the names of the columns that they are, if any."""
    schema = view.dataset.schema
    if schema is None or view.layout.kind == "table":
        return describe_columns(_table(view), schema)
    return describe_channels(_table(view), schema)


def _range(values: Array) -> dict[str, float | None]:
    """Smallest, largest and mean finite value."""
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    if not finite.size:
        return {"min": None, "max": None, "mean": None}
    return {"min": float(finite.min()), "max": float(finite.max()), "mean": float(finite.mean(dtype=np.float64))}


def _splits(view: _View) -> dict[str, dict[str, Any]]:
    """The number of examples of each split, and whether the source provides it."""
    provided = view.dataset.splits
    return {
        name: {"examples": count, "origin": "provided" if name == "train" or name in provided else "held out"}
        for name, count in view.sizes.items()
    }


def _labels(view: _View) -> dict[str, Any] | None:
    """The number of examples of each class, of those that were looked at."""
    dataset = view.dataset
    counts: dict[str, int] = {}
    for name, source in dataset.splits.items():
        labels = source.labels_of(view.samples[name].rows)
        if labels is None:
            continue
        classes, numbers = np.unique(labels, return_counts=True)
        for label, number in zip(class_names(classes, dataset.label_names), numbers.tolist(), strict=True):
            counts[label] = counts.get(label, 0) + number
    column = None if dataset.schema is None else dataset.schema.labels
    return {"column": column, "classes": counts} if counts else None


def _names(view: _View) -> dict[str, Any] | None:
    """What names the rows, and the first names; and the number of groups that splits keep together."""
    source = view.dataset.train
    names, groups = source.names_of(view.sample.rows[:FIRST_ROWS]), source.groups()
    if names is None and groups is None:
        return None
    first = [] if names is None else [str(name) for name in names.tolist()]
    count = None if groups is None else len(np.unique(groups))
    return {"named_by": None if names is None else source.row_title or "index", "first": first, "groups": count}


def _missing(view: _View) -> dict[str, Any]:
    """The number of missing cells, of examples and of columns with such cells, of those that were looked at."""
    cells = examples = total = 0
    columns: Any = 0
    for name in view.samples:
        values = view.cells(name)
        total += len(values)
        if values.dtype.kind != "f":
            continue
        missing = np.isnan(values).reshape(len(values), -1)
        cells += int(missing.sum())
        examples += int(missing.any(axis=1).sum())
        columns = columns | missing.any(axis=0)
    return {"cells": cells, "examples": examples, "of": total, "columns": int(np.sum(columns))}


def _invalid(view: _View) -> dict[str, Any]:
    """The examples that cannot be decoded, are infinite, or, if invalid ones are skipped, have missing cells."""
    found: list[dict[str, Any]] = []
    total = 0
    for name, sample in view.samples.items():
        total += len(sample.rows)
        values = view.contract.without_sentinels(sample.values)
        bad = find_nonfinite(values, missing=view.options.on_bad_data == "stop") | dict(sample.faults)
        for index, why in sorted(bad.items()):
            where = view.dataset.splits[name].locate(int(sample.rows[index]))
            found.append({"split": name, "row": where.row, "name": where.name or where.file, "why": why})
    return {"examples": len(found), "of": total, "listed": found[:LISTED]}


def _first(view: _View, values: Array) -> Array | None:
    """The first examples as model inputs without scaling, (n, *shape); ``None`` for a table."""
    if view.layout.kind == "table" or not len(values):
        return None
    examples: Array = view.layout.tensor(values[:FIRST]).numpy()
    return examples


def _given(view: _View, given: Any) -> Array | None:
    return None if given is None else _first(view, given.read(0, min(FIRST, len(given))).values)
