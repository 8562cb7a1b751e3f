"""Inputs of a model: conversion of arrays and tensors, and iteration in chunks."""

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from isthmus.errors import ShapeError
from isthmus.parts.protocols import Shape

CHUNK = 1000
"""Number of examples at a time in inference: large enough for full speed, small enough for the CPU's cache."""


@runtime_checkable
class Chunked(Protocol):
    """Examples (N, *shape) that are read in chunks, never as a whole."""

    @property
    def shape(self) -> torch.Size:
        """Shape of all examples, (N, *shape)."""
        ...

    def __len__(self) -> int:
        """Number of examples."""
        ...

    def chunks(self, size: int) -> Iterator[Tensor]:
        """The examples in order, at most ``size`` at a time, without invalid examples."""
        ...


def chunks(x: Tensor | Chunked, size: int = CHUNK) -> Iterator[Tensor]:
    """The examples of a tensor, or of data larger than memory, in order and at most ``size`` at a time."""
    return iter(torch.split(x, size)) if isinstance(x, Tensor) else x.chunks(size)


def paired_chunks(
    x: Tensor | Chunked, inputs: Tensor | Chunked | None, size: int = CHUNK
) -> Iterator[tuple[Tensor, Tensor]]:
    """Chunks of targets ``x`` and of what the encoder sees: of ``inputs``, or the targets themselves without them.

    Raises:
        ShapeError: another number of inputs than of targets.
    """
    if inputs is None:
        yield from ((chunk, chunk) for chunk in chunks(x, size))
        return
    if len(inputs) != len(x):
        raise ShapeError(f"There are {len(inputs)} inputs for {len(x)} targets. Pass one input per target.")
    yield from zip(chunks(x, size), chunks(inputs, size), strict=True)


def as_inputs(x: Tensor | npt.NDArray[Any], shape: Shape) -> Tensor:
    """Examples as a tensor (N, *shape), converted as described in :meth:`Autoencoder.inputs`."""
    value = tensor_of(x)
    if value.dtype == torch.uint8:
        value = value.float() / (255 if value.numel() and value.max() > 1 else 1)
    # channels are the first axis, or of frames (F, C, H, W) the second
    place = 1 if len(shape) == 4 else 0
    channels_last = (*shape[:place], *shape[place + 1 :], shape[place])
    if len(shape) > 1 and tuple(value.shape[1:]) == channels_last != tuple(shape):
        value = value.movedim(-1, 1 + place)
    return shaped(value, shape, "examples")


def tensor_of(x: Tensor | npt.NDArray[Any]) -> Tensor:
    """A tensor of a numeric array (or of what numpy converts to one), with any memory layout."""
    if isinstance(x, Tensor):
        return x
    x = np.asarray(x)
    if x.dtype.kind not in "biuf":
        raise ShapeError(f"The model requires numeric input, but the array has dtype {x.dtype}. Convert it to numbers.")
    # torch supports neither foreign byte order nor negative strides nor read-only memory
    known = x.dtype.kind == "b" or x.dtype == np.uint8 or (x.dtype.kind == "f" and x.dtype.itemsize <= 8)
    kind = x.dtype.newbyteorder("=") if known else np.dtype(np.float64)
    return torch.from_numpy(np.require(x, dtype=kind, requirements=["C", "W"]))


def shaped(value: Tensor, shape: Shape, what: str) -> Tensor:
    """``value`` reshaped to (N, *shape), if it differs by flattening or axes of length 1 only."""
    if value.ndim < 1 or len(value) == 0 or value[0].numel() != torch.Size(shape).numel():
        raise ShapeError(
            f"The model takes {what} of shape (N, {', '.join(map(str, shape))}), but was given "
            f"{tuple(value.shape)}. Pass one row per {what.removesuffix('s')}."
        )
    flat_or_same = value.ndim == 2 or [n for n in value.shape[1:] if n > 1] == [n for n in shape if n > 1]
    if not flat_or_same:
        raise ShapeError(
            f"The model takes {what} of shape {shape}, but was given {tuple(value.shape[1:])}, which has its axes in "
            "another order. Move the channels to the first axis."
        )
    return value.reshape(len(value), *shape)
