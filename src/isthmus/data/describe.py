"""A data set in figures, for a person who wants to know what it holds before training on it."""

from isthmus.data.base import Dataset


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
        "files": ", ".join(f"{file.name} (sha256 {file.sha256[:12]})" for file in dataset.provenance.files),
        "terms": dataset.provenance.terms,
        "credit": dataset.provenance.credit,
    }
