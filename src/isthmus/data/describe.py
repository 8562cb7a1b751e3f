"""A data set in figures, for a person who wants to know what it holds before training on it."""

from collections.abc import Sequence

import numpy as np

from isthmus.data.base import Dataset, SourceFile
from isthmus.data.opening import in_memory
from isthmus.data.sources import Source, taken

LOOKED_AT = 1000
"""Examples that a source is described by."""
SHOWN = 8
"""Files that are named."""


def described(dataset: Dataset) -> dict[str, object]:
    """Shape, counts, type, range and source of a data set, as plain data."""
    parts = {"train": dataset.train, "valid": dataset.valid, "test": dataset.test}
    x = dataset.train.x
    labels = dataset.train.labels
    return {
        "shape": " x ".join(map(str, x.shape[1:])),
        "examples": ", ".join(f"{len(part):,} {name}" for name, part in parts.items() if part is not None),
        "type": f"{x.dtype}, {'images' if dataset.images else 'table'}",
        "range": f"{x.min():g} to {x.max():g}",
        "classes": 0 if labels is None else len(set(labels.tolist())),
        "files": _files(dataset.provenance.files),
        "terms": dataset.provenance.terms,
        "credit": dataset.provenance.credit,
    }


def described_source(source: Source) -> dict[str, object]:
    """The same of data on the disk, from its head and some examples spread over it."""
    rows = np.unique(np.linspace(0, len(source) - 1, LOOKED_AT).astype(np.int64))
    if not source.scattered:
        rows = np.arange(min(len(source), LOOKED_AT))
    x, faults = taken(source, rows)
    files = source.files()
    return {
        "shape": " x ".join(map(str, source.shape)),
        "examples": f"{len(source):,}, of which training streams all but the held-out ones",
        "type": f"{source.dtype}, {'table' if len(source.shape) == 1 else 'images'}",
        "range": f"{np.nanmin(x):g} to {np.nanmax(x):g} in {len(rows):,} of the examples",
        "memory": f"{in_memory(source) / 2**30:,.1f} GiB as 32-bit numbers, so it stays on the disk",
        "bad": f"{len(faults)} of the {len(rows):,} cannot be decoded" if faults else "",
        "files": _files(files[:SHOWN]) + (f" and {len(files) - SHOWN} more" if len(files) > SHOWN else ""),
    }


def _files(files: Sequence[SourceFile]) -> str:
    return ", ".join(f"{f.name} (sha256{' of samples' if f.sampled else ''} {f.sha256[:12]})" for f in files)
