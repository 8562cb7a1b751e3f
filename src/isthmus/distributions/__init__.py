r"""Distributions that ``torch.distributions`` lacks, and two of its own in the form that training needs.

A deterministic code is a random variable all the same: :class:`Dirac` puts its whole mass on one point, so a plain
autoencoder and a variational one share one forward pass. The diagonal Gaussian and the Bernoulli are here for speed
and are tested against torch's; everything else comes from ``torch.distributions``.
"""

from isthmus.distributions.basic import DiagonalGaussian, Dirac, IndependentBernoulli
from isthmus.distributions.discrete import NearestCodeword, OneHot, straight_through
from isthmus.distributions.levels import DiscretisedMixture, IndependentLevels
from isthmus.distributions.outputs import (
    CalibratedGaussian,
    IndependentContinuousBernoulli,
    IndependentStudentT,
    IsotropicGaussian,
)

__all__ = [
    "CalibratedGaussian",
    "DiagonalGaussian",
    "Dirac",
    "DiscretisedMixture",
    "IndependentBernoulli",
    "IndependentContinuousBernoulli",
    "IndependentLevels",
    "IndependentStudentT",
    "IsotropicGaussian",
    "NearestCodeword",
    "OneHot",
    "straight_through",
]
