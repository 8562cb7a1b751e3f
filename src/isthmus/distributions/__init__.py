r"""Distributions that ``torch.distributions`` does not provide, or not in an efficient form for training.

A deterministic code is represented by the point mass :class:`Dirac`, so deterministic and variational autoencoders
share one forward pass. :class:`DiagonalGaussian` and :class:`IndependentBernoulli` exist for speed and are tested
against the equivalents in ``torch.distributions``.
"""

from isthmus.distributions.basic import DiagonalGaussian, Dirac, IndependentBernoulli
from isthmus.distributions.discrete import NearestCodeword, OneHot, straight_through
from isthmus.distributions.gray_levels import DiscretizedMixture, IndependentLevels
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
    "DiscretizedMixture",
    "IndependentBernoulli",
    "IndependentContinuousBernoulli",
    "IndependentLevels",
    "IndependentStudentT",
    "IsotropicGaussian",
    "NearestCodeword",
    "OneHot",
    "straight_through",
]
