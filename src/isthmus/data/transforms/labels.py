"""Labels as integers."""

from collections.abc import Mapping

import numpy as np

from isthmus.data.base import Array
from isthmus.errors import BadData


def are_labels(values: Array) -> bool:
    """Whether values (N,) can be labels: integers or strings; of new data, others are left out."""
    return values.dtype.kind in "biuUS" or (
        values.dtype.kind == "f" and bool((np.isfinite(values) & (values == np.floor(values))).all())
    )


def encode_labels(labels: Mapping[str, Array], where: str) -> tuple[dict[str, Array], tuple[str, ...]]:
    """Labels of all splits as integers; strings are numbered in sorted order over all splits.

    Returns:
        The labels (N,) of each split as int64, and the names of the classes (empty where the labels were numbers).

    Raises:
        BadData: labels that are neither integers nor strings, or not one per example.
    """
    flat = {split: v.reshape(-1) if v.ndim == 2 and v.shape[1] == 1 else v for split, v in labels.items()}
    for split, values in flat.items():
        if values.ndim != 1 or values.dtype.kind not in "buifUS":
            raise BadData(
                f"The {split} labels of {where} have shape {values.shape} and type {values.dtype}, "
                "but one integer or string per example is required."
            )
        if values.dtype.kind == "f" and not (np.isfinite(values) & (values == np.floor(values))).all():
            raise BadData(f"The {split} labels of {where} are not all integers. Pass classes as integers or strings.")
    if any(values.dtype.kind in "US" for values in flat.values()):
        names = sorted({str(name) for values in flat.values() for name in np.unique(values.astype(str))})
        return {s: np.searchsorted(names, v.astype(str)).astype(np.int64) for s, v in flat.items()}, tuple(names)
    return {split: values.astype(np.int64) for split, values in flat.items()}, ()
