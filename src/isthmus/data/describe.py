"""Summary of a data set, to be read before training on it."""

from collections.abc import Sequence

import numpy as np

from isthmus.data.base import Array, Dataset, SourceFile
from isthmus.data.streaming.choice import bytes_in_memory
from isthmus.data.streaming.sources import Source, read_rows

LOOKED_AT = 1000
"""Examples from which a source is summarized."""
SHOWN = 8
"""Files that are listed."""


def described(dataset: Dataset) -> dict[str, object]:
    """Shape, counts, type, range and files of a data set, as plain data."""
    splits = {"train": dataset.train, "valid": dataset.valid, "test": dataset.test}
    x = dataset.train.x
    labels = dataset.train.labels
    return {
        "shape": " x ".join(map(str, x.shape[1:])),
        "examples": ", ".join(f"{len(split):,} {name}" for name, split in splits.items() if split is not None),
        "type": f"{x.dtype}, {'images' if dataset.images else 'table'}",
        "range": _range(x),
        "not finite": _not_finite(x),
        "classes": 0 if labels is None else len(set(labels.tolist())),
        "files": _files(dataset.provenance.files),
        "terms": dataset.provenance.terms,
        "credit": dataset.provenance.credit,
    }


def described_source(source: Source) -> dict[str, object]:
    """The same summary of data on disk, from examples spread over it, or from its first examples."""
    rows = np.unique(np.linspace(0, len(source) - 1, LOOKED_AT).astype(np.int64))
    if not source.scattered:
        rows = np.arange(min(len(source), LOOKED_AT))
    x, faults = read_rows(source, rows)
    files = source.files()
    return {
        "shape": " x ".join(map(str, source.shape)),
        "examples": f"{len(source):,}, all streamed in training except those held out",
        "type": f"{source.dtype}, {'table' if len(source.shape) == 1 else 'images'}",
        "range": f"{_range(x)} in {len(rows):,} of the examples",
        "not finite": _not_finite(x),
        "memory": f"{bytes_in_memory(source) / 2**30:,.1f} GiB as 32-bit numbers, so it stays on disk",
        "bad": f"{len(faults)} of the {len(rows):,} cannot be decoded" if faults else "",
        "files": _files(files[:SHOWN]) + (f" and {len(files) - SHOWN} more" if len(files) > SHOWN else ""),
    }


def _range(x: Array) -> str:
    """The smallest and the largest finite value."""
    finite = x[np.isfinite(x)]
    return f"{finite.min():g} to {finite.max():g}" if finite.size else "no finite value"


def _not_finite(x: Array) -> str:
    """The number of values that are NaN or infinite, and of examples with such values; empty for none."""
    bad = ~np.isfinite(x)
    rows = int(bad.reshape(len(x), -1).any(1).sum())
    return f"{int(bad.sum()):,} values (NaN or infinite) in {rows:,} of {len(x):,} examples" if rows else ""


def _files(files: Sequence[SourceFile]) -> str:
    return ", ".join(f"{f.name} (sha256{' of samples' if f.sampled else ''} {f.sha256[:12]})" for f in files)
