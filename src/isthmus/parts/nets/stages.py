"""Stages that halve the maps of examples, for networks that judge them: critics and comparators."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import nn

from isthmus.parts.nets.conv import Size, along
from isthmus.parts.nets.layers import CONVOLUTIONS
from isthmus.parts.protocols import Shape

SMALLEST = 4
"""The side of a map below which it is not halved again."""

After = Callable[[int, int, int], list[nn.Module]]
"""The layers that follow a convolution or dense layer, from its maps, its stage, and the number of axes of the maps."""


def halved(size: Size, kernel: int) -> Size:
    """The size of maps after a convolution of stride 2; an axis of one value keeps it.

    >>> halved((28, 1), 3), halved((7, 7), 4)
    ((14, 1), (3, 3))
    """
    return tuple((n + 2 * p - k) // s + 1 for n, k, s, p in zip(size, *along(size, kernel, 2), strict=True))


def halving_stages(shape: Shape, channels: Sequence[int], kernel: int, after: After) -> tuple[list[nn.Module], int]:
    """Stages of convolutions of stride 2 for images and sequences, else of dense layers.

    Images and sequences that are too small for all stages have fewer of them.

    Args:
        shape: shape of one example.
        channels: number of feature maps, or of units, of each stage.
        kernel: size of the kernels.
        after: the layers that follow each convolution or dense layer.

    Returns:
        The stages, and the number of values that the last one gives for an example.
    """
    axes = len(shape) - 1 if len(shape) in (2, 3) else 0
    sizes: Size = tuple(shape[1:]) if axes else ()
    width = shape[0] if axes else math.prod(shape)
    stages: list[nn.Module] = []
    for stage, (a, b) in enumerate(pairwise([width, *channels])):
        if axes and stage and min(sizes) < SMALLEST:
            break
        layer = CONVOLUTIONS[axes](a, b, *along(sizes, kernel, 2)) if axes else nn.Linear(a, b)
        first = [] if axes or stage else [nn.Flatten()]
        stages.append(nn.Sequential(*first, layer, *after(b, stage, axes)))
        sizes, width = halved(sizes, kernel) if axes else (), b
    return stages, width * math.prod(sizes)
