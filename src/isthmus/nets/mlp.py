r"""Fully connected encoder and decoder: any depth and widths, narrower or wider than the data.

.. math:: h_0 = x, \quad h_{l} = s(W_l h_{l-1} + b_l), \quad \text{code features} = W h_L + b

The last layer of each network is linear: what it means is the business of the head that follows.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from isthmus.errors import BadOption, check_range
from isthmus.nets.layers import Activation, Pair, initialise, normalisation
from isthmus.trace import Head, Shape


class TiedLinear(nn.Module):
    r"""A layer whose weight is the transpose of another's: :math:`y = W^\top x + b`, with a bias of its own.

    The weight stays the other layer's parameter; this layer owns the bias alone. Where the other layer gives more
    features than this one takes (a Gaussian latent's mean and log scale), the first rows are used: the mean's.

    Args:
        source: the layer whose transpose is taken.
        width: features this layer takes, at most ``source.out_features``.

    >>> import torch
    >>> source = nn.Linear(5, 2)
    >>> TiedLinear(source, 2)(torch.eye(2)).equal(source.weight)
    True
    """

    def __init__(self, source: nn.Linear, width: int) -> None:
        super().__init__()
        # in a tuple, so that torch does not list the shared weight as this layer's own
        self._source = (source,)
        self.width = width
        self.bias = nn.Parameter(source.weight.new_zeros(source.in_features))

    def forward(self, h: Float[Tensor, "B d"]) -> Float[Tensor, "B D"]:
        """The transposed product."""
        return F.linear(h, self._source[0].weight[: self.width].t(), self.bias)


class UnitLinear(nn.Linear):
    r"""A layer whose columns have unit norm: :math:`y = \sum_j h_j\, w_j / \lVert w_j \rVert + b`.

    The weight is divided in the forward pass, so the norm is exact at every step, and the gradient of a column has no
    part along it. A sparse code then cannot shrink while its decoder grows.

    >>> import torch
    >>> UnitLinear(2, 5, bias=False)(torch.eye(2)).norm(dim=1).allclose(torch.ones(2))
    True
    """

    def forward(self, h: Float[Tensor, "B d"]) -> Float[Tensor, "B D"]:
        """The product with the normalised weight."""
        return F.linear(h, F.normalize(self.weight, dim=0), self.bias)


def mlp(
    shape: Shape,
    size: int | None,
    latent: Head,
    likelihood: Head,
    *,
    widths: Sequence[int] = (512,),
    activation: str = "relu",
    norm: str = "none",
    dropout: float = 0.0,
    weights: str = "glorot",
    tied: bool = False,
    unit_norm: bool = False,
) -> Pair:
    r"""A fully connected pair: D - widths - code - reversed widths - D.

    Args:
        shape: shape of one example; it is flattened, D = product.
        size: width d of the code, at least 1.
        latent: the head behind the encoder; it says how many features it needs.
        likelihood: the head behind the decoder.
        widths: hidden layers of the encoder, from the data inwards; the decoder mirrors them.
        activation: of hidden layers, by name.
        norm: ``none``, ``batch``, ``layer`` or ``group``, before the activation.
        dropout: share of hidden values set to zero in training, in [0, 1).
        weights: initial weights by name (:data:`isthmus.nets.layers.INITIAL_WEIGHTS`).
        tied: the decoder's weights are the transposes of the encoder's, with biases of its own.
        unit_norm: the columns of the decoder's first layer, one for each code value, have unit norm, and the
            encoder's last layer starts as their transpose where the shapes allow it (Gao et al., 2025, appendix A.1).

    Returns:
        Encoder (B, *shape) -> (B, latent.width(d)) and decoder (B, d) -> (B, likelihood.width(C), *space).

    Raises:
        BadOption: no size, a width below 1, an unknown name, or unit norm of a tied decoder.

    >>> from isthmus import latents, likelihoods
    >>> mlp((1, 28, 28), 16, latents.Gaussian(), likelihoods.Bernoulli()).code
    (16,)
    """
    if size is None:
        raise BadOption("A fully connected net needs the size of its code, but has none. Use --set latent.size=16.")
    check_range("latent.size", size, 1, 1 << 20)
    for width in widths:
        check_range("net.widths", width, 1, 1 << 20)
    check_range("net.dropout", dropout, 0, 0.99)

    data = math.prod(shape)
    out_shape = (likelihood.width(shape[0]), *shape[1:])
    if tied:
        _check_tied(data, math.prod(out_shape), likelihood, unit_norm=unit_norm)
    inwards = [data, *widths, latent.width(size)]
    outwards = [size, *reversed(widths), math.prod(out_shape)]
    down = [nn.Linear(a, b) for a, b in pairwise(inwards)]
    up: list[nn.Module]
    if tied:
        up = [TiedLinear(layer, width) for layer, width in zip(reversed(down), outwards, strict=False)]
    else:
        first = UnitLinear if unit_norm else nn.Linear
        up = [(first if i == 0 else nn.Linear)(a, b) for i, (a, b) in enumerate(pairwise(outwards))]

    def hidden(width: int) -> list[nn.Module]:
        drop = [nn.Dropout(dropout)] if dropout else []
        return [*normalisation(norm, width, maps=False), Activation(activation), *drop]

    encoder = nn.Sequential(nn.Flatten(), *_interleave(down, [hidden(w) for w in widths]))
    decoder = nn.Sequential(*_interleave(up, [hidden(w) for w in reversed(widths)]), nn.Unflatten(1, out_shape))
    initialise(encoder, weights)
    initialise(decoder, weights)
    if unit_norm:
        _start_as_transpose(down[-1], up[0])
    return Pair(encoder, decoder, (size,))


def _start_as_transpose(reader: nn.Module, writer: nn.Module) -> None:
    """Let each code unit first look for the direction that it writes, where the two layers fit.

    Units that look for something else than they write are rarely among the largest, and many never learn.
    """
    assert isinstance(reader, nn.Linear)
    assert isinstance(writer, nn.Linear)
    if reader.weight.shape == writer.weight.t().shape:
        with torch.no_grad():
            reader.weight.copy_(F.normalize(writer.weight, dim=0).t())


def _check_tied(data: int, outputs: int, likelihood: Head, *, unit_norm: bool) -> None:
    """Refuse tied weights where the decoder cannot have them."""
    if outputs != data:
        raise BadOption(
            f"Tied weights need a likelihood with one feature for each value, but {type(likelihood).__name__} needs "
            f"{outputs} for {data}. Set net.tied=false."
        )
    if unit_norm:
        raise BadOption(
            "net.unit_norm=true asks for columns of the decoder's own, but with net.tied=true it has none. "
            "Set one of them to false."
        )


def _interleave(layers: Sequence[nn.Module], between: Sequence[list[nn.Module]]) -> list[nn.Module]:
    """First layer, what comes behind it, second layer, ..., last layer."""
    joined = [layers[0]]
    for extra, layer in zip(between, layers[1:], strict=True):
        joined += [*extra, layer]
    return joined
