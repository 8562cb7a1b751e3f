r"""The linear pair: one matrix in, one matrix out, no hidden layer.

With squared error its best code spans the space of the first d principal components (Baldi & Hornik, 1989).
"""

from isthmus.nets.layers import Pair
from isthmus.nets.mlp import mlp
from isthmus.trace import Head, Shape


def linear(
    shape: Shape,
    size: int | None,
    latent: Head,
    likelihood: Head,
    *,
    weights: str = "glorot",
    tied: bool = False,
) -> Pair:
    """A linear encoder and a linear decoder: :func:`isthmus.nets.mlp.mlp` without hidden layers.

    >>> from isthmus import latents, likelihoods
    >>> linear((8,), 2, latents.Deterministic(), likelihoods.Gaussian()).encoder[1].weight.shape
    torch.Size([2, 8])
    """
    return mlp(shape, size, latent, likelihood, widths=(), weights=weights, tied=tied)
