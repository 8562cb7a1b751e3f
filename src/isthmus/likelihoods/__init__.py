r"""Likelihood heads: features of the decoder become an output distribution :math:`p(x \mid z)`.

The loss of an autoencoder is :math:`-\log p(x \mid z)` in nats, summed over features: squared error is a Gaussian
of fixed scale, cross-entropy a Bernoulli. A likelihood owns its activation, its loss and the range of data it can
describe, so the three cannot disagree. ``discrete`` says that p is a mass over finitely many values, so that bits
per dimension mean something.
"""

from torch import nn

from isthmus.likelihoods.calibrated import OptimalGaussian, PixelGaussian, SharedGaussian
from isthmus.likelihoods.elementary import Bernoulli, ContinuousBernoulli, Gaussian, Laplace, StudentT
from isthmus.likelihoods.levels import Categorical, DiscretisedLogistics

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
    "discretised_logistics": DiscretisedLogistics,
}
"""Likelihood heads by their name in a recipe."""

__all__ = [
    "LIKELIHOODS",
    "Bernoulli",
    "Categorical",
    "ContinuousBernoulli",
    "DiscretisedLogistics",
    "Gaussian",
    "Laplace",
    "OptimalGaussian",
    "PixelGaussian",
    "SharedGaussian",
    "StudentT",
]
