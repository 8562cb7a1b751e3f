r"""Fully connected encoder and decoder of any depth and width.

.. math:: h_0 = x, \quad h_{l} = s(W_l h_{l-1} + b_l), \quad \text{code features} = W h_L + b

The last layer of each network is linear; the head that follows interprets its output.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from isthmus.errors import BadOption, check_range
from isthmus.parts.nets.layers import Activation, Pair, initialize, normalization
from isthmus.parts.protocols import Head, Shape, Supplied


class TiedLinear(nn.Module):
    r"""A linear layer with the transposed weight of another layer, :math:`y = W^\top x + b`, and a separate bias.

    The weight remains a parameter of the other layer. If the other layer has more outputs than this one has inputs (the
    mean and log scale of a Gaussian latent), its first rows are used: those of the mean.

    Args:
        source: the layer whose weight is transposed.
        width: number of inputs, at most ``source.out_features``.

    >>> import torch
    >>> source = nn.Linear(5, 2)
    >>> TiedLinear(source, 2)(torch.eye(2)).equal(source.weight)
    True
    """

    def __init__(self, source: nn.Linear, width: int) -> None:
        super().__init__()
        # in a tuple, so that torch does not register the shared weight as a parameter of this layer
        self._source = (source,)
        self.width = width
        self.bias = nn.Parameter(source.weight.new_zeros(source.in_features))

    def forward(self, h: Float[Tensor, "B d"]) -> Float[Tensor, "B D"]:
        """The product with the transposed weight, plus the bias."""
        return F.linear(h, self._source[0].weight[: self.width].t(), self.bias)


class UnitLinear(nn.Linear):
    r"""A linear layer with columns of unit norm, :math:`y = \sum_j h_j\, w_j / \lVert w_j \rVert + b`.

    The weight is normalized in the forward pass, so the norm is exact at every step and the gradient of a column is
    orthogonal to it. It prevents a sparse code from shrinking while the decoder weights grow.

    >>> import torch
    >>> UnitLinear(2, 5, bias=False)(torch.eye(2)).norm(dim=1).allclose(torch.ones(2))
    True
    """

    def forward(self, h: Float[Tensor, "B d"]) -> Float[Tensor, "B D"]:
        """The product with the normalized weight, plus the bias."""
        return F.linear(h, F.normalize(self.weight, dim=0), self.bias)


def mlp(
    shape: Supplied[Shape],
    size: Supplied[int | None],
    latent: Supplied[Head],
    likelihood: Supplied[Head],
    *,
    widths: Sequence[int] = (512,),
    activation: str = "relu",
    norm: str = "none",
    dropout: float = 0.0,
    init: str = "glorot",
    tied: bool = False,
    unit_norm: bool = False,
) -> Pair:
    r"""A fully connected encoder and decoder: D - widths - code - reversed widths - D.

    Args:
        shape: shape of one example, which is flattened to D values.
        size: size d of the code, at least 1.
        latent: the head of the encoder, which determines the number of its outputs.
        likelihood: the head of the decoder, which determines the number of its outputs.
        widths: widths of the hidden layers of the encoder; the decoder has them in reverse order.
        activation: activation of the hidden layers, one of :data:`isthmus.functional.ACTIVATIONS`.
        norm: normalization before the activation: ``none``, ``batch``, ``layer`` or ``group``.
        dropout: probability of setting a hidden value to zero in training, in [0, 0.99].
        init: initial weights, one of :data:`isthmus.parts.nets.layers.INITIAL_WEIGHTS`.
        tied: use the transposed encoder weights in the decoder, which keeps separate biases.
        unit_norm: normalize the columns of the decoder's first layer, one per code value, to unit norm. The encoder's
            last layer is initialized with their transpose if the shapes match (Gao et al., 2025, appendix A.1).

    Returns:
        Encoder (B, *shape) -> (B, latent.width(d)) and decoder (B, d) -> (B, likelihood.width(C), *space).

    Raises:
        BadOption: no size, a width below 1, an unknown name, or ``unit_norm`` together with ``tied``.

    >>> from isthmus.parts import latents, likelihoods
    >>> mlp((1, 28, 28), 16, latents.Gaussian(), likelihoods.Bernoulli()).code
    (16,)
    """
    if size is None:
        raise BadOption("A fully connected net requires a vector code, but latent.size is not set. Set latent.size=16.")
    check_range("latent.size", size, 1, 1 << 20)
    for width in widths:
        check_range("net.widths", width, 1, 1 << 20)
    check_range("net.dropout", dropout, 0, 0.99)

    data = math.prod(shape)
    out_shape = (likelihood.width(shape[0]), *shape[1:])
    if tied:
        _check_tied(data, math.prod(out_shape), likelihood, unit_norm=unit_norm)
    encoder_widths = [data, *widths, latent.width(size)]
    decoder_widths = [size, *reversed(widths), math.prod(out_shape)]
    down = [nn.Linear(a, b) for a, b in pairwise(encoder_widths)]
    up: list[nn.Module]
    if tied:
        up = [TiedLinear(layer, width) for layer, width in zip(reversed(down), decoder_widths, strict=False)]
    else:
        first = UnitLinear if unit_norm else nn.Linear
        up = [(first if i == 0 else nn.Linear)(a, b) for i, (a, b) in enumerate(pairwise(decoder_widths))]

    def hidden(width: int) -> list[nn.Module]:
        drop = [nn.Dropout(dropout)] if dropout else []
        return [*normalization(norm, width, axes=0), Activation(activation), *drop]

    encoder = nn.Sequential(nn.Flatten(), *_interleave(down, [hidden(w) for w in widths]))
    decoder = nn.Sequential(*_interleave(up, [hidden(w) for w in reversed(widths)]), nn.Unflatten(1, out_shape))
    initialize(encoder, init)
    initialize(decoder, init)
    if unit_norm:
        _initialize_as_transpose(down[-1], up[0])
    return Pair(encoder, decoder, (size,))


def _initialize_as_transpose(encoder: nn.Module, decoder: nn.Module) -> None:
    """Set the weight of an encoder layer to the transposed unit-norm weight of a decoder layer, if the shapes match.

    It reduces the number of dead units: a unit whose encoder and decoder directions differ is rarely among the largest.
    """
    assert isinstance(encoder, nn.Linear)
    assert isinstance(decoder, nn.Linear)
    if encoder.weight.shape == decoder.weight.t().shape:
        with torch.no_grad():
            encoder.weight.copy_(F.normalize(decoder.weight, dim=0).t())


def _check_tied(data: int, outputs: int, likelihood: Head, *, unit_norm: bool) -> None:
    """Check that the decoder can have tied weights."""
    if outputs != data:
        raise BadOption(
            f"Tied weights require a likelihood with one feature per value, but {type(likelihood).__name__} takes "
            f"{outputs} features for {data} values. Set net.tied=false."
        )
    if unit_norm:
        raise BadOption(
            "net.unit_norm=true normalizes the decoder's weights, but with net.tied=true the decoder has no weights of "
            "its own. Set net.tied=false or net.unit_norm=false."
        )


def _interleave(layers: Sequence[nn.Module], between: Sequence[list[nn.Module]]) -> list[nn.Module]:
    """First layer, the modules after it, second layer, ..., last layer."""
    joined = [layers[0]]
    for extra, layer in zip(between, layers[1:], strict=True):
        joined += [*extra, layer]
    return joined
