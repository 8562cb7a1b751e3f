"""scikit-learn estimators."""

from isthmus.estimators.boltzmann import BoltzmannTransformer

__all__ = ["BoltzmannTransformer"]
