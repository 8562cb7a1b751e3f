"""Layout: the meaning of the axes of raw examples, and how they become model inputs.

    table       (N, D)                              as it is
    sequences   (N, T), (N, T, C)                   channels first (N, C, T)
    images      (N, H, W), (N, H, W, C)             channels first (N, C, H, W)
    frames      (N, F, H, W), (N, F, H, W, C)       channels second (N, F, C, H, W)

The option ``data.layout`` states any other order; without it the axes are found in :mod:`isthmus.data.transforms.axes`.
New data for a trained model has the axes of its training data, or the same with the channels at either end.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from isthmus.data.base import Array
from isthmus.data.dataset import Dataset
from isthmus.data.sources.base import Source
from isthmus.data.transforms.axes import (
    CANONICAL,
    CHANNELS,
    Kind,
    canonical,
    example_axes,
    guessed_axes,
    kind_of,
    orders_of,
    told_axes,
)
from isthmus.errors import BadData, ShapeError

NOT_NUMBERS = {"O": "Python objects", "U": "strings", "S": "strings", "c": "complex numbers"}

LUMA = (19595, 38470, 7471)
"""Weights of red, green and blue in the luminance, as multiples of 2^-16."""


@dataclass(frozen=True)
class Layout:
    """Meaning of the axes of a raw example.

    Args:
        row: shape to which the rows of a table are reshaped, if any.
        axes: letters of the axes of an example, then, such as ``HWC``.
        shape: shape of an example as model input, (D,), (C, T), (C, H, W) or (F, C, H, W).
        recolor: whether pictures are gray for a model of colored ones, or the reverse.
    """

    row: tuple[int, ...] | None
    axes: str
    shape: tuple[int, ...]
    recolor: bool = False

    @property
    def kind(self) -> Kind:
        """Whether examples are rows of a table, sequences, images or frames."""
        return kind_of(self.shape)

    @property
    def images(self) -> bool:
        """Whether examples are images."""
        return self.kind == "images"

    def tensor(self, values: Array) -> Tensor:
        """Raw values (n, ...) as a tensor (n, *shape) of the same data type, if torch supports it."""
        values = values.reshape(len(values), *self.row) if self.row else values
        values = recolored(values, self.axes) if self.recolor else values
        values = values.view(np.uint8) if values.dtype.kind == "b" else values
        if values.dtype.kind == "u" and values.dtype.itemsize > 1:
            values = values.astype(np.float64)
        # torch supports neither non-native byte order nor negative strides nor read-only memory
        values = np.require(values, dtype=values.dtype.newbyteorder("="), requirements=["C", "W"])
        if values.dtype.kind == "f" and values.dtype.itemsize not in (4, 8):
            # values that are too large become infinite and are refused when they are scaled
            with np.errstate(over="ignore", invalid="ignore"):
                values = values.astype(np.float32 if values.dtype.itemsize == 2 else np.float64)
        letters, axes = CANONICAL[self.kind], other_color(self.axes) if self.recolor else self.axes
        order = [1 + axes.index(letter) for letter in letters if letter in axes]
        tensor = torch.from_numpy(values).permute(0, *order)
        return tensor if len(order) == len(letters) else tensor.unsqueeze(1 + letters.index("C"))


def layout_of(
    source: Source, row: tuple[int, ...] | None = None, order: str = "auto", missing: tuple[float, ...] = ()
) -> Layout:
    """The layout of a training set.

    Args:
        source: the training set, examples first.
        row: the option ``data.shape``.
        order: the option ``data.layout``.
        missing: values that mean missing.

    Raises:
        BadData: examples that are not numbers, whose axes do not match the options, or may be understood in two ways.
        BadOption: an ``order`` that is none.
    """
    where = named(source)
    check_numbers(source.dtype, where)
    raw = source.shape if row is None else reshaped(source.shape, row, where)
    used = row if row is not None and len(source.shape) == 1 else None
    axes = told_axes(source, raw, order, where) or guessed_axes(source, raw, where, missing)
    return Layout(used, axes, canonical(axes, raw))


def layout_like(source: Source, shape: tuple[int, ...], row: tuple[int, ...] | None = None, axes: str = "") -> Layout:
    """The layout of new data for a model that was trained on examples of ``shape``.

    Args:
        source: the new data.
        shape: shape of one training example as model input.
        row: shape to which the rows of a table were reshaped in training, if they were.
        axes: the axes of a training example, if they are known.

    Raises:
        ShapeError: examples of another shape.
        BadData: values that are not real numbers.
    """
    check_numbers(source.dtype, named(source))
    given, kind = source.shape, kind_of(shape)
    own = [axes] if axes else []
    usual = orders_of(kind)
    orders = [source.axes] if source.axes in usual else [*own, *usual]
    for letters in orders:
        if len(letters) == len(given) and canonical(letters, given) == shape:
            return Layout(None, letters, shape)
    if source.brightest is not None and _is_recolored(source.axes, given, shape):
        return Layout(None, source.axes, shape, recolor=True)
    if row is not None and given == (math.prod(shape),):
        channels_last = "HWC"[: len(row)] if row[-1] in CHANNELS or len(row) == 2 else "CHW"
        return Layout(row, axes or channels_last, shape)
    whole = (len(source), *given)
    if any(len(letters) == len(whole) and canonical(letters, whole) == shape for letters in orders):
        raise ShapeError(
            f"The data is one example, of shape {whole}, not several. Pass x[None] for a single example x."
        )
    seen = (1, *given) if kind == "images" and len(given) == 2 else given
    raise ShapeError(
        f"The data has examples of shape {seen}, but the model was trained on examples of shape {tuple(shape)}. "
        "Pass data of that shape."
    )


def _is_recolored(axes: str, given: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Whether pictures are gray and the model was trained on colored ones of the same size, or the reverse."""
    if axes not in ("HW", "HWC", "FHW", "FHWC") or kind_of(shape) not in ("images", "frames"):
        return False
    if axes.endswith("C"):
        return given[-1] == 3 and canonical(axes, (*given[:-1], 1)) == shape
    return canonical(f"{axes}C", (*given, 3)) == shape


def other_color(axes: str) -> str:
    """The axes of colored pictures for those of gray ones, and the reverse."""
    return axes.removesuffix("C") if axes.endswith("C") else f"{axes}C"


def recolored(values: Array, axes: str) -> Array:
    """Gray pictures with three equal channels, or the luminance of colored ones (ITU-R BT.601), as Pillow computes it.

    Equal channels give that gray exactly: some formats, such as WebP, store gray pictures in three channels only.

    >>> recolored(np.array([[[[7, 7, 7], [0, 255, 0]]]], np.uint8), "HWC").tolist()
    [[[7, 150]]]
    """
    if not axes.endswith("C"):
        return np.repeat(values[..., None], 3, axis=-1)
    if values.dtype.kind == "f":
        return np.asarray(values @ np.array(LUMA, np.float64) / 2**16, values.dtype)
    weighted: Array = values.astype(np.int64) @ np.array(LUMA) + 2**15
    gray: Array = (weighted >> 16).astype(values.dtype)
    return gray


def check_order(dataset: Dataset, order: str) -> None:
    """Refuse examples that do not come first where they cannot be moved there: on disk, or in a table with columns.

    Raises:
        BadData: the option ``data.layout`` puts them elsewhere.
        BadOption: an ``order`` that is none.
    """
    if order == "auto" or order.startswith("N"):
        return
    axes = example_axes(order)
    if dataset.streamed or dataset.schema is not None:
        what = "stays on disk" if dataset.schema is None else "has columns"
        raise BadData(
            f"data.layout={order} puts the examples elsewhere than first, but {dataset.name!r} {what}. Use an array in "
            f"memory, or save it with the axes N{axes}."
        )


def named(source: Source) -> str:
    """What a source is called in messages."""
    return repr(source.name) if source.name != "array" else "The array"


def check_numbers(dtype: np.dtype[Any], where: str) -> None:
    """Refuse values that are not real numbers.

    Raises:
        BadData: strings, Python objects, complex numbers or dates.
    """
    if dtype.kind not in "buif":
        kind = NOT_NUMBERS.get(dtype.kind, f"values of type {dtype}")
        raise BadData(f"{where} holds {kind}, but real numbers are required. Convert them to numbers first.")


def reshaped(given: tuple[int, ...], shape: tuple[int, ...], where: str) -> tuple[int, ...]:
    """The shape of examples under the option ``data.shape``, which reshapes the rows of a table.

    Raises:
        BadData: a shape that does not match the examples.
    """
    wanted = ",".join(map(str, shape))
    if len(shape) not in (1, 2, 3) or min(shape) < 1:
        raise BadData(
            f"data.shape cannot be {wanted}. Set height,width or height,width,channels, such as data.shape=28,28."
        )
    if len(given) == 1:
        if math.prod(shape) != given[0]:
            raise BadData(
                f"{where} has {given[0]} columns, but data.shape={wanted} requires {math.prod(shape)}. "
                "Set a shape whose product is the number of columns."
            )
        return shape
    if given not in (shape, (*shape, 1)):
        raise BadData(
            f"{where} holds examples of shape {given}, not data.shape={wanted}. "
            "Leave data.shape out; it is for tables whose rows are flattened images."
        )
    return given
