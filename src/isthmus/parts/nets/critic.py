r"""The critic of an adversarial penalty: a fully connected network on codes."""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from isthmus.errors import BadOption, check_range
from isthmus.parts.nets.layers import Activation, initialize


def critic(inputs: int | None, outputs: int = 1, widths: Sequence[int] = (512, 512)) -> nn.Module:
    """A fully connected network from codes of ``inputs`` values to ``outputs`` logits, with leaky ReLU units.

    Raises:
        BadOption: the code has no size, or a width is below 1.

    >>> import torch
    >>> critic(3, 2, (8,))(torch.zeros(5, 3)).shape
    torch.Size([5, 2])
    """
    if inputs is None:
        raise BadOption("A critic requires a vector code, but latent.size is not set. Set latent.size=16.")
    for width in widths:
        check_range("A critic's widths", width, 1, 1 << 16)
    sizes = [inputs, *widths, outputs]
    layers: list[nn.Module] = [nn.Flatten()]
    for a, b in pairwise(sizes):
        layers += [nn.Linear(a, b), Activation("leaky_relu")]
    net = nn.Sequential(*layers[:-1])
    initialize(net, "he")
    return net
