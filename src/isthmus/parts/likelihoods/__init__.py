r"""Likelihood heads: map the features of the decoder to an output distribution :math:`p(x \mid z)`.

The reconstruction loss is :math:`-\log p(x \mid z)` in nats, summed over features: squared error corresponds to a
Gaussian of fixed scale, binary cross-entropy to a Bernoulli. A likelihood defines the output activation, the loss and
the valid range of the data together. ``discrete`` is true if p is a probability mass function over finitely many
values, for which bits per dimension are defined.
"""

from torch import nn

from isthmus.parts.likelihoods.calibrated import OptimalGaussian, PixelGaussian, SharedGaussian
from isthmus.parts.likelihoods.elementary import Bernoulli, ContinuousBernoulli, Gaussian, Laplace, StudentT
from isthmus.parts.likelihoods.gray_levels import Categorical, DiscretizedLogistics

LIKELIHOODS: dict[str, type[nn.Module]] = {
    "bernoulli": Bernoulli,
    "continuous_bernoulli": ContinuousBernoulli,
    "gaussian": Gaussian,
    "shared_gaussian": SharedGaussian,
    "optimal_gaussian": OptimalGaussian,
    "pixel_gaussian": PixelGaussian,
    "laplace": Laplace,
    "student_t": StudentT,
    "categorical": Categorical,
    "discretized_logistics": DiscretizedLogistics,
}
"""Likelihood heads by name in a recipe."""

__all__ = [
    "LIKELIHOODS",
    "Bernoulli",
    "Categorical",
    "ContinuousBernoulli",
    "DiscretizedLogistics",
    "Gaussian",
    "Laplace",
    "OptimalGaussian",
    "PixelGaussian",
    "SharedGaussian",
    "StudentT",
]
