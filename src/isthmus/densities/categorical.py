r"""Mixtures of products of categorical distributions, for codes of discrete symbols."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from isthmus.densities.base import Density, check_temperature, check_tensors
from isthmus.errors import BadData


class CategoricalMixture(Density):
    r"""A mixture of K products of categorical distributions, :math:`\hat p(s) = \sum_k \pi_k \prod_i \theta_{ki s_i}`.

    Its codes are symbols :math:`s_i \in \{0, \dots, A - 1\}` at n positions, as those of a codebook; log-densities are
    log-probabilities. With K = 1 the positions are independent. At temperature T the probabilities are proportional to
    :math:`\theta^{1/T}`; 0 draws the most probable symbols of a component.

    Args:
        weights: :math:`\pi`, (K,).
        probabilities: :math:`\theta`, (K, n, A).

    Raises:
        BadData: parameters of other shapes or values.

    References:
        Maximum likelihood from incomplete data via the EM algorithm (Dempster et al., 1977), by which it is fitted

    >>> density = CategoricalMixture(torch.ones(1), torch.full((1, 2, 4), 0.25))
    >>> round(density.log_prob(torch.zeros(1, 2)).item(), 4)  # -2 log 4
    -2.7726
    """

    kind = "categorical"
    shapes: ClassVar[Mapping[str, str]] = {"weights": "K", "probabilities": "K n A"}

    def __init__(self, weights: Float[Tensor, " K"], probabilities: Float[Tensor, "K n A"]) -> None:
        self._sizes = check_tensors({"weights": weights, "probabilities": probabilities}, self.shapes)
        self.weights, self.probabilities = weights.double(), probabilities.double()
        sums = torch.cat([self.weights.sum()[None], self.probabilities.sum(2).flatten()])
        lowest = min(float(self.weights.min()), float(self.probabilities.min()))
        if lowest < 0 or float((sums - 1).abs().max()) > 1e-3:
            raise BadData("The probabilities of a density are below 0, or their sum is not 1. Fit it again.")

    @property
    def size(self) -> int:
        """Number of positions n of a code."""
        return self._sizes["n"]

    @property
    def components(self) -> int:
        """Number of components K."""
        return self._sizes["K"]

    def sample(self, n: int, *, temperature: float = 1.0) -> Float[Tensor, "n d"]:
        """``n`` rows of symbols: a component each, then a symbol per position."""
        check_temperature(temperature)
        component = torch.multinomial(self.weights, n, replacement=True)
        chosen = self.probabilities[component].flatten(0, 1)
        if temperature == 0:
            return chosen.argmax(1).reshape(n, -1)
        sharpened = torch.softmax(chosen.log() / temperature, 1)
        return torch.multinomial(sharpened, 1).reshape(n, -1)

    def _log_prob(self, z: Int[Tensor, "N n"] | Float[Tensor, "N n"]) -> Float[Tensor, " N"]:
        joint = self.weights.log() + log_probabilities(self.probabilities, z.long())
        return torch.logsumexp(joint, 1)


def log_probabilities(probabilities: Float[Tensor, "K n A"], symbols: Int[Tensor, "N n"]) -> Float[Tensor, "N K"]:
    """Log-probability of each row of symbols under each component, in nats."""
    table = probabilities.log().movedim(0, 2)
    total = torch.zeros(len(symbols), len(probabilities), dtype=table.dtype)
    # one position at a time: the table of all of them for all rows may be large
    for position, of_symbols in enumerate(table):
        total += of_symbols[symbols[:, position]]
    return total
