"""What all densities have in common: their numbers as named tensors, a log-density, and samples."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Self

import torch
from jaxtyping import Float
from torch import Tensor

from isthmus.errors import BadData, check_range

ROWS = 4096
"""Codes whose densities are computed at once."""


class Density(ABC):
    """A density of codes (N, d), from its parameters.

    Attributes:
        kind: name of the family.
        shapes: the tensors that make it, with letters for their axes; a letter stands for the same size everywhere.
    """

    kind: ClassVar[str]
    shapes: ClassVar[Mapping[str, str]]

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of values d of a code."""

    def tensors(self) -> dict[str, Tensor]:
        """All parameters by name."""
        return {name: getattr(self, name) for name in self.shapes}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Self:
        """The density with these parameters.

        Raises:
            BadData: one is missing, or of another shape than the others need.
        """
        check_tensors(tensors, cls.shapes)
        return cls(**tensors)

    @abstractmethod
    def sample(self, n: int, *, temperature: float = 1.0) -> Float[Tensor, "n d"]:
        """``n`` codes, drawn from torch's generator."""

    @abstractmethod
    def _log_prob(self, z: Float[Tensor, "N d"]) -> Float[Tensor, " N"]:
        """The log-density of some codes in float64."""

    def log_prob(self, z: Float[Tensor, "N d"]) -> Float[Tensor, " N"]:
        """The log-density of each code in nats, in float64."""
        return torch.cat([self._log_prob(some.double()) for some in torch.split(z, ROWS)])


def check_tensors(tensors: Mapping[str, Tensor], shapes: Mapping[str, str]) -> dict[str, int]:
    """Check that the tensors are there, finite, and of shapes that agree; returns the size of each letter.

    Raises:
        BadData: they are not.

    >>> check_tensors({"means": torch.zeros(3, 2)}, {"means": "K d"})
    {'K': 3, 'd': 2}
    """
    sizes: dict[str, int] = {}
    if tensors.keys() != shapes.keys():
        raise BadData(
            f"A density has {', '.join(shapes)}, but found were {', '.join(tensors) or 'none'}. Fit it again."
        )
    for name, letters in shapes.items():
        value, axes = tensors[name], letters.split()
        agrees = value.ndim == len(axes) and value.numel() > 0
        if not agrees or any(sizes.setdefault(a, n) != n for a, n in zip(axes, value.shape, strict=True)):
            raise BadData(
                f"{name} of a density has the shape {tuple(value.shape)}, but needs ({letters}). Fit it again."
            )
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise BadData(f"{name} of a density has values that are not finite. Fit it again.")
    return sizes


def check_temperature(temperature: float) -> float:
    """Check a factor of the standard deviations, from 0 to 10.

    Raises:
        BadOption: it is out of range.
    """
    check_range("The temperature", temperature, 0, 10)
    return temperature
