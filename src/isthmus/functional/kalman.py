r"""Tracks of points: the Kalman filter and smoother of a point that moves with nearly constant velocity.

The state of each track is its position and velocity, :math:`s_t = (p_t, v_t)`, per frame:

.. math:: s_{t+1} = \begin{pmatrix} 1 & 1 \\ 0 & 1 \end{pmatrix} s_t + w_t, \quad
    w_t \sim \mathcal N\!\left(0,\ q \begin{pmatrix} 1/3 & 1/2 \\ 1/2 & 1 \end{pmatrix}\right), \quad
    y_t = p_t + e_t, \quad e_t \sim \mathcal N(0, r)

The velocity changes by white noise whose variance over one frame is q; a position that is not seen is predicted.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from isthmus.errors import BadData, check_range

START_POSITION, START_VELOCITY = 4.0, 1.0
"""Variances of position and velocity before the first frame: coordinates lie between -1 and 1."""


class Track(NamedTuple):
    """The states of tracks given their observations.

    Attributes:
        mean: position and velocity, (N, T, 2).
        covariance: their covariance, (N, T, 2, 2).
        log_likelihood: log-density of what was seen of each track, in nats, (N,).
    """

    mean: Tensor
    covariance: Tensor
    log_likelihood: Tensor


def kalman_filter(y: Float[Tensor, "N T"], seen: Bool[Tensor, "N F"], acceleration: float, noise: float) -> Track:
    """Each state given the observations up to its frame.

    Args:
        y: observed positions, (N, T); what is not seen may have any value.
        seen: whether a position was seen, (N, T).
        acceleration: q > 0, in squared units of position.
        noise: r > 0, in the same unit.

    Raises:
        BadOption: a variance that is not positive.
        BadData: positions and ``seen`` of different shapes.

    References:
        A new approach to linear filtering and prediction problems (Kalman, 1960)
    """
    _check(y, seen, acceleration, noise)
    return _filtered(y, seen, y.new_tensor(acceleration), y.new_tensor(noise))


def kalman_smoother(y: Float[Tensor, "N T"], seen: Bool[Tensor, "N F"], acceleration: float, noise: float) -> Track:
    """Each state given all observations of its track (Rauch, Tung and Striebel), with the arguments of the filter."""
    filtered = kalman_filter(y, seen, acceleration, noise)
    step, change = _motion(y, y.new_tensor(acceleration))
    mean, covariance = filtered.mean[:, -1], filtered.covariance[:, -1]
    means, covariances = [mean], [covariance]
    for t in range(y.shape[1] - 2, -1, -1):
        own, of = filtered.covariance[:, t], filtered.mean[:, t]
        predicted = step @ own @ step.T + change
        back = torch.linalg.solve(predicted, step @ own).mT
        mean = of + ((mean - of @ step.T)[:, None] @ back.mT)[:, 0]
        covariance = own + back @ (covariance - predicted) @ back.mT
        means.append(mean)
        covariances.append(covariance)
    return Track(torch.stack(means[::-1], 1), torch.stack(covariances[::-1], 1), filtered.log_likelihood)


def fitted_motion(y: Float[Tensor, "N T"], seen: Bool[Tensor, "N T"]) -> tuple[float, float]:
    """The variances of acceleration and noise under which tracks are most likely, by L-BFGS on their logarithms.

    Raises:
        BadData: fewer than three positions were seen in all tracks.
    """
    if int(seen.sum(1).max()) < 3:
        raise BadData("Motion cannot be told from noise with fewer than three positions of a track. Pass longer ones.")
    scale = float(y[seen].var().clamp(min=1e-12))
    logs = torch.tensor([math.log(1e-3 * scale), math.log(1e-2 * scale)], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([logs], max_iter=50, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = -_filtered(y.double(), seen, *logs.exp()).log_likelihood.sum() / seen.sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    q, r = logs.detach().exp().tolist()
    return q, r


def _filtered(y: Tensor, seen: Tensor, acceleration: Tensor, noise: Tensor) -> Track:
    """The filter, differentiable in the variances."""
    step, change = _motion(y, acceleration)
    mean = y.new_zeros(len(y), 2)
    covariance = torch.diag(y.new_tensor([START_POSITION, START_VELOCITY])).expand(len(y), 2, 2)
    total, means, covariances = y.new_zeros(len(y)), [], []
    for t in range(y.shape[1]):
        if t:
            mean, covariance = mean @ step.T, step @ covariance @ step.T + change
        spread = covariance[:, 0, 0] + noise
        error, here = y[:, t] - mean[:, 0], seen[:, t]
        gain = torch.where(here[:, None], covariance[:, :, 0] / spread[:, None], 0)
        error = torch.where(here, error, 0)
        mean = mean + gain * error[:, None]
        covariance = covariance - gain[:, :, None] * covariance[:, None, 0]
        log_density = -0.5 * (error.square() / spread + spread.log() + math.log(2 * math.pi))
        total = total + torch.where(here, log_density, 0)
        means.append(mean)
        covariances.append(covariance)
    return Track(torch.stack(means, 1), torch.stack(covariances, 1), total)


def _motion(y: Tensor, acceleration: Tensor) -> tuple[Tensor, Tensor]:
    """The matrix of a step, and the covariance of its noise."""
    step = y.new_tensor([[1.0, 1.0], [0.0, 1.0]])
    return step, acceleration * y.new_tensor([[1 / 3, 1 / 2], [1 / 2, 1.0]])


def _check(y: Tensor, seen: Tensor, acceleration: float, noise: float) -> None:
    check_range("The variance of the acceleration", acceleration, 0, open_low=True)
    check_range("The variance of the noise", noise, 0, open_low=True)
    if y.shape != seen.shape or not y.shape[1]:
        raise BadData(
            f"There are positions of shape {tuple(y.shape)}, but whether they were seen has {tuple(seen.shape)}. Pass "
            "one for each, of at least one frame."
        )
