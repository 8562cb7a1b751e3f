r"""Interpolation of missing values by the thin-plate spline on the grid of pixels."""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

ITERATIONS, TOLERANCE = 400, 1e-4
"""Bounds of the conjugate gradients; a residual of 1e-4 leaves errors far below the step of 8 bits."""


def interpolate_missing(
    x: Float[Tensor, "B C *S"], missing: Bool[Tensor, "B C *S"] | None = None, *, iterations: int = ITERATIONS
) -> Float[Tensor, "B C *S"]:
    r"""Images or sequences with missing values replaced by the smoothest surface through all others.

    .. math:: \min_u \sum u_{xx}^2 + 2 u_{xy}^2 + u_{yy}^2 \quad \text{with } u = x \text{ where } x \text{ is known}

    over second differences inside the grid: the discrete thin-plate spline, which continues planes to the border. It is
    found by conjugate gradients. A channel without known values is 0.

    Args:
        x: images (B, C, H, W) or sequences (B, C, T); NaN where missing, unless ``missing`` is given.
        missing: True where a value is missing.
        iterations: largest number of iterations; fewer are made where all examples are solved.

    References:
        Splines minimizing rotation-invariant semi-norms in Sobolev spaces (Duchon, 1977)

    >>> interpolate_missing(torch.tensor([[[1.0, torch.nan, 3.0, torch.nan]]])).round(decimals=3).tolist()
    [[[1.0, 2.0, 3.0, 4.0]]]
    """
    missing = x.isnan() if missing is None else missing
    if isinstance(x, FakeTensor) and not x.requires_grad:
        # a graph that is captured keeps the whole interpolation as one operation
        made: Tensor = _operation()(x, missing, iterations)
        return made
    return _interpolated(x, missing, iterations)


def _interpolated(
    x: Float[Tensor, "B C *S"], missing: Bool[Tensor, "B C *S"], iterations: int
) -> Float[Tensor, "B C *S"]:
    """``x`` with interpolated values where ``missing`` is true."""
    # tensors without values have none to interpolate
    if x.is_meta or not bool(missing.any()):
        return x
    known = torch.where(missing, 0.0, x)
    axes = tuple(range(2, x.ndim))
    mean = known.sum(axes, keepdim=True) / (~missing).sum(axes, keepdim=True).clamp(min=1)
    u = torch.where(missing, mean, x)
    free = missing.to(x.dtype)
    residual = -free * _curvature(u)
    direction, energy = residual, _norms(residual)
    enough = (TOLERANCE**2) * energy.clamp(min=torch.finfo(x.dtype).tiny)
    for _ in range(iterations):
        if bool((energy <= enough).all()):
            break
        changed = free * _curvature(direction)
        step = energy / (direction * changed).sum(axes, keepdim=True).clamp(min=torch.finfo(x.dtype).tiny)
        # a channel that is solved already stays as it is
        step = torch.where(energy > enough, step, 0.0)
        u, residual = u + step * direction, residual - step * changed
        before, energy = energy, torch.where(energy > enough, _norms(residual), energy)
        direction = residual + energy / before.clamp(min=torch.finfo(x.dtype).tiny) * direction
    return u


@cache
def _operation() -> Callable[[Tensor, Tensor, int], Any]:
    """The interpolation as an operation of torch; registered when it is needed, which takes longer than the import."""

    @torch.library.custom_op("isthmus::interpolate_missing", mutates_args=())
    def interpolate(x: Tensor, missing: Tensor, iterations: int) -> Tensor:
        # the result of an operation shares no memory with its arguments
        return _interpolated(x, missing, iterations).clone()

    interpolate.register_fake(lambda x, _missing, _iterations: torch.empty_like(x))
    return interpolate


def _curvature(u: Float[Tensor, "B C *S"]) -> Float[Tensor, "B C *S"]:
    """Half the gradient of the bending energy, the sum of squared second differences."""
    axes = range(2, u.ndim)
    total = torch.zeros_like(u)
    for axis in axes:
        if u.shape[axis] > 2:
            total = total + _adjoint(_adjoint(u.diff(n=2, dim=axis), axis), axis)
    if len(axes) == 2:
        mixed = u.diff(dim=2).diff(dim=3)
        total = total + 2 * _adjoint(_adjoint(mixed, 2), 3)
    return total


def _adjoint(v: Tensor, axis: int) -> Tensor:
    """The adjoint of the difference along an axis."""
    pad = [0, 0] * (v.ndim - 1 - axis) + [1, 1]
    return -F.pad(v, pad).diff(dim=axis)


def _norms(v: Float[Tensor, "B C *S"]) -> Tensor:
    """Squared norm of each channel, (B, C, 1, ...)."""
    return v.square().sum(tuple(range(2, v.ndim)), keepdim=True)
