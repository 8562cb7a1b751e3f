r"""Codes of real numbers, one head for each way to be certain of them: a point, or a Gaussian."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution

from isthmus.distributions import DiagonalGaussian, Dirac
from isthmus.errors import ShapeError, check_choice
from isthmus.functional import ACTIVATIONS
from isthmus.trace import Offer


class Deterministic(nn.Module):
    r"""A point for each input: :math:`q = \delta(z - s(h))` with the activation s of the code.

    Args:
        activation: s by name, one of :data:`isthmus.functional.ACTIVATIONS`. ``sigmoid`` promises a code in [0, 1].

    Raises:
        BadOption: no such activation.

    >>> import torch
    >>> Deterministic("relu")(torch.tensor([[-1.0, 2.0]])).mean.tolist()
    [[0.0, 2.0]]
    """

    def __init__(self, activation: str = "linear") -> None:
        super().__init__()
        check_choice("The code's activation", activation, ACTIVATIONS)
        self.activation = activation
        offers = {Offer.REAL, Offer.DIFFERENTIABLE}
        if activation == "sigmoid":
            offers.add(Offer.UNIT_INTERVAL)
        self.offers = frozenset(offers)

    def width(self, d: int) -> int:
        """One feature for each code value: ``d``."""
        return d

    def forward(self, h: Float[Tensor, "B d *space"], progress: float = 1.0) -> Distribution:
        """The point mass on s(h)."""
        return Dirac(ACTIVATIONS[self.activation](h))


class Gaussian(nn.Module):
    r"""A diagonal Gaussian: :math:`q = \mathcal N(\mu, \mathrm{diag}\,\sigma^2)`, features :math:`(\mu, \log\sigma)`.

    Draws are reparameterised, :math:`z = \mu + \sigma\epsilon`. The first d features are the mean, which tied
    decoders rely on. :math:`\log\sigma` is not clamped: a clamp would cut the gradient that brings it back.

    References:
        Auto-encoding variational Bayes (Kingma & Welling, 2014)

    >>> import torch
    >>> Gaussian()(torch.zeros(2, 6)).stddev.shape
    torch.Size([2, 3])
    """

    def __init__(self) -> None:
        super().__init__()
        self.offers = frozenset({Offer.REAL, Offer.DENSITY, Offer.GAUSSIAN, Offer.DIAGONAL, Offer.DIFFERENTIABLE})

    def width(self, d: int) -> int:
        """Mean and log standard deviation: ``2 d``."""
        return 2 * d

    def forward(self, h: Float[Tensor, "B features *space"], progress: float = 1.0) -> Distribution:
        """The Gaussian whose mean is the first half of the features, log standard deviation the second."""
        if h.shape[1] % 2:
            raise ShapeError(
                f"A Gaussian latent needs a mean and a log scale for each value, but was given {h.shape[1]} features. "
                "Give the encoder latent.width(d) = 2 d output features."
            )
        loc, log_scale = h.chunk(2, 1)
        return DiagonalGaussian(loc, log_scale)
