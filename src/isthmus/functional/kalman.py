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
BOUNDS = (1e-8, 1e-5), 10.0
"""Smallest estimates of both variances, and the largest, relative to the variance of the positions."""
STILL = 1e-6
"""Variance of positions below which a point does not move: a rounding of the covariance would be as large as r."""


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


Variance = float | Tensor
"""One variance for all tracks, or one for each, (N,)."""


def kalman_filter(y: Float[Tensor, "N T"], seen: Bool[Tensor, "N F"], acceleration: Variance, noise: Variance) -> Track:
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
    return _filtered(y, seen, torch.as_tensor(acceleration).to(y), torch.as_tensor(noise).to(y))


def kalman_smoother(
    y: Float[Tensor, "N T"], seen: Bool[Tensor, "N F"], acceleration: Variance, noise: Variance
) -> Track:
    """Each state given all observations of its track (Rauch, Tung and Striebel), with the arguments of the filter."""
    filtered = kalman_filter(y, seen, acceleration, noise)
    step, change = _motion(torch.as_tensor(acceleration).to(y))
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


def fitted_motion(y: Float[Tensor, "*G N T"], seen: Bool[Tensor, "*G N T"]) -> tuple[Tensor, Tensor]:
    """The variances of acceleration and noise under which tracks are most likely, by L-BFGS within bounds.

    Args:
        y: positions, (N, T), or those of groups of tracks that are fitted at once, (G, N, T).
        seen: whether they were seen.

    Returns:
        The variances q and r, one for each group, in float64.

    Raises:
        BadData: of a group, fewer than three positions were seen in all tracks.
    """
    if int(seen.sum(-1).amax(-1).min()) < 3:
        raise BadData("Motion cannot be told from noise with fewer than three positions of a track. Pass longer ones.")
    groups, tracks = y.shape[:-2], y.shape[-2]
    y, count = torch.where(seen, y, 0).double(), seen.sum((-2, -1))
    mean = y.sum((-2, -1), keepdim=True) / count[..., None, None]
    scale = (torch.where(seen, y - mean, 0).square().sum((-2, -1)) / count).clamp(min=STILL)
    # within bounds: where a point does not move, or only jumps, the likelihood rises without end
    places = torch.zeros(2, *groups, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([places], max_iter=100, line_search_fn="strong_wolfe")
    flat, flat_seen = y.flatten(0, -2), seen.flatten(0, -2)

    def variances() -> Tensor:
        low, high = scale.new_tensor(BOUNDS[0]).log().view(2, *[1] * scale.ndim), math.log(BOUNDS[1])
        return scale * (low + (high - low) * places.sigmoid()).exp()

    def loss() -> Tensor:
        optimizer.zero_grad()
        of_tracks = variances().unsqueeze(-1).expand(2, *groups, tracks).flatten(1)
        found = _filtered(flat, flat_seen, *of_tracks).log_likelihood.view(*groups, tracks).sum(-1)
        value = -(found / count).sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    q, r = variances().detach()
    return q, r


def _filtered(y: Tensor, seen: Tensor, acceleration: Tensor, noise: Tensor) -> Track:
    """The filter, differentiable in the variances."""
    step, change = _motion(acceleration)
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


def _motion(acceleration: Tensor) -> tuple[Tensor, Tensor]:
    """The matrix of a step, and the covariance of its noise; of each track, if each has a variance."""
    step = acceleration.new_tensor([[1.0, 1.0], [0.0, 1.0]])
    return step, acceleration[..., None, None] * acceleration.new_tensor([[1 / 3, 1 / 2], [1 / 2, 1.0]])


def _check(y: Tensor, seen: Tensor, acceleration: Variance, noise: Variance) -> None:
    for what, value in {"acceleration": acceleration, "noise": noise}.items():
        variance = torch.as_tensor(value)
        check_range(f"The variance of the {what}", float(variance.min()), 0, open_low=True)
        if variance.shape not in ((), y.shape[:1]):
            raise BadData(f"There are {len(y)} tracks, but {len(variance)} variances of the {what}. Pass one for each.")
    if y.shape != seen.shape or not y.shape[1]:
        raise BadData(
            f"There are positions of shape {tuple(y.shape)}, but whether they were seen has {tuple(seen.shape)}. Pass "
            "one for each, of at least one frame."
        )
