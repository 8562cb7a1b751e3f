"""Variance of examples given in chunks, in one pass and in float64."""

import torch
from torch import Tensor


class Moments:
    """Running count, sum and sum of squares of examples, relative to the first example to avoid cancellation.

    The variance of equal examples is exactly 0.

    >>> seen = Moments()
    >>> seen.see(torch.tensor([[1.0], [3.0]]))
    >>> seen.see(torch.tensor([[5.0]]))
    >>> seen.n, round(seen.variance().item(), 4)
    (3, 2.6667)
    """

    def __init__(self) -> None:
        self.n = 0
        self._first = self._sum = self._squares = self._counts = torch.zeros((), dtype=torch.float64)

    def see(self, x: Tensor, observed: Tensor | None = None) -> None:
        """Update with examples (n, ...); where ``observed`` is false, values do not count."""
        x = x.detach().double()
        if self.n == 0:
            self._first = x[0].clone()
        step = x - self._first
        if observed is not None:
            step = torch.where(observed, step, 0.0)
        self._sum, self._squares = self._sum + step.sum(0), self._squares + step.square().sum(0)
        self._counts = self._counts + (len(x) if observed is None else observed.sum(0))
        self.n += len(x)

    def variance(self) -> Tensor:
        """Variance of each value over all examples so far in which it was observed; 0 if there is none."""
        counts = self._counts.clamp_min(1)
        return (self._squares / counts - (self._sum / counts).square()).clamp_min(0)

    def deviation(self) -> Tensor:
        """Sum of the squared differences of observed values from their mean, divided by the number of examples."""
        return self.variance() * (self._counts / self.n)
