"""Faces that scikit-learn knows: fit, transform, and what else its tools expect."""

from isthmus.estimators.boltzmann import BoltzmannTransformer

__all__ = ["BoltzmannTransformer"]
