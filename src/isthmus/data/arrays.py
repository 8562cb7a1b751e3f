"""What raw arrays mean: which axis is which, which values are pixels, and how labels are counted.

    2 axes   a table (N, D), or images where ``shape`` is given
    3 axes   grey images (N, H, W)
    4 axes   images, channels last (N, H, W, C) if the last axis is 1, 3 or 4, else channels first

No file is opened here.
"""

import math
from pathlib import Path

import numpy as np

from isthmus.data.base import Array, Dataset, Examples, Provenance, SourceFile
from isthmus.errors import BadData

CHANNELS = (1, 3, 4)
KINDS = {"O": "Python objects", "U": "text", "S": "text", "c": "complex numbers"}


def arranged(x: Array, shape: tuple[int, ...] | None, where: str) -> Array:
    """The array in one of the three forms (N, D), (N, H, W) or (N, H, W, C); truth values become 0 and 1.

    Raises:
        BadData: values that are no real numbers, a shape that means nothing, or one that ``shape`` does not fit.
    """
    if x.dtype.kind == "b":
        x = x.astype(np.uint8)
    if x.dtype.kind not in "uif":
        kind = KINDS.get(x.dtype.kind, f"values of type {x.dtype}")
        raise BadData(f"{where} holds {kind}; real numbers are needed. Turn it into numbers first.")
    if x.ndim >= 2 and x.size == 0:
        raise BadData(f"{where} holds no values (shape {x.shape}). Give at least one example.")
    if shape is not None:
        x = _reshaped(x, shape, where)
    if x.ndim == 4 and x.shape[-1] not in CHANNELS:
        if x.shape[1] not in CHANNELS:
            raise BadData(
                f"{where} has shape {x.shape}, with no axis of 1, 3 or 4 channels at its end or after the first. "
                "Give images as (N, H, W), (N, H, W, C) or (N, C, H, W)."
            )
        x = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    if x.ndim not in (2, 3, 4):
        raise BadData(
            f"{where} has shape {x.shape}; a table (N, D) or images (N, H, W) or (N, H, W, C) are needed. "
            "Give one row to each example."
        )
    return x


def _reshaped(x: Array, shape: tuple[int, ...], where: str) -> Array:
    """A table with each row in the asked shape; images must have it already."""
    asked = ",".join(map(str, shape))
    if len(shape) not in (1, 2, 3) or min(shape) < 1:
        raise BadData(f"data.shape cannot be {asked}. Give height,width or height,width,channels, such as 28,28.")
    if x.ndim == 2:
        if math.prod(shape) != x.shape[1]:
            raise BadData(
                f"{where} has {x.shape[1]} columns, but data.shape={asked} needs {math.prod(shape)}. "
                "Give a shape whose product is the number of columns."
            )
        return x.reshape(len(x), *shape)
    if x.shape[1:] != shape and x.shape[1:] != (*shape, 1):
        raise BadData(
            f"{where} holds examples of shape {x.shape[1:]}, not data.shape={asked}. "
            "Leave data.shape out: it is for tables whose rows are flattened images."
        )
    return x


def bright(arrays: list[Array]) -> bool:
    """Whether all arrays are 8-bit brightness: unsigned bytes of which some exceed 1."""
    return all(x.dtype == np.uint8 for x in arrays) and any(x.max() > 1 for x in arrays)


def counted(labels: dict[str, Array], where: str) -> tuple[dict[str, Array], tuple[str, ...]]:
    """Labels of all parts as whole numbers; words are numbered in their sorted order over all parts.

    Returns:
        The labels (N,) of each part as int64, and the words behind them (empty where they were numbers).

    Raises:
        BadData: labels that are neither whole numbers nor words, or not one for each example.
    """
    flat = {part: v.reshape(-1) if v.ndim == 2 and v.shape[1] == 1 else v for part, v in labels.items()}
    for part, values in flat.items():
        if values.ndim != 1 or values.dtype.kind not in "buifUS":
            raise BadData(
                f"The {part} labels of {where} have shape {values.shape} and type {values.dtype}; "
                "one whole number or word for each example is needed."
            )
        if values.dtype.kind == "f" and not (np.isfinite(values) & (values == np.floor(values))).all():
            raise BadData(
                f"The {part} labels of {where} are not all whole numbers. Give classes as whole numbers or words."
            )
    if any(values.dtype.kind in "US" for values in flat.values()):
        words = sorted({str(word) for values in flat.values() for word in np.unique(values.astype(str))})
        return {p: np.searchsorted(words, v.astype(str)).astype(np.int64) for p, v in flat.items()}, tuple(words)
    return {part: values.astype(np.int64) for part, values in flat.items()}, ()


def assembled(
    path: Path,
    x: dict[str, Array],
    labels: dict[str, Array],
    files: tuple[SourceFile, ...],
    *,
    shape: tuple[int, ...] | None = None,
) -> Dataset:
    """The data set made of arrays by part (``train``, and where there ``valid``, ``test``).

    Raises:
        BadData: parts that differ in shape, or labels that are not aligned with their examples.
    """
    name = repr(path.name)
    x = {part: arranged(values, shape, f"The {part} part of {name}") for part, values in x.items()}
    for part, values in x.items():
        if values.shape[1:] != x["train"].shape[1:]:
            raise BadData(
                f"{name} has a train part of examples {x['train'].shape[1:]} but a {part} part of examples "
                f"{values.shape[1:]}. Give both the same shape."
            )
        if part in labels and labels[part].shape[:1] != values.shape[:1]:
            raise BadData(
                f"The {part} part of {name} has {len(values)} examples but labels of shape "
                f"{labels[part].shape}. Give exactly one label to each example."
            )
    numbers, words = counted(labels, name)
    parts = {part: Examples(values, numbers.get(part)) for part, values in x.items()}
    return Dataset(
        path.name,
        parts["train"],
        parts.get("valid"),
        parts.get("test"),
        images=x["train"].ndim > 2,
        pixels=bright(list(x.values())),
        label_names=words,
        provenance=Provenance(str(path), files),
    )
