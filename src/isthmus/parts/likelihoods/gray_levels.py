r"""Likelihoods of quantized pixels: probability mass functions on the gray levels :math:`k / (L - 1)`, k = 0 ... L - 1.

8-bit pixels have L = 256 levels. The likelihood is at most 1, so it cannot diverge, and the negative log-likelihood in
bits is the code length of lossless compression.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution

from isthmus.distributions import DiscretizedMixture, IndependentLevels
from isthmus.errors import ShapeError, check_range
from isthmus.parts.likelihoods.ranges import UNIT, check_levels

MAX_LEVELS = 1 << 16
MIN_SCALE = 0.02
"""Smallest scale of a logistic, in levels, where all but 1e-10 of its mass falls on one level."""


class Categorical(nn.Module):
    r"""A softmax over gray levels per value, :math:`p(x_j = k/(L-1)) = \mathrm{softmax}(h_j)_k`.

    It does not use the order of the levels, and takes L features per value: with 256 levels the last layer of the
    decoder has 256 times as many weights as for a Bernoulli likelihood.

    Args:
        levels: number of levels L, 2 to 65,536.

    Raises:
        BadOption: ``levels`` out of range.

    References:
        Pixel recurrent neural networks (van den Oord et al., 2016)

    >>> p = Categorical(levels=4)(torch.zeros(1, 8))
    >>> round(-p.log_prob(torch.ones(1, 2)).item(), 4)  # 2 log 4
    2.7726
    """

    discrete = True
    support: tuple[float, float] | None = UNIT

    def __init__(self, levels: int = 256) -> None:
        super().__init__()
        check_range("likelihood.levels", levels, 2, MAX_LEVELS)
        self.levels = levels

    def width(self, d: int) -> int:
        """One logit per level and value: ``levels * d``."""
        return self.levels * d

    def forward(self, h: Float[Tensor, "B features *space"]) -> Distribution:
        """The distribution with these logits, ordered by level first."""
        return IndependentLevels(_unflattened(h, self.levels, "categorical"))

    def check(self, x: Tensor) -> None:
        """Check that all values are gray levels.

        Raises:
            BadData: a value that is not a level, or NaN.
        """
        check_levels("categorical", x, self.levels)


class DiscretizedLogistics(nn.Module):
    r"""A mixture of logistic distributions per value, discretized to gray levels.

    .. math:: P(x) = \sum_i \pi_i [\sigma((y^+ - \mu_i)/s_i) - \sigma((y^- - \mu_i)/s_i)], \quad y = 2x - 1

    where :math:`y^\pm` are the edges of the bin around y; the first and last bin include the tails, so the masses sum
    to one. :math:`s_i` is at least a fiftieth of a level. Unlike in the paper, the channels of a pixel are independent.

    Args:
        components: number of mixture components per value, 1 to 100.
        levels: number of levels L, 2 to 65,536.

    Raises:
        BadOption: an option out of range.

    References:
        PixelCNN++: improving the PixelCNN with discretized logistic mixture likelihood and other modifications
            (Salimans et al., 2017), section 2.1

    >>> p = DiscretizedLogistics(components=2, levels=4)(torch.zeros(1, 12))
    >>> p.log_prob(p.sample()).shape
    torch.Size([1])
    """

    discrete = True
    support: tuple[float, float] | None = UNIT

    def __init__(self, components: int = 5, levels: int = 256) -> None:
        super().__init__()
        check_range("likelihood.components", components, 1, 100)
        check_range("likelihood.levels", levels, 2, MAX_LEVELS)
        self.components, self.levels = components, levels

    def width(self, d: int) -> int:
        """Weight, mean and log scale per component and value: ``3 * components * d``."""
        return 3 * self.components * d

    def forward(self, h: Float[Tensor, "B features *space"]) -> Distribution:
        """The mixtures; the features are the logits of all weights, then all means, then all log scales."""
        features = _unflattened(h, 3 * self.components, "discretized logistic")
        logits, loc, rho = features.chunk(3, 1)
        # a soft lower bound; the distance of two levels is 2 / (L - 1)
        log_scale = torch.log(rho.exp() + 2 * MIN_SCALE / (self.levels - 1))
        return DiscretizedMixture(logits, loc, log_scale, self.levels)

    def check(self, x: Tensor) -> None:
        """Check that all values are gray levels.

        Raises:
            BadData: a value that is not a level, or NaN.
        """
        check_levels("discretized logistic", x, self.levels)


def _unflattened(h: Tensor, each: int, name: str) -> Tensor:
    """Features (B, each * d, *space) as (B, each, d, *space)."""
    if h.shape[1] % each:
        raise ShapeError(
            f"A {name} likelihood requires {each} features per value, but was given {h.shape[1]} features. Set the "
            f"number of output features of the decoder to likelihood.width(d) = {each} d."
        )
    return h.reshape(len(h), each, h.shape[1] // each, *h.shape[2:])
