"""Networks: encoder and decoder pairs that fit the data and the heads they feed, and know neither."""

from collections.abc import Callable

from isthmus.nets.conv import conv
from isthmus.nets.critic import critic
from isthmus.nets.layers import Pair
from isthmus.nets.linear import linear
from isthmus.nets.mlp import mlp

NETS: dict[str, Callable[..., Pair]] = {"linear": linear, "mlp": mlp, "conv": conv}
"""Networks by their name in a recipe."""

__all__ = ["NETS", "Pair", "conv", "critic", "linear", "mlp"]
