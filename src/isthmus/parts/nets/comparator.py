r"""Networks whose features are compared, in place of values: a small convolutional one, or dense for tables."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from isthmus.parts.nets.layers import Activation, check_channels, initialize, normalization
from isthmus.parts.nets.stages import halving_stages
from isthmus.parts.protocols import Shape

KERNEL = 3
"""Kernel size of the convolutions."""


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

    def after(maps: int, stage: int, axes: int) -> list[nn.Module]:
        return [*normalization("group", maps, axes=axes), Activation("relu")]

    stages, flat = halving_stages(shape, channels, kernel_size, after)
    stages.append(nn.Sequential(nn.Flatten(), nn.Linear(flat, outputs)))
    net = FeatureNet(stages)
    initialize(net, "he")
    return net
