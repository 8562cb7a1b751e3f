"""Data sets of arrays and of tables in memory, which every reader ends in."""

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from isthmus.data.base import Array, Provenance
from isthmus.data.dataset import Dataset
from isthmus.data.sources.arrays import Examples
from isthmus.data.sources.base import Source
from isthmus.data.sources.parquet import row_title
from isthmus.data.storage.base import File
from isthmus.data.tables.names import column_names, quote_names
from isthmus.data.tables.schema import Schema, infer_schema
from isthmus.data.transforms.axes import examples_first
from isthmus.data.transforms.labels import are_labels, encode_labels
from isthmus.data.transforms.layout import check_numbers
from isthmus.errors import BadData
from isthmus.options import DataOptions

if TYPE_CHECKING:
    import pandas as pd


def provenance_of(file: File) -> Provenance:
    """Where the data of one file comes from."""
    return Provenance(file.origin, (file.record(),))


def shaped_like(x: Array, y: Array) -> Array:
    """Targets y with the shape of x, if they differ in axes of length 1 only, such as a channel; others unchanged."""
    rows = y.ndim > 1 and x.size == y.size > len(x) == len(y)
    same = rows and [n for n in x.shape[1:] if n > 1] == [n for n in y.shape[1:] if n > 1]
    return y.reshape(x.shape) if same else y


def dataset_of_splits(
    name: str, x: Mapping[str, Array], y: Mapping[str, Array], provenance: Provenance, layout: str = "auto"
) -> Dataset:
    """The data set of arrays by split: ``train``, and optionally ``valid`` and ``test``.

    ``y`` has labels, or the targets of ``x``, which have its shape. ``layout`` is the option ``data.layout``: where it
    puts the examples elsewhere than first, they are moved there.

    Raises:
        BadData: values that are not numbers, or labels that are not aligned with their examples.
    """
    labels = {}
    x, y = ({split: examples_first(values, layout) for split, values in arrays.items()} for arrays in (x, y))
    y = {split: shaped_like(x[split], values) if split in x else values for split, values in y.items()}
    for split, values in x.items():
        check_numbers(values.dtype, f"The {split} split of {name!r}")
        if split in y and y[split].shape != values.shape:
            if y[split].shape[:1] != values.shape[:1]:
                raise BadData(
                    f"The {split} split of {name!r} has {len(values)} examples but labels of shape {y[split].shape}. "
                    "Pass one label per example."
                )
            labels[split] = y[split]
    encoded, label_names = encode_labels(labels, repr(name)) if labels else ({}, ())
    targets = {split for split in y if split not in labels}
    splits = {
        split: Examples(
            y[split] if split in targets else values,
            encoded.get(split),
            noisy=values if split in targets else None,
            name=name,
            file=name,
        )
        for split, values in x.items()
    }
    return Dataset(
        name,
        splits["train"],
        splits.get("valid"),
        splits.get("test"),
        label_names=label_names,
        provenance=provenance,
    )


def named_labels(dataset: Dataset) -> Source:
    """The rows of a file with their labels as they are in it, as other files may number them otherwise."""
    source = dataset.train
    if not isinstance(source, Examples) or source.labels is None or not dataset.label_names:
        return source
    return replace(source, labels=np.array(dataset.label_names)[source.labels])


def dataset_of_frame(
    frame: "pd.DataFrame",
    options: DataOptions,
    name: str,
    schema: Schema | None = None,
    *,
    file: File | None = None,
    notes: tuple[str, ...] = (),
) -> Dataset:
    """A table in memory: its numbers, and names and labels of its rows.

    Raises:
        BadData: columns that cannot be used, or that the training table had and this one has not.
    """
    where = "The table" if file is None else repr(name)
    known = infer_schema(frame, options, where) if schema is None else schema
    x = known.matrix(frame, where, options.missing)
    if schema is not None:
        _warn_of_columns(frame, schema, where)
    names = known.names_of(frame)
    labels = known.labels_of(frame, where, training=schema is None)
    if schema is not None and labels is not None and not are_labels(labels):
        labels = None
    encoded, label_names = ({}, ()) if labels is None else encode_labels({"train": labels}, where)
    examples = Examples(
        x,
        encoded.get("train"),
        names=None if names is None else np.asarray(names),
        name=name,
        file="" if file is None else name,
        row_title="" if names is None else row_title(names.name),
    )
    notes = notes if schema is not None else (*notes, *known.notes)
    provenance = Provenance("table") if file is None else provenance_of(file)
    return Dataset(name, examples, label_names=label_names, provenance=provenance, schema=known, notes=notes)


def _warn_of_columns(frame: "pd.DataFrame", schema: Schema, where: str) -> None:
    """Warn of columns that are not used, and of categories that the training table did not have."""
    # columns without names are matched by position, and then all are used
    by_name = {column.name for column in schema.columns} <= set(column_names(frame))
    unused = schema.unused(frame) if by_name else ()
    if unused:
        warnings.warn(f"{where} has columns that the run does not use: {quote_names(list(unused))}.", stacklevel=2)
    for column, rows in schema.unseen(frame, where).items():
        warnings.warn(
            f"{rows:,} rows of {where} have a value of {column!r} that did not occur in training; it counts as none "
            "of the known ones.",
            stacklevel=2,
        )
