r"""Optimizers with line searches: conjugate gradients and L-BFGS on large batches.

.. math:: d_t = -g_t + \beta_t d_{t-1}, \quad \beta_t = \max\left(0,
          \frac{g_t^\top (g_t - g_{t-1})}{g_{t-1}^\top g_{t-1}}\right), \quad
          \theta_{t+1} = \theta_t + \alpha_t d_t

(Polak & Ribiere), with :math:`\alpha_t` from a line search under the strong Wolfe conditions. They are meant for
batches of a thousand examples and more, whose gradient is close to that of all data. Each batch starts a new search, so
the weights are the only state between two steps.
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
"""SciPy's name of each method."""
MAX_EVALUATIONS = 6
"""Evaluations of the loss per line search: near a minimum float32 is too imprecise for a search to end by itself."""


class _NoProgress(Exception):
    """Ends a search that makes no progress."""


class LineSearches(Optimizer):
    """SciPy's minimizer as an optimizer: a step runs some line searches on the current batch.

    Args:
        parameters: parameters to optimize; they are converted to float64 and back, losses keep their precision.
        method: ``cg`` or ``lbfgs``.
        searches: line searches per step.

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
        """Search from the current weights; ``closure`` returns the loss of a batch and sets its gradient in ``grad``.

        The same weights must give the same loss. The new weights are those of the smallest loss found.
        """
        from scipy.optimize import minimize
        from threadpoolctl import threadpool_limits

        assert closure is not None
        members: list[nn.Parameter] = self.param_groups[0]["params"]
        start = _flat([p.detach() for p in members])
        best: list[Any] = [np.inf, start]
        evaluations = count()

        def value(at: Flat) -> tuple[float, Flat]:
            if next(evaluations) == MAX_EVALUATIONS * self.searches:
                raise _NoProgress
            _put(members, at)
            loss = closure()
            if loss < best[0]:
                best[:] = [loss, at.copy()]
            # SciPy shortens a step that ends in infinity, but not one that ends in NaN
            gradient = _flat([torch.zeros_like(p) if p.grad is None else p.grad for p in members])
            return (loss, gradient) if np.isfinite(loss) else (np.inf, np.zeros_like(gradient))

        # the rounding of large sums depends on the number of threads
        with threadpool_limits(1, user_api="blas"), suppress(_NoProgress):
            minimize(value, start, jac=True, method=self.method, options={"maxiter": self.searches})
        _put(members, best[1])


def with_fixed_buffers(closure: Callable[[], float], module: nn.Module) -> Callable[[], float]:
    """A closure that restores the current buffers of a module before each call: some layers update theirs."""
    saved = [buffer.clone() for buffer in module.buffers()]

    def with_saved_buffers() -> float:
        for buffer, value in zip(module.buffers(), saved, strict=True):
            buffer.copy_(value)
        return closure()

    return with_saved_buffers


def _flat(tensors: Sequence[Tensor]) -> Flat:
    """All values in one vector."""
    return torch.cat([t.reshape(-1) for t in tensors]).cpu().double().numpy()


def _put(members: Sequence[nn.Parameter], vector: Flat) -> None:
    """Copy the values of a vector into the parameters."""
    values = torch.split(torch.from_numpy(vector), [p.numel() for p in members])
    with torch.no_grad():
        for parameter, value in zip(members, values, strict=True):
            parameter.copy_(value.view_as(parameter))
