"""What was understood of the data of a run, in three lines before training, and what was skipped, after it."""

import numpy as np

from isthmus.data.description.words import contract_words, counted, layout_words, skipped_words
from isthmus.data.prepared import PreparedData
from isthmus.parts.likelihoods.support import support_of

GUESSES = 3
"""Guesses that are printed."""


def data_lines(data: PreparedData, likelihood: object = None) -> list[str]:
    """Counts and splits; layout, scaling and missing values; what was guessed, if anything.

    Args:
        data: the data of a run.
        likelihood: the likelihood of its model.
    """
    lines = [_counts(data), _treatment(data)]
    if data.notes:
        hidden = len(data.notes) - GUESSES
        more = f" And {hidden} more, which isthmus data lists." if hidden > 0 else ""
        lines.append(f"guessed: {' '.join(data.notes[:GUESSES])}{more}")
    bounds = support_of(likelihood)
    if data.scaling.kind == "minmax" and bounds is not None:
        low, high = bounds
        lines.append(
            f"The likelihood has the support [{low:g}, {high:g}]: values of later data outside the range of the "
            "training set are clipped to it, and an anomaly score (score) counts how far outside they are."
        )
    return lines


def skipped_lines(data: PreparedData) -> list[str]:
    """How many examples were skipped, and which, at most five of them; nothing if none was."""
    bad = data.bad_examples
    if not bad.count:
        return []
    return [f"{skipped_words([str(entry.location) for entry in bad.entries], bad.count, bad.population)}."]


def _counts(data: PreparedData) -> str:
    """The number of examples in each split, and where the held-out ones come from."""
    splits = {"training": data.train, "validation": data.valid, "test": data.test}
    counts = [f"{len(split):,} {name}" for name, split in splits.items() if split is not None]
    listed = f"{', '.join(counts[:-1])} and {counts[-1]}" if len(counts) > 1 else counts[0]
    origin = "; the test examples are held out (data.test)" if data.held_out == "held-out set" else ""
    return f"{data.name}: {listed} examples{origin}"


def _treatment(data: PreparedData) -> str:
    """Layout, scaling, pairs, labels, names of rows, missing values, and where the data is."""
    schema = data.contract.schema
    parts = [layout_words(data.shape, schema), contract_words(data.contract)]
    if data.train.inputs is not None:
        parts.append("pairs of input and target")
    if data.train.labels is not None and len(data.train.labels):
        where = "" if schema is None or schema.labels is None else f" in column {schema.labels!r}"
        classes = len(data.label_names) or len(np.unique(data.train.labels))
        parts.append(f"labels of {counted(classes, 'class', 'classes')}{where}")
    if schema is not None and schema.index is not None:
        parts.append(f"rows named by {schema.index!r}")
    if data.missing:
        cells = counted(data.missing.cells, "missing value")
        parts.append(f"{cells} in {data.missing.examples:,} of {data.missing.of:,} examples, left out of the loss")
    if data.streamed:
        parts.append("streamed")
    return "; ".join(parts)
