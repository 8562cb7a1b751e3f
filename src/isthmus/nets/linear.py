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
    unit_norm: bool = False,
) -> Pair:
    """A linear encoder and a linear decoder: :func:`isthmus.nets.mlp.mlp` without hidden layers.

    Args:
        shape: shape of one example; it is flattened.
        size: width d of the code, at least 1.
        latent: the head behind the encoder.
        likelihood: the head behind the decoder.
        weights: initial weights by name (:data:`isthmus.nets.layers.INITIAL_WEIGHTS`).
        tied: the decoder's weights are the transposes of the encoder's, with biases of its own.
        unit_norm: the columns of the decoder, one for each code value, have unit norm, and the encoder starts as
            their transpose where the latent takes one feature for each value.

    Raises:
        BadOption: no size, an unknown name, or unit norm of a tied decoder.

    >>> from isthmus import latents, likelihoods
    >>> linear((8,), 2, latents.Deterministic(), likelihoods.Gaussian()).encoder[1].weight.shape
    torch.Size([2, 8])
    """
    return mlp(shape, size, latent, likelihood, widths=(), weights=weights, tied=tied, unit_norm=unit_norm)
