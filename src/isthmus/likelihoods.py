r"""Likelihood heads: features of the decoder become an output distribution :math:`p(x \mid z)`.

The loss of an autoencoder is :math:`-\log p(x \mid z)` in nats, summed over features: squared error is a Gaussian
of fixed scale, cross-entropy a Bernoulli. A likelihood owns its activation, its loss and the range of data it can
describe, so the three cannot disagree.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from isthmus.distributions import IndependentBernoulli
from isthmus.errors import BadData, check_range


def _range_of(x: Tensor) -> str:
    low, high = torch.aminmax(x)
    return f"[{low.item():g}, {high.item():g}]"


class Bernoulli(nn.Module):
    r"""Independent Bernoulli pixels on logits: :math:`\log p = \sum_j x_j \log r_j + (1 - x_j)\log(1 - r_j)`.

    With grey values in [0, 1] this is the usual cross-entropy (not a normalised density; its floor is the entropy
    of the pixels). The logits never pass through a sigmoid before the loss, so it cannot overflow.

    >>> p = Bernoulli()(torch.zeros(1, 4))
    >>> round(-p.log_prob(torch.ones(1, 4)).item(), 4)  # 4 log 2
    2.7726
    """

    def width(self, d: int) -> int:
        """One logit for each value: ``d``."""
        return d

    def forward(self, h: Float[Tensor, "B d *space"]) -> Distribution:
        """The distribution with logits ``h``."""
        return IndependentBernoulli(h)

    def check(self, x: Tensor) -> None:
        """Refuse data outside [0, 1].

        Raises:
            BadData: a value outside [0, 1], or NaN.
        """
        low, high = torch.aminmax(x)
        if not (low >= 0 and high <= 1):
            raise BadData(
                f"A Bernoulli likelihood describes values in [0, 1], but the data spans {_range_of(x)}. "
                "Map it there with --set data.scale=minmax, or choose --set likelihood.kind=gaussian."
            )


class Gaussian(nn.Module):
    r"""Independent Gaussians of one fixed standard deviation: :math:`p = \mathcal N(x; h, \sigma^2 I)`.

    :math:`-\log p = \frac{1}{2\sigma^2}\lVert x - h\rVert^2 + D \log(\sigma\sqrt{2\pi})`: half the squared error,
    up to a constant, at :math:`\sigma = 1`.

    Args:
        scale: :math:`\sigma > 0`, in units of the data.

    Raises:
        BadOption: the scale is not positive.

    >>> p = Gaussian(scale=0.5)(torch.zeros(1, 1))
    >>> round(p.log_prob(torch.zeros(1, 1)).exp().item(), 4)  # the peak, 1 / (0.5 sqrt(2 pi))
    0.7979
    """

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        check_range("likelihood.scale", scale, 0, 1e6, open_low=True)
        self.scale = scale

    def width(self, d: int) -> int:
        """One mean for each value: ``d``."""
        return d

    def forward(self, h: Float[Tensor, "B d *space"]) -> Distribution:
        """The Gaussian with mean ``h``."""
        return Independent(Normal(h, self.scale, validate_args=False), h.ndim - 1, validate_args=False)

    def check(self, x: Tensor) -> None:
        """Any finite number will do.

        Raises:
            BadData: NaN or infinity.
        """
        if not bool(torch.isfinite(x).all()):
            raise BadData(
                "A Gaussian likelihood describes finite numbers, but the data holds NaN or infinity. "
                "Remove or fill those values first."
            )


LIKELIHOODS: dict[str, type[nn.Module]] = {"bernoulli": Bernoulli, "gaussian": Gaussian}
"""Likelihood heads by their name in a recipe."""
