"""Interpretation of raw arrays: meaning of the axes, detection of pixels, encoding of labels.

    2 axes   a table (N, D), or flattened images if ``shape`` is set
    3 axes   gray images (N, H, W)
    4 axes   images, channels last (N, H, W, C) if the last axis has length 1, 3 or 4, else channels first

No file is opened here.
"""

import math
from pathlib import Path

import numpy as np

from isthmus.data.base import Array, Dataset, Examples, Provenance, SourceFile
from isthmus.errors import BadData

CHANNELS = (1, 3, 4)
KINDS = {"O": "Python objects", "U": "strings", "S": "strings", "c": "complex numbers"}


def standardize_layout(x: Array, shape: tuple[int, ...] | None, where: str) -> Array:
    """The array as (N, D), (N, H, W) or (N, H, W, C); booleans become 0 and 1.

    Raises:
        BadData: values that are not real numbers, a shape that is not supported, or one that does not match ``shape``.
    """
    if x.dtype.kind == "b":
        x = x.astype(np.uint8)
    if x.dtype.kind not in "uif":
        kind = KINDS.get(x.dtype.kind, f"values of type {x.dtype}")
        raise BadData(f"{where} holds {kind}, but real numbers are required. Convert them to numbers first.")
    if x.ndim >= 2 and x.size == 0:
        raise BadData(f"{where} holds no values (shape {x.shape}). Pass at least one example.")
    if shape is not None:
        x = _reshaped(x, shape, where)
    if x.ndim == 4 and x.shape[-1] not in CHANNELS:
        if x.shape[1] not in CHANNELS:
            raise BadData(
                f"{where} has shape {x.shape}, with no axis of 1, 3 or 4 channels at the end or after the first. "
                "Pass images as (N, H, W), (N, H, W, C) or (N, C, H, W)."
            )
        x = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    if x.ndim not in (2, 3, 4):
        raise BadData(
            f"{where} has shape {x.shape}, but a table (N, D) or images (N, H, W) or (N, H, W, C) are required. "
            "Pass one row per example."
        )
    return x


def _reshaped(x: Array, shape: tuple[int, ...], where: str) -> Array:
    """A table with its rows reshaped to ``shape``; images must have that shape already."""
    wanted = ",".join(map(str, shape))
    if len(shape) not in (1, 2, 3) or min(shape) < 1:
        raise BadData(
            f"data.shape cannot be {wanted}. Set height,width or height,width,channels, such as data.shape=28,28."
        )
    if x.ndim == 2:
        if math.prod(shape) != x.shape[1]:
            raise BadData(
                f"{where} has {x.shape[1]} columns, but data.shape={wanted} requires {math.prod(shape)}. "
                "Set a shape whose product is the number of columns."
            )
        return x.reshape(len(x), *shape)
    if x.shape[1:] != shape and x.shape[1:] != (*shape, 1):
        raise BadData(
            f"{where} holds examples of shape {x.shape[1:]}, not data.shape={wanted}. "
            "Leave data.shape out; it is for tables whose rows are flattened images."
        )
    return x


def is_8bit(arrays: list[Array]) -> bool:
    """Whether all arrays hold 8-bit brightness: unsigned bytes, some of them above 1."""
    return all(x.dtype == np.uint8 for x in arrays) and any(x.max() > 1 for x in arrays)


def encode_labels(labels: dict[str, Array], where: str) -> tuple[dict[str, Array], tuple[str, ...]]:
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


def make_dataset(
    path: Path,
    x: dict[str, Array],
    labels: dict[str, Array],
    files: tuple[SourceFile, ...],
    *,
    shape: tuple[int, ...] | None = None,
) -> Dataset:
    """The data set of arrays by split (``train``, and optionally ``valid`` and ``test``).

    Raises:
        BadData: splits that differ in shape, or labels that are not aligned with their examples.
    """
    name = repr(path.name)
    x = {split: standardize_layout(values, shape, f"The {split} split of {name}") for split, values in x.items()}
    for split, values in x.items():
        if values.shape[1:] != x["train"].shape[1:]:
            raise BadData(
                f"{name} has a train split with examples of shape {x['train'].shape[1:]}, but a {split} split with "
                f"examples of shape {values.shape[1:]}. Pass examples of the same shape."
            )
        if split in labels and labels[split].shape[:1] != values.shape[:1]:
            raise BadData(
                f"The {split} split of {name} has {len(values)} examples but labels of shape "
                f"{labels[split].shape}. Pass one label per example."
            )
    encoded, label_names = encode_labels(labels, name)
    splits = {split: Examples(values, encoded.get(split)) for split, values in x.items()}
    return Dataset(
        path.name,
        splits["train"],
        splits.get("valid"),
        splits.get("test"),
        images=x["train"].ndim > 2,
        pixels=is_8bit(list(x.values())),
        label_names=label_names,
        provenance=Provenance(str(path), files),
    )
