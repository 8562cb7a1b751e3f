"""Layout: the meaning of the axes of raw examples.

    2 axes   a table (N, D), or flattened images if ``shape`` is set
    3 axes   gray images (N, H, W)
    4 axes   images, channels last (N, H, W, C) if the last axis has length 1, 3 or 4, else channels first

New data for a trained model has the layout of its training data, or the same images with the channels at the other end.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from isthmus.data.base import Array
from isthmus.data.sources.base import Source
from isthmus.errors import BadData, ShapeError

Kind = Literal["table", "sequences", "images", "frames"]
CHANNELS = (1, 3, 4)
NOT_NUMBERS = {"O": "Python objects", "U": "strings", "S": "strings", "c": "complex numbers"}


def kind_of(shape: Sequence[int]) -> Kind:
    """The kind of an example, which follows from its shape as model input.

        (D,)            row of a table
        (C, T)          sequence
        (C, H, W)       image
        (F, C, H, W)    frames

    >>> kind_of((4, 50))
    'sequences'

    Raises:
        ShapeError: a shape of no axis, or of more than four.
    """
    kinds = get_args(Kind)
    if not 1 <= len(shape) <= len(kinds):
        raise ShapeError(f"An example has 1 to {len(kinds)} axes, but the shape is {tuple(shape)}.")
    kind: Kind = kinds[len(shape) - 1]
    return kind


@dataclass(frozen=True)
class Layout:
    """Meaning of the axes of a raw example.

    Args:
        row: shape to which the rows of a table are reshaped, if any.
        first: whether the channels are first already.
        shape: shape of an example as model input, (D,), (C, T), (C, H, W) or (F, C, H, W).
    """

    row: tuple[int, ...] | None
    first: bool
    shape: tuple[int, ...]

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
        values = values.view(np.uint8) if values.dtype.kind == "b" else values
        if values.dtype.kind == "u" and values.dtype.itemsize > 1:
            values = values.astype(np.float64)
        # torch supports neither non-native byte order nor negative strides nor read-only memory
        values = np.require(values, dtype=values.dtype.newbyteorder("="), requirements=["C", "W"])
        if values.dtype.kind == "f" and values.dtype.itemsize not in (4, 8):
            # values that are too large become infinite and are refused when they are scaled
            with np.errstate(over="ignore", invalid="ignore"):
                values = values.astype(np.float32 if values.dtype.itemsize == 2 else np.float64)
        tensor = torch.from_numpy(values)
        if not self.images or self.first:
            return tensor
        return tensor.unsqueeze(1) if tensor.ndim == 3 else tensor.movedim(-1, 1)


def layout_of(source: Source, row: tuple[int, ...] | None) -> Layout:
    """The layout of a training set; ``row`` is the option ``data.shape``.

    Raises:
        BadData: examples that are neither rows of numbers nor images.
    """
    where = repr(source.name) if source.name != "array" else "The array"
    check_numbers(source.dtype, where)
    raw = source.shape if row is None else reshaped(source.shape, row, where)
    used = row if row is not None and len(source.shape) == 1 else None
    if len(raw) == 1:
        return Layout(used, False, raw)
    if len(raw) == 2:
        return Layout(used, False, (1, *raw))
    if len(raw) != 3:
        raise BadData(
            f"{where} has examples of shape {raw}, but a table (N, D) or images (N, H, W) or (N, H, W, C) are "
            "required. Pass one row per example."
        )
    if raw[-1] in CHANNELS:
        return Layout(used, False, (raw[-1], *raw[:-1]))
    if raw[0] in CHANNELS:
        return Layout(used, True, raw)
    raise BadData(
        f"{where} has examples of shape {raw}, with no axis of 1, 3 or 4 channels at the end or the start. "
        "Pass images as (N, H, W), (N, H, W, C) or (N, C, H, W)."
    )


def layout_like(source: Source, shape: tuple[int, ...], row: tuple[int, ...] | None) -> Layout:
    """The layout of new data for a model that was trained on examples of ``shape``.

    Args:
        source: the new data.
        shape: shape of one training example as model input.
        row: shape to which the rows of a table were reshaped in training, if they were.

    Raises:
        ShapeError: examples of another shape.
        BadData: values that are not real numbers.
    """
    check_numbers(source.dtype, repr(source.name) if source.name != "array" else "The array")
    given, images = source.shape, kind_of(shape) == "images"
    if not images:
        if given == shape:
            return Layout(None, False, shape)
    elif given in (shape[1:], (*shape[1:], shape[0])) and (shape[0] == 1 or len(given) == 3):
        return Layout(None, False, shape)
    elif given == shape:
        return Layout(None, True, shape)
    elif row is not None and given == (math.prod(shape),):
        return Layout(row, len(row) == 3 and row[-1] not in CHANNELS, shape)
    seen = (1, *given) if images and len(given) == 2 else given
    raise ShapeError(
        f"The data has examples of shape {seen}, but the model was trained on examples of shape {tuple(shape)}. "
        "Pass data of that shape."
    )


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
