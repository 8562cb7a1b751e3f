r"""Small pieces that every network is made of, each chosen by name: activation, normalisation, initial weights."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from isthmus.errors import check_choice
from isthmus.functional import ACTIVATIONS
from isthmus.trace import Shape

NORMS = ("none", "batch", "layer", "group")
GROUPS, GROUP = 8, 4
"""Groups of a group normalisation, at most, and features in a group, at least: of two only the sign would be left."""


class Pair(NamedTuple):
    """An encoder and a decoder that fit each other, and the shape of the code between them."""

    encoder: nn.Module
    decoder: nn.Module
    code: Shape


class Activation(nn.Module):
    """An activation by name, as a layer.

    >>> Activation("relu")(torch.tensor([-1.0, 1.0])).tolist()
    [0.0, 1.0]
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        check_choice("net.activation", name, ACTIVATIONS)
        self.name = name

    def forward(self, h: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
        """The activation of each value."""
        return ACTIVATIONS[self.name](h)

    def extra_repr(self) -> str:
        """The name, for printing."""
        return self.name


def normalisation(name: str, width: int, *, maps: bool) -> list[nn.Module]:
    """The normalisation layer called ``name`` for ``width`` features, of vectors or of image maps; none is ``[]``."""
    check_choice("net.norm", name, NORMS)
    if name == "batch":
        return [nn.BatchNorm2d(width) if maps else nn.BatchNorm1d(width)]
    if name == "none":
        return []
    if width == 1 and not maps:
        # one value normalised by itself is always 0
        return [nn.Identity()]
    if name == "layer":
        return [nn.GroupNorm(1, width) if maps else nn.LayerNorm(width)]
    return [nn.GroupNorm(_groups(width), width)]


def _groups(width: int) -> int:
    """The most groups, up to ``GROUPS``, that divide ``width`` and leave at least ``GROUP`` features in each."""
    return max((g for g in range(1, GROUPS + 1) if width % g == 0 and width // g >= GROUP), default=1)


def _sparse(weight: Tensor) -> None:
    """15 incoming weights of each unit from N(0, 1), all others 0, so that no unit saturates (Martens, 2010)."""
    weight.zero_()
    flat = weight.flatten(1)
    incoming = min(INCOMING, flat.shape[1])
    places = torch.rand_like(flat).topk(incoming).indices
    flat.scatter_(1, places, torch.randn(len(flat), incoming, dtype=flat.dtype, device=flat.device))


INCOMING = 15
"""Weights of a unit that sparse initial weights draw."""
INITIAL_WEIGHTS: dict[str, Callable[[Tensor], object]] = {
    "glorot": nn.init.xavier_uniform_,
    "glorot_normal": nn.init.xavier_normal_,
    "he": lambda w: nn.init.kaiming_uniform_(w, nonlinearity="relu"),
    "he_normal": lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu"),
    "orthogonal": nn.init.orthogonal_,
    "sparse": _sparse,
    "small": lambda w: nn.init.normal_(w, std=0.01),
    "torch": lambda w: w,
}
"""Initial weights by name. ``torch`` leaves what the layer itself drew; all others start biases at zero."""


def initialise(net: nn.Module, name: str) -> None:
    """Draw the weights of every linear and convolutional layer of ``net`` as ``name`` says."""
    check_choice("net.weights", name, INITIAL_WEIGHTS)
    if name == "torch":
        return
    for layer in net.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            with torch.no_grad():
                # a transposed convolution keeps its inputs on the first axis, where others keep their outputs
                flipped = isinstance(layer, nn.ConvTranspose2d)
                weight = layer.weight.transpose(0, 1) if flipped else layer.weight
                drawn = torch.empty_like(weight, memory_format=torch.contiguous_format)
                INITIAL_WEIGHTS[name](drawn)
                weight.copy_(drawn)
                if layer.bias is not None:
                    layer.bias.zero_()
