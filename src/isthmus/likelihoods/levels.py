r"""Likelihoods of grey levels: a probability for each of the values :math:`k / (L - 1)`, k = 0 ... L - 1.

Data of 8-bit pixels has 256 levels. A mass over them is at most one, so nothing runs off to infinity, and the
negative log-likelihood in bits is what a lossless code would spend.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution

from isthmus.distributions import DiscretisedMixture, IndependentLevels
from isthmus.errors import ShapeError, check_range
from isthmus.likelihoods.ranges import check_levels

MOST_LEVELS = 1 << 16
LEAST = 0.02
"""Smallest scale of a logistic, in levels: all but 1e-10 of its mass then falls on one level."""


class Categorical(nn.Module):
    r"""A softmax over grey levels for each value: :math:`p(x_j = k/(L-1)) = \mathrm{softmax}(h_j)_k`.

    It knows nothing of the order of levels, and needs L features for each value: 256 times the weights of a
    Bernoulli's last layer.

    Args:
        levels: L, 2 to 65,536.

    Raises:
        BadOption: levels out of range.

    References:
        Pixel recurrent neural networks (van den Oord et al., 2016)

    >>> p = Categorical(levels=4)(torch.zeros(1, 8))
    >>> round(-p.log_prob(torch.ones(1, 2)).item(), 4)  # 2 log 4
    2.7726
    """

    discrete = True

    def __init__(self, levels: int = 256) -> None:
        super().__init__()
        check_range("likelihood.levels", levels, 2, MOST_LEVELS)
        self.levels = levels

    def width(self, d: int) -> int:
        """One logit for each level of each value: ``levels * d``."""
        return self.levels * d

    def forward(self, h: Float[Tensor, "B features *space"]) -> Distribution:
        """The distribution with these logits, those of one level side by side."""
        return IndependentLevels(_unflattened(h, self.levels, "categorical"))

    def check(self, x: Tensor) -> None:
        """Refuse data that is not on the grid of levels.

        Raises:
            BadData: a value that is no level, or NaN.
        """
        check_levels("categorical", x, self.levels)


class DiscretisedLogistics(nn.Module):
    r"""A mixture of logistics rounded to grey levels: :math:`P(x) = \sum_i \pi_i [\sigma((y^+ - \mu_i)/s_i) -
    \sigma((y^- - \mu_i)/s_i)]`, :math:`y = 2x - 1`.

    Each value has a mixture of its own; the channels of a pixel are not coupled, as they are in the paper's images
    of three colours. The first and the last level take the tails, so the masses sum to one. :math:`s_i` is at least
    a fiftieth of a level.

    Args:
        components: logistics for each value, 1 to 100.
        levels: L, 2 to 65,536.

    Raises:
        BadOption: an option out of range.

    References:
        PixelCNN++: improving the PixelCNN with discretized logistic mixture likelihood and other modifications
        (Salimans et al., 2017), section 2.1

    >>> p = DiscretisedLogistics(components=2, levels=4)(torch.zeros(1, 12))
    >>> p.log_prob(p.sample()).shape
    torch.Size([1])
    """

    discrete = True

    def __init__(self, components: int = 5, levels: int = 256) -> None:
        super().__init__()
        check_range("likelihood.components", components, 1, 100)
        check_range("likelihood.levels", levels, 2, MOST_LEVELS)
        self.components, self.levels = components, levels

    def width(self, d: int) -> int:
        """Weight, mean and log scale of each component of each value: ``3 * components * d``."""
        return 3 * self.components * d

    def forward(self, h: Float[Tensor, "B features *space"]) -> Distribution:
        """The mixtures; the first third of the features are weights, then means, then log scales."""
        parts = _unflattened(h, 3 * self.components, "discretised logistic")
        logits, loc, rho = parts.chunk(3, 1)
        # the scale, softly clipped from below: levels are 2 / (L - 1) apart
        log_scale = torch.log(rho.exp() + 2 * LEAST / (self.levels - 1))
        return DiscretisedMixture(logits, loc, log_scale, self.levels)

    def check(self, x: Tensor) -> None:
        """Refuse data that is not on the grid of levels.

        Raises:
            BadData: a value that is no level, or NaN.
        """
        check_levels("discretised logistic", x, self.levels)


def _unflattened(h: Tensor, each: int, name: str) -> Tensor:
    """Features (B, each * d, *space) as (B, each, d, *space)."""
    if h.shape[1] % each:
        raise ShapeError(
            f"A {name} likelihood needs {each} features for each value, but was given {h.shape[1]}. "
            f"Give the decoder likelihood.width(d) = {each} d output features."
        )
    return h.reshape(len(h), each, h.shape[1] // each, *h.shape[2:])
