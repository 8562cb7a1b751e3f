r"""Building blocks of the networks, each selected by name: activation, normalization, initial weights."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from isthmus.errors import BadOption, check_choice, check_range
from isthmus.functional import ACTIVATIONS
from isthmus.parts.protocols import Shape

Layer = Callable[..., nn.Module]
CONVOLUTIONS: dict[int, Layer] = {1: nn.Conv1d, 2: nn.Conv2d}
TRANSPOSED: dict[int, Layer] = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d}
MAX_POOLS: dict[int, Layer] = {1: nn.MaxPool1d, 2: nn.MaxPool2d}
"""Layers of feature maps by the number of their axes beside the channels: 1 for sequences, 2 for images."""
BATCH_NORMS: dict[int, Layer] = {0: nn.BatchNorm1d, 1: nn.BatchNorm1d, 2: nn.BatchNorm2d}
"""Batch normalization by the number of axes beside the channels: 0 for vectors."""
NORMS = ("none", "batch", "layer", "group")
MAX_GROUPS, MIN_GROUP_SIZE = 8, 4
"""Bounds of group normalization; two normalized features, for example, would keep only the sign of their difference."""


class Pair(NamedTuple):
    """An encoder, a decoder, and the shape of the code between them."""

    encoder: nn.Module
    decoder: nn.Module
    code: Shape


class Activation(nn.Module):
    """An activation as a layer, selected by name from :data:`isthmus.functional.ACTIVATIONS`.

    >>> Activation("relu")(torch.tensor([-1.0, 1.0])).tolist()
    [0.0, 1.0]
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        check_choice("net.activation", name, ACTIVATIONS)
        self.name = name

    def forward(self, h: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
        """The activation applied to each value."""
        return ACTIVATIONS[self.name](h)

    def extra_repr(self) -> str:
        """The name of the activation, for ``repr``."""
        return self.name


def check_channels(channels: Sequence[int], example: str) -> None:
    """Check the numbers of feature maps of a convolutional network, one for each stage.

    Raises:
        BadOption: none, or one out of range.
    """
    if not channels:
        raise BadOption(f"net.channels is empty, but at least one stage is required. Set net.channels={example}.")
    for width in channels:
        check_range("net.channels", width, 1, 1 << 16)


def normalization(name: str, width: int, *, axes: int) -> list[nn.Module]:
    """The normalization layer ``name`` for ``width`` features; ``[]`` for ``none``.

    Args:
        name: one of ``none``, ``batch``, ``layer`` and ``group``.
        width: number of features or feature maps.
        axes: number of axes beside the features: 0 for vectors, 1 for maps of sequences, 2 for those of images.
    """
    check_choice("net.norm", name, NORMS)
    if name == "batch":
        return [BATCH_NORMS[axes](width)]
    if name == "none":
        return []
    if width == 1 and not axes:
        # the normalization of a single value is always 0
        return [nn.Identity()]
    if name == "layer":
        return [nn.GroupNorm(1, width) if axes else nn.LayerNorm(width)]
    return [nn.GroupNorm(_groups(width), width)]


def _groups(width: int) -> int:
    """Largest number of equal groups of ``width`` features within the bounds above."""
    return max((g for g in range(1, MAX_GROUPS + 1) if width % g == 0 and width // g >= MIN_GROUP_SIZE), default=1)


def _sparse(weight: Tensor) -> None:
    """Sample 15 incoming weights per unit from N(0, 1), others are 0, to avoid saturated units (Martens, 2010)."""
    weight.zero_()
    flat = weight.flatten(1)
    incoming = min(INCOMING, flat.shape[1])
    columns = torch.rand_like(flat).topk(incoming).indices
    flat.scatter_(1, columns, torch.randn(len(flat), incoming, dtype=flat.dtype, device=flat.device))


INCOMING = 15
"""Nonzero incoming weights per unit for ``sparse``."""
INITIAL_WEIGHTS: dict[str, Callable[[Tensor], object]] = {
    "glorot": nn.init.xavier_uniform_,
    "glorot_normal": nn.init.xavier_normal_,
    "he": lambda w: nn.init.kaiming_uniform_(w, nonlinearity="relu"),
    "he_normal": lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu"),
    "orthogonal": nn.init.orthogonal_,
    "sparse": _sparse,
    "small": lambda w: nn.init.normal_(w, std=0.01),
    "normal": lambda w: nn.init.normal_(w, std=0.02),
    "torch": lambda w: w,
}
"""Initial weights by name. ``torch`` keeps PyTorch's default; all others set biases to zero."""


def initialize(net: nn.Module, name: str) -> None:
    """Initialize all linear and convolutional layers of ``net`` with the method ``name``."""
    check_choice("net.init", name, INITIAL_WEIGHTS)
    if name == "torch":
        return
    for layer in net.modules():
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d | nn.ConvTranspose1d | nn.ConvTranspose2d):
            with torch.no_grad():
                # the first axis of a transposed convolution is its inputs, of all other layers their outputs
                transposed = isinstance(layer, nn.ConvTranspose1d | nn.ConvTranspose2d)
                weight = layer.weight.transpose(0, 1) if transposed else layer.weight
                initial = torch.empty_like(weight, memory_format=torch.contiguous_format)
                INITIAL_WEIGHTS[name](initial)
                weight.copy_(initial)
                if layer.bias is not None:
                    layer.bias.zero_()
