"""Networks: pairs of encoder and decoder, for any shape of data and any latent and likelihood heads."""

from collections.abc import Callable

from torch import nn

from isthmus.parts.nets.comparator import comparator
from isthmus.parts.nets.conv import conv
from isthmus.parts.nets.critic import critic, data_critic
from isthmus.parts.nets.generative import dcgan, vae_gan, wae
from isthmus.parts.nets.layers import Pair
from isthmus.parts.nets.linear import linear
from isthmus.parts.nets.mlp import mlp
from isthmus.parts.nets.spatial import spatial
from isthmus.parts.nets.unet import unet

NETS: dict[str, Callable[..., Pair]] = {
    "linear": linear,
    "mlp": mlp,
    "conv": conv,
    "dcgan": dcgan,
    "vae_gan": vae_gan,
    "wae": wae,
    "unet": unet,
    "spatial": spatial,
}
"""Networks by name in a recipe."""

BUILDERS: dict[str, Callable[..., nn.Module]] = {
    "critic": critic,
    "data_critic": data_critic,
    "comparator": comparator,
}
"""Networks that penalties are supplied with, by the name of their argument."""

__all__ = [
    "BUILDERS",
    "NETS",
    "Pair",
    "comparator",
    "conv",
    "critic",
    "data_critic",
    "dcgan",
    "linear",
    "mlp",
    "spatial",
    "unet",
    "vae_gan",
    "wae",
]
