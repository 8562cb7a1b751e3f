"""Grids of patches: space to channels and back, padding to whole patches."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from isthmus.parts.protocols import Shape


def space_to_channels(h: Float[Tensor, "B C *S"], factor: int) -> Float[Tensor, "B c *s"]:
    """Patches of ``factor`` values along each axis as channels, as ``torch.nn.PixelUnshuffle`` does for images.

    >>> import torch
    >>> space_to_channels(torch.tensor([[[1.0, 2.0, 3.0, 4.0]]]), 2).tolist()
    [[[1.0, 3.0], [2.0, 4.0]]]
    """
    if factor == 1:
        return h
    axes = h.ndim - 2
    split = [n for side in h.shape[2:] for n in (side // factor, factor)]
    # (B, C, i, p, j, q) -> (B, C, p, q, i, j)
    order = [0, 1, *(3 + 2 * axis for axis in range(axes)), *(2 + 2 * axis for axis in range(axes))]
    return h.reshape(*h.shape[:2], *split).permute(order).flatten(1, 1 + axes)


def channels_to_space(h: Float[Tensor, "B c *s"], factor: int) -> Float[Tensor, "B C *S"]:
    """The inverse of :func:`space_to_channels`."""
    if factor == 1:
        return h
    axes = h.ndim - 2
    split = h.reshape(len(h), -1, *[factor] * axes, *h.shape[2:])
    # (B, C, p, q, i, j) -> (B, C, i, p, j, q)
    order = [0, 1, *(place for axis in range(axes) for place in (2 + axes + axis, 2 + axis))]
    return split.permute(order).reshape(len(h), -1, *(factor * side for side in h.shape[2:]))


def padded(h: Float[Tensor, "B C *S"], multiple: int) -> Float[Tensor, "B C *P"]:
    """Feature maps extended at their ends to multiples of ``multiple`` along each axis, by their last values."""
    missing = [-side % multiple for side in h.shape[2:]]
    ends = [n for amount in reversed(missing) for n in (0, amount)]
    return F.pad(h, ends, mode="replicate") if any(missing) else h


def cropped(h: Float[Tensor, "B C *P"], size: Shape) -> Float[Tensor, "B C *S"]:
    """The first values along each axis."""
    for axis, side in enumerate(size, start=2):
        h = h.narrow(axis, 0, side)
    return h
