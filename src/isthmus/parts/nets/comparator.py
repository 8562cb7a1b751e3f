r"""Networks whose features are compared, in place of values: a small convolutional one, or dense for tables."""

import math
from collections.abc import Sequence
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

from isthmus.parts.nets.conv import along
from isthmus.parts.nets.layers import CONVOLUTIONS, Activation, check_channels, initialize, normalization
from isthmus.parts.protocols import Shape

KERNEL, SMALLEST = 3, 4
"""Kernel size of the convolutions, and the side of a map below which it is not halved again."""


class FeatureNet(nn.Module):
    """A network that returns the output of each of its stages; the last stage gives vectors.

    Args:
        stages: modules that are applied one after the other.
    """

    def __init__(self, stages: Sequence[nn.Module]) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Float[Tensor, "B *D"]) -> list[Tensor]:
        """The output of each stage."""
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


def comparator(
    shape: Shape, channels: Sequence[int] = (32, 64, 128), outputs: int = 128, kernel_size: int = KERNEL
) -> FeatureNet:
    """A network of convolutions of stride 2 and group normalization, then a dense layer, for examples of ``shape``.

    Images and sequences that are too small for all stages have fewer of them; for tables the layers are dense.

    Args:
        shape: shape of one example.
        channels: number of feature maps, or of units, of each stage.
        outputs: length of the vector of the last stage.
        kernel_size: size of the kernels.

    >>> import torch
    >>> [tuple(f.shape[1:]) for f in comparator((1, 28, 28), (4, 8), 5)(torch.zeros(2, 1, 28, 28))]
    [(4, 14, 14), (8, 7, 7), (5,)]
    """
    check_channels(channels, "32,64,128")
    axes = len(shape) - 1 if len(shape) in (2, 3) else 0
    sizes = tuple(shape[1:]) if axes else ()
    widths = [shape[0] if axes else math.prod(shape), *channels]
    stages: list[nn.Module] = []
    for a, b in pairwise(widths):
        if axes and stages and min(sizes) < SMALLEST:
            break
        k, stride, pad = along(sizes, kernel_size, 2) if axes else ((), (), ())
        layer = CONVOLUTIONS[axes](a, b, k, stride, pad) if axes else nn.Linear(a, b)
        first = [] if axes or stages else [nn.Flatten()]
        stages.append(nn.Sequential(*first, layer, *normalization("group", b, axes=axes), Activation("relu")))
        sizes, width = tuple(_halved(side, kernel_size) for side in sizes), b
    flat = width * math.prod(sizes)
    stages.append(nn.Sequential(nn.Flatten(), nn.Linear(flat, outputs)))
    net = FeatureNet(stages)
    initialize(net, "he")
    return net


def _halved(side: int, kernel: int) -> int:
    return 1 if side == 1 else (side + 2 * ((kernel - 1) // 2) - kernel) // 2 + 1
