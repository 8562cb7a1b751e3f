r"""Optimisers that look for the best step along a line: conjugate gradients and L-BFGS on large batches.

.. math:: d_t = -g_t + \beta_t d_{t-1}, \quad \beta_t = \max\left(0,
          \frac{g_t^\top (g_t - g_{t-1})}{g_{t-1}^\top g_{t-1}}\right), \quad
          \theta_{t+1} = \theta_t + \alpha_t d_t

(Polak & Ribiere), with :math:`\alpha_t` from a line search under the strong Wolfe conditions. They want batches of a
thousand examples and more, where the gradient is nearly that of all data; each batch starts afresh, so that between two
steps there is nothing to keep but the weights.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

Flat = npt.NDArray[np.float64]
METHODS = {"cg": "CG", "lbfgs": "L-BFGS-B"}
"""scipy's name of each method."""
MOST = 6
"""Losses that a line search may ask for: near a minimum those of float32 are too coarse to end one by its own rule."""


class _Enough(Exception):
    """Ends a search that gets no further."""


class LineSearches(Optimizer):
    """scipy's minimiser as an optimiser: a step is some line searches on the batch at hand.

    Args:
        parameters: what to move; it is brought to float64 and back, the losses are those of its own precision.
        method: ``cg`` or ``lbfgs``.
        searches: line searches in a step.

    >>> x = nn.Parameter(torch.tensor([3.0, -2.0]))
    >>> def closure() -> float:
    ...     x.grad = None
    ...     loss = (x * x * torch.tensor([1.0, 5.0])).sum()
    ...     loss.backward()
    ...     return loss.item()
    >>> _ = LineSearches([x], "cg", 5).step(closure)
    >>> x.abs().max().item() < 1e-4
    True
    """

    def __init__(self, parameters: Sequence[nn.Parameter], method: str, searches: int) -> None:
        super().__init__(parameters, {})
        self.method, self.searches = METHODS[method], searches

    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Search from the weights at hand; ``closure`` gives the loss of a batch, and its gradient in ``grad``.

        The same weights must give the same loss. Weights are only moved to where the loss is smaller.
        """
        from scipy.optimize import minimize
        from threadpoolctl import threadpool_limits

        assert closure is not None
        members: list[nn.Parameter] = self.param_groups[0]["params"]
        start = _flat([p.detach() for p in members])
        best: list[Any] = [np.inf, start]
        asked = count()

        def value(at: Flat) -> tuple[float, Flat]:
            if next(asked) == MOST * self.searches:
                raise _Enough
            _put(members, at)
            loss = closure()
            if loss < best[0]:
                best[:] = [loss, at.copy()]
            # scipy draws back from a step that ends in infinity, but not from one that ends in NaN
            gradient = _flat([torch.zeros_like(p) if p.grad is None else p.grad for p in members])
            return (loss, gradient) if np.isfinite(loss) else (np.inf, np.zeros_like(gradient))

        # sums over so many numbers depend on how many threads share them
        with threadpool_limits(1, user_api="blas"), suppress(_Enough):
            minimize(value, start, jac=True, method=self.method, options={"maxiter": self.searches})
        _put(members, best[1])


def steady(closure: Callable[[], float], module: nn.Module) -> Callable[[], float]:
    """A closure that finds the buffers of a module as they are now each time: some parts change theirs as they run."""
    held = [buffer.clone() for buffer in module.buffers()]

    def again() -> float:
        for buffer, value in zip(module.buffers(), held, strict=True):
            buffer.copy_(value)
        return closure()

    return again


def _flat(tensors: Sequence[Tensor]) -> Flat:
    """All values in one row."""
    return torch.cat([t.reshape(-1) for t in tensors]).cpu().double().numpy()


def _put(members: Sequence[nn.Parameter], row: Flat) -> None:
    """The values of a row back into their parameters."""
    values = torch.split(torch.from_numpy(row), [p.numel() for p in members])
    with torch.no_grad():
        for parameter, value in zip(members, values, strict=True):
            parameter.copy_(value.view_as(parameter))
