"""The Kalman filter and smoother against the exact posterior of the whole chain, which is one Gaussian."""

import math

import pytest
import torch
from torch import Tensor

from isthmus.errors import BadData, BadOption
from isthmus.functional.kalman import START_POSITION, START_VELOCITY, fitted_motion, kalman_filter, kalman_smoother

Q, R, T = 0.3, 0.7, 7


def chain(frames: int) -> tuple[Tensor, Tensor]:
    """Mean 0 and covariance of all states of a track as one vector (2 T), from the definition of the chain."""
    step = torch.tensor([[1.0, 1.0], [0.0, 1.0]]).double()
    change = Q * torch.tensor([[1 / 3, 1 / 2], [1 / 2, 1.0]]).double()
    # s = A e: each state is a sum of the start and of the noise of each step
    powers = [torch.linalg.matrix_power(step, k) for k in range(frames)]
    zero = torch.zeros(2, 2).double()
    a = torch.cat([torch.cat([powers[t - k] if k <= t else zero for k in range(frames)], 1) for t in range(frames)])
    start = torch.diag(torch.tensor([START_POSITION, START_VELOCITY])).double()
    noise = torch.block_diag(start, *[change] * (frames - 1))
    return torch.zeros(2 * frames).double(), a @ noise @ a.T


def posterior(y: Tensor, seen: Tensor) -> tuple[Tensor, Tensor, float]:
    """Mean and covariance of all states given what was seen, and its log-density: conditioning of one Gaussian."""
    frames = len(y)
    _, prior = chain(frames)
    select = torch.zeros(frames, 2 * frames).double()
    select[torch.arange(frames), 2 * torch.arange(frames)] = 1
    select, values = select[seen], y[seen]
    of_data = select @ prior @ select.T + R * torch.eye(len(values)).double()
    gain = prior @ select.T @ torch.linalg.inv(of_data)
    density = torch.distributions.MultivariateNormal(torch.zeros(len(values)).double(), of_data)
    return gain @ values, prior - gain @ select @ prior, density.log_prob(values).item()


def observed(rows: int = 3) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    y, seen = torch.randn(rows, T).double().cumsum(1), torch.rand(rows, T) < 0.7
    seen[:, 0], seen[1, 2:5] = True, False
    return y, seen


def test_the_smoother_is_the_exact_posterior_of_the_chain():
    y, seen = observed()
    found = kalman_smoother(y, seen, Q, R)
    for n in range(len(y)):
        mean, covariance, log_density = posterior(y[n], seen[n])
        torch.testing.assert_close(found.mean[n].reshape(-1), mean)
        for t in range(T):
            torch.testing.assert_close(found.covariance[n, t], covariance[2 * t : 2 * t + 2, 2 * t : 2 * t + 2])
        assert found.log_likelihood[n].item() == pytest.approx(log_density)


def test_the_filter_is_the_posterior_given_what_came_before():
    y, seen = observed()
    found = kalman_filter(y, seen, Q, R)
    for n in range(len(y)):
        for t in range(T):
            mean, covariance, _ = posterior(y[n, : t + 1], seen[n, : t + 1])
            torch.testing.assert_close(found.mean[n, t], mean[-2:])
            torch.testing.assert_close(found.covariance[n, t], covariance[-2:, -2:])


def test_what_is_not_seen_does_not_matter_and_is_bridged():
    y, seen = observed()
    other = torch.where(seen, y, torch.full_like(y, math.nan))
    torch.testing.assert_close(kalman_smoother(other, seen, Q, R).mean, kalman_smoother(y, seen, Q, R).mean)
    line = torch.arange(20.0).double()[None] / 10
    gap = torch.ones(1, 20, dtype=torch.bool)
    gap[0, 8:13] = False
    bridged = kalman_smoother(torch.where(gap, line, 99.0), gap, 1e-6, 1e-6)
    torch.testing.assert_close(bridged.mean[..., 0], line, atol=1e-3, rtol=0)


def test_the_variances_of_a_simulated_chain_are_found():
    torch.manual_seed(1)
    _, prior = chain(60)
    tracks = torch.distributions.MultivariateNormal(torch.zeros(120).double(), prior + 1e-9 * torch.eye(120)).sample(
        (60,)
    )
    y = tracks[:, ::2] + math.sqrt(R) * torch.randn(60, 60).double()
    seen = torch.rand(60, 60) < 0.9
    acceleration, noise = fitted_motion(y, seen)
    # 3,240 observations: a standard error of a few percent
    assert acceleration.item() == pytest.approx(Q, rel=0.15)
    assert noise.item() == pytest.approx(R, rel=0.1)
    # groups do not see each other
    other = fitted_motion(2 * y.flip(1), seen)
    both = fitted_motion(torch.stack([y, 2 * y.flip(1)]), torch.stack([seen, seen]))
    torch.testing.assert_close(both[0], torch.stack([acceleration, other[0]]), rtol=1e-2, atol=0)
    torch.testing.assert_close(both[1], torch.stack([noise, other[1]]), rtol=1e-2, atol=0)


def test_every_track_may_have_its_own_variances():
    y, seen = observed()
    q, r = torch.tensor([0.1, 0.3, 2.0]).double(), torch.tensor([1.0, 0.7, 0.01]).double()
    together = kalman_smoother(y, seen, q, r)
    for n in range(3):
        alone = kalman_smoother(y[n : n + 1], seen[n : n + 1], q[n].item(), r[n].item())
        torch.testing.assert_close(together.mean[n], alone.mean[0])
        torch.testing.assert_close(together.covariance[n], alone.covariance[0])
    with pytest.raises(BadData, match="There are 3 tracks, but 2 variances of the noise"):
        kalman_filter(y, seen, 1.0, r[:2])


def test_what_cannot_be_filtered_is_refused():
    y, seen = observed()
    with pytest.raises(BadOption, match="variance of the noise must be above 0"):
        kalman_filter(y, seen, Q, 0.0)
    with pytest.raises(BadData, match="whether they were seen"):
        kalman_smoother(y, seen[:, 1:], Q, R)
    with pytest.raises(BadData, match="fewer than three positions"):
        fitted_motion(y[:, :2], seen[:, :2])
