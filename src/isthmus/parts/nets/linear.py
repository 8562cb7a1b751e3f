r"""Linear encoder and decoder, without hidden layers.

With squared error the optimal decoder spans the subspace of the first d principal components (Baldi & Hornik, 1989).
"""

from isthmus.parts.nets.layers import Pair
from isthmus.parts.nets.mlp import mlp
from isthmus.parts.protocols import Head, Shape, Supplied


def linear(
    shape: Supplied[Shape],
    size: Supplied[int | None],
    latent: Supplied[Head],
    likelihood: Supplied[Head],
    *,
    init: str = "glorot",
    tied: bool = False,
    unit_norm: bool = False,
) -> Pair:
    """A linear encoder and a linear decoder: :func:`isthmus.parts.nets.mlp.mlp` without hidden layers.

    Args:
        shape: shape of one example, which is flattened.
        size: size d of the code, at least 1.
        latent: the head of the encoder.
        likelihood: the head of the decoder.
        init: initial weights, one of :data:`isthmus.parts.nets.layers.INITIAL_WEIGHTS`.
        tied: use the transposed encoder weights in the decoder, which keeps separate biases.
        unit_norm: normalize the columns of the decoder, one per code value, to unit norm. The encoder is initialized
            with their transpose if the latent takes one feature per value.

    Raises:
        BadOption: no size, an unknown name, or ``unit_norm`` together with ``tied``.

    >>> from isthmus.parts import latents, likelihoods
    >>> linear((8,), 2, latents.Deterministic(), likelihoods.Gaussian()).encoder[1].weight.shape
    torch.Size([2, 8])
    """
    return mlp(shape, size, latent, likelihood, widths=(), init=init, tied=tied, unit_norm=unit_norm)
