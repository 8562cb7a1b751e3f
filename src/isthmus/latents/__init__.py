r"""Latent heads: features of the encoder become a posterior :math:`q(z \mid \tilde x)`.

A head says how many features it needs (``width``), and promises what the code can be used for (``offers``); it
never knows which network feeds it. Axis 1 holds the code's width, so a head serves vectors (B, d) and maps
(B, d, H, W) alike.
"""

from torch import nn

from isthmus.latents.dense import Deterministic, Gaussian
from isthmus.latents.discrete import Categorical, FiniteScalar
from isthmus.latents.gaussian import FullGaussian
from isthmus.latents.quantised import Quantised
from isthmus.latents.sparse import BatchTopK, JumpReLU, KSparse, TopK

LATENTS: dict[str, type[nn.Module]] = {
    "deterministic": Deterministic,
    "gaussian": Gaussian,
    "full_gaussian": FullGaussian,
    "top_k": TopK,
    "batch_top_k": BatchTopK,
    "jump_relu": JumpReLU,
    "k_sparse": KSparse,
    "categorical": Categorical,
    "finite_scalar": FiniteScalar,
    "quantised": Quantised,
}
"""Latent heads by their name in a recipe."""

__all__ = [
    "LATENTS",
    "BatchTopK",
    "Categorical",
    "Deterministic",
    "FiniteScalar",
    "FullGaussian",
    "Gaussian",
    "JumpReLU",
    "KSparse",
    "Quantised",
    "TopK",
]
