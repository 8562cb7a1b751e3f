"""Networks: pairs of encoder and decoder, for any shape of data and any latent and likelihood heads."""

from collections.abc import Callable

from isthmus.parts.nets.conv import conv
from isthmus.parts.nets.critic import critic
from isthmus.parts.nets.layers import Pair
from isthmus.parts.nets.linear import linear
from isthmus.parts.nets.mlp import mlp
from isthmus.parts.nets.unet import unet

NETS: dict[str, Callable[..., Pair]] = {"linear": linear, "mlp": mlp, "conv": conv, "unet": unet}
"""Networks by name in a recipe."""

__all__ = ["NETS", "Pair", "conv", "critic", "linear", "mlp", "unet"]
