r"""Densities of codes, fitted after training: with one, any autoencoder is generative.

.. math:: z \sim \hat p(z), \quad x \sim p(x \mid z)

The prior of a variational autoencoder is a goal, which the codes of its training data rarely reach; an autoencoder
without a prior has none. A density fitted to the codes themselves (Ghosh et al., 2020) is where they are. Which one
fits best is decided by the likelihood of codes that it was not fitted to.
"""

from isthmus.densities.base import Density
from isthmus.densities.categorical import CategoricalMixture
from isthmus.densities.flow import Flow
from isthmus.densities.gaussians import GaussianMixture
from isthmus.densities.kernel import KernelDensity

__all__ = ["CategoricalMixture", "Density", "Flow", "GaussianMixture", "KernelDensity"]
