r"""Real-valued codes: a deterministic code, or a diagonal Gaussian posterior."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution

from isthmus.distributions import DiagonalGaussian, Dirac
from isthmus.errors import ShapeError, check_choice
from isthmus.functional import ACTIVATIONS
from isthmus.parts.protocols import Capability


class Deterministic(nn.Module):
    r"""A deterministic code :math:`z = s(h)`, as the point mass :math:`q = \delta(z - s(h))`.

    Args:
        activation: the activation s, one of :data:`isthmus.functional.ACTIVATIONS`. With ``sigmoid`` the code lies in
            [0, 1].

    Raises:
        BadOption: an unknown activation.

    >>> import torch
    >>> Deterministic("relu")(torch.tensor([[-1.0, 2.0]])).mean.tolist()
    [[0.0, 2.0]]
    """

    def __init__(self, activation: str = "linear") -> None:
        super().__init__()
        check_choice("The code's activation", activation, ACTIVATIONS)
        self.activation = activation
        provides = {Capability.REAL, Capability.DIFFERENTIABLE}
        if activation == "sigmoid":
            provides.add(Capability.UNIT_INTERVAL)
        self.provides = frozenset(provides)

    def width(self, d: int) -> int:
        """One feature per code value: ``d``."""
        return d

    def forward(self, h: Float[Tensor, "B d *space"], progress: float = 1.0) -> Distribution:
        """The point mass at s(h)."""
        return Dirac(ACTIVATIONS[self.activation](h))


class Gaussian(nn.Module):
    r"""A diagonal Gaussian posterior, :math:`q = \mathcal N(\mu, \mathrm{diag}\,\sigma^2)`.

    The features are :math:`(\mu, \log\sigma)`, the mean first, as tied decoders expect. Samples are reparameterized,
    :math:`z = \mu + \sigma\epsilon`. :math:`\log\sigma` is not clamped, since clamping would zero its gradient.

    References:
        Auto-encoding variational Bayes (Kingma & Welling, 2014)

    >>> import torch
    >>> Gaussian()(torch.zeros(2, 6)).stddev.shape
    torch.Size([2, 3])
    """

    def __init__(self) -> None:
        super().__init__()
        self.provides = frozenset(
            {Capability.REAL, Capability.DENSITY, Capability.GAUSSIAN, Capability.DIAGONAL, Capability.DIFFERENTIABLE}
        )

    def width(self, d: int) -> int:
        """Mean and log standard deviation: ``2 d``."""
        return 2 * d

    def forward(self, h: Float[Tensor, "B features *space"], progress: float = 1.0) -> Distribution:
        """The Gaussian with the first half of the features as mean, the second as log standard deviation."""
        if h.shape[1] % 2:
            raise ShapeError(
                f"A Gaussian latent requires a mean and a log scale per value, but was given {h.shape[1]} features. "
                "Set the number of output features of the encoder to latent.width(d) = 2 d."
            )
        loc, log_scale = h.chunk(2, 1)
        return DiagonalGaussian(loc, log_scale)
