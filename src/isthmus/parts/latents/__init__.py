r"""Latent heads: map the features of the encoder to a posterior :math:`q(z \mid \tilde x)`.

A head declares how many features it takes (``width``) and which properties its code has (``provides``), and is
independent of the network. Axis 1 is the axis of the code, so vectors (B, d) and maps (B, d, H, W) are both supported.
"""

from torch import nn

from isthmus.parts.latents.dense import Deterministic, Gaussian
from isthmus.parts.latents.discrete import Categorical, FiniteScalar
from isthmus.parts.latents.full_gaussian import FullGaussian
from isthmus.parts.latents.quantized import Quantized
from isthmus.parts.latents.sparse import BatchTopK, JumpReLU, KSparse, TopK

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
    "quantized": Quantized,
}
"""Latent heads by name in a recipe."""

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
    "Quantized",
    "TopK",
]
