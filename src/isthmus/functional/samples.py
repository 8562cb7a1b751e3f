r"""Statistics of a set of codes: distance from another set, and total correlation.

The codes of a data set follow the aggregate posterior :math:`q(z) = \frac1N \sum_n q(z \mid x_n)`. From a batch of
codes the functions here estimate its distance from a prior (maximum mean discrepancy, sliced Wasserstein distance) and
its total correlation :math:`\mathrm{KL}(q(z) \,\|\, \prod_k q(z_k))`. They need memory for a matrix of all pairs;
:func:`log_aggregate_posterior` needs such a matrix per latent dimension, and computes it in chunks.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from isthmus.errors import BadData, check_choice, check_range

KERNELS = ("gaussian", "imq", "polynomial")
ESTIMATORS = ("stratified", "weighted")

IMQ_SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Multiples of the squared length 2 d sigma^2 over which the inverse multiquadratic kernel is summed."""

MOST_DENSITIES = 1 << 24
"""Number of log-densities per latent dimension held at a time: 64 MiB in float32."""


def kernel_matrix(
    x: Float[Tensor, "N d"], y: Float[Tensor, "M d"], kernel: str = "imq", scale: float = 1.0
) -> Float[Tensor, "N M"]:
    r"""Kernel values of all pairs, shape (N, M).

    .. math:: k_\mathrm{imq} = \sum_s \frac{sC}{sC + \lVert x - y\rVert^2}, \quad
              k_\mathrm{gaussian} = \exp\left(-\frac{\lVert x - y\rVert^2}{C}\right), \quad
              k_\mathrm{polynomial} = \left(\frac{x^\top y}{d \sigma^2} + 1\right)^3

    with s in :data:`IMQ_SCALES` and :math:`C = 2 d \sigma^2`, the mean squared distance of two samples from the prior.
    The inverse multiquadratic has heavier tails, so its gradient does not vanish for codes far from the prior. The
    polynomial kernel compares the first three moments; with it the discrepancy of two sets of features is the kernel
    inception distance (KID).

    Args:
        x: points, (N, d).
        y: points, (M, d).
        kernel: ``imq`` (inverse multiquadratic), ``gaussian`` or ``polynomial``.
        scale: :math:`\sigma > 0`, the standard deviation of the prior in each dimension.

    Raises:
        BadOption: an unknown kernel, or a scale that is not positive.

    References:
        Wasserstein auto-encoders (Tolstikhin et al., 2018), section 4
        Demystifying MMD GANs (Bińkowski et al., 2018), section 4

    >>> kernel_matrix(torch.zeros(1, 2), torch.zeros(1, 2)).item()
    7.0
    """
    check_choice("The kernel", kernel, KERNELS)
    check_range("The kernel's scale", scale, 0, open_low=True)
    if kernel == "polynomial":
        return (x @ y.T / (x.shape[1] * scale**2) + 1) ** 3
    # differences, not |x|^2 + |y|^2 - 2 x.y, which loses all precision for codes far from the origin
    squared = torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist").square()
    c = 2 * x.shape[1] * scale**2
    if kernel == "gaussian":
        return torch.exp(-squared / c)
    values = torch.zeros_like(squared)
    for s in IMQ_SCALES:
        values = values + s * c / (s * c + squared)
    return values


def squared_mmd(
    x: Float[Tensor, "N d"],
    y: Float[Tensor, "M d"],
    kernel: str = "imq",
    scale: float = 1.0,
    *,
    unbiased: bool = True,
) -> Float[Tensor, ""]:
    r"""Squared maximum mean discrepancy between two samples, in units of the kernel.

    .. math:: \mathrm{mean}\,k(x, x') + \mathrm{mean}\,k(y, y') - 2\,\mathrm{mean}\,k(x, y)

    The unbiased estimate excludes the pairs of a point with itself: its expectation is the squared discrepancy of the
    two distributions, so it may be negative. The biased estimate is the discrepancy of the two finite sets: never
    negative, and 0 for a sample with itself.

    Args:
        x: first sample, (N, d).
        y: second sample, (M, d).
        kernel: ``imq``, ``gaussian`` or ``polynomial``, see :func:`kernel_matrix`.
        scale: scale of the kernel.
        unbiased: whether to compute the unbiased estimate.

    Raises:
        BadData: the unbiased estimate of a single point.
        BadOption: an unknown kernel, or a scale that is not positive.

    References:
        A kernel two-sample test (Gretton et al., 2012), lemma 6

    >>> z = torch.randn(5, 2, dtype=torch.float64)
    >>> squared_mmd(z, z, unbiased=False).item()
    0.0
    """
    if unbiased and min(len(x), len(y)) < 2:
        raise BadData(
            f"The unbiased discrepancy requires at least two points per sample, but the samples have {len(x)} and "
            f"{len(y)}. Pass larger samples, or set unbiased=False."
        )
    across = kernel_matrix(x, y, kernel, scale).mean()
    within = [_within(kernel_matrix(v, v, kernel, scale), unbiased) for v in (x, y)]
    return within[0] + within[1] - 2 * across


def _within(values: Tensor, unbiased: bool) -> Tensor:
    """The mean kernel value over pairs of one sample, without pairs of a point with itself if ``unbiased``."""
    n = len(values)
    return (values.sum() - values.diagonal().sum()) / (n * (n - 1)) if unbiased else values.mean()


def random_directions(number: int, like: Float[Tensor, "N d"]) -> Float[Tensor, "L d"]:
    """Random unit vectors, uniform on the sphere, shape (number, d).

    >>> random_directions(3, torch.zeros(1, 1)).abs().tolist()
    [[1.0], [1.0], [1.0]]
    """
    directions = torch.randn(number, like.shape[1], dtype=like.dtype, device=like.device)
    return torch.nn.functional.normalize(directions, dim=1)


def sliced_wasserstein(
    x: Float[Tensor, "N d"], y: Float[Tensor, "M d"], directions: Float[Tensor, "L d"]
) -> Float[Tensor, ""]:
    r"""Squared sliced 2-Wasserstein distance between two samples of equal size, in squared units of the code.

    .. math:: \frac1L \sum_l \frac1N \sum_i \left((\theta_l^\top x)_{(i)} - (\theta_l^\top y)_{(i)}\right)^2

    where (i) denotes sorted order: in one dimension the optimal transport is monotonic. It is at most the squared
    Wasserstein distance; for a shift by a it is :math:`\lVert a\rVert^2 / d` in expectation over directions.

    Args:
        x: first sample, (N, d).
        y: second sample, of the same size.
        directions: unit vectors :math:`\theta`, (L, d), see :func:`random_directions`.

    Raises:
        BadData: samples of different sizes.

    References:
        Sliced Wasserstein auto-encoders (Kolouri et al., 2019)

    >>> sliced_wasserstein(torch.tensor([[0.0], [1.0]]), torch.tensor([[3.0], [2.0]]), torch.ones(1, 1)).item()
    4.0
    """
    if len(x) != len(y):
        raise BadData(
            f"The sliced Wasserstein distance requires samples of equal size, but the sizes are {len(x)} and {len(y)}. "
            "Pass as many points in y as in x."
        )
    ordered = [(v @ directions.T).sort(0).values for v in (x, y)]
    return (ordered[0] - ordered[1]).square().mean()


class AggregateDensity(NamedTuple):
    """Log-densities of codes under the aggregate posterior, in nats: joint (B,), and per dimension (B, d)."""

    joint: Tensor
    marginals: Tensor


def log_aggregate_posterior(
    z: Float[Tensor, "B d"],
    loc: Float[Tensor, "B d"],
    log_scale: Float[Tensor, "B d"],
    population: int = 0,
    estimator: str = "weighted",
) -> AggregateDensity:
    r"""Estimates of :math:`\log q(z_j)` and :math:`\log q(z_{jk})` from the diagonal Gaussians of one batch.

    .. math:: q(z_j) \approx \sum_i w_{ji}\, q(z_j \mid x_i), \quad z_j \sim q(z \mid x_j)

    for N examples of which B are in the batch, :math:`w_{ji}` is

    - ``weighted``: :math:`1 / (NB)` for every i. With the whole data set as the batch it is the exact density
      divided by N.
    - ``stratified``: :math:`1/N` for i = j, :math:`(N-1) / (N (B-1))` for all others. It is unbiased for q, and exact
      if the batch is the whole data set. (The paper gives one random i a different weight; this is the expectation over
      that i, which has lower variance.)

    Args:
        z: codes (B, d), code j sampled from posterior j.
        loc: means, (B, d).
        log_scale: log standard deviations, (B, d).
        population: N; values below B, such as 0 for unknown, stand for B.
        estimator: ``weighted`` or ``stratified``.

    Returns:
        Joint log-densities (B,) and marginal log-densities per dimension (B, d).

    Raises:
        BadOption: an unknown estimator.

    References:
        Isolating sources of disentanglement in variational autoencoders (Chen et al., 2018), section 4 and appendix C

    >>> z = torch.zeros(1, 2)
    >>> log_aggregate_posterior(z, z, z).joint.item()  # -log(2 pi)
    -1.8378770351409912
    """
    log_w = _log_weights(z, population, estimator)
    rows = max(1, MOST_DENSITIES // loc.numel())
    pairs = zip(torch.split(z, rows), torch.split(log_w, rows), strict=True)
    chunks = [_mixture(some, loc, log_scale, weights) for some, weights in pairs]
    return AggregateDensity(torch.cat([c.joint for c in chunks]), torch.cat([c.marginals for c in chunks]))


def _log_weights(z: Tensor, population: int, estimator: str) -> Float[Tensor, "B B"]:
    """Log-weights of all pairs in a batch."""
    check_choice("The estimator", estimator, ESTIMATORS)
    batch = len(z)
    size = max(population, batch)
    if estimator == "weighted":
        return z.new_full((batch, batch), -math.log(size * batch))
    others = math.log((size - 1) / (size * (batch - 1))) if batch > 1 else 0.0
    return z.new_full((batch, batch), others).fill_diagonal_(-math.log(size))


def _mixture(z: Tensor, loc: Tensor, log_scale: Tensor, log_w: Tensor) -> AggregateDensity:
    """Log-densities of codes under the weighted mixture of all Gaussians of the batch."""
    standard = (z[:, None] - loc) * torch.exp(-log_scale)
    log_q = -0.5 * standard.square() - log_scale - 0.5 * math.log(2 * math.pi)
    joint = torch.logsumexp(log_q.sum(2) + log_w, 1)
    return AggregateDensity(joint, torch.logsumexp(log_q + log_w[:, :, None], 1))


def total_correlation(
    z: Float[Tensor, "B d"],
    loc: Float[Tensor, "B d"],
    log_scale: Float[Tensor, "B d"],
    population: int = 0,
    estimator: str = "weighted",
) -> Float[Tensor, ""]:
    r"""Total correlation :math:`\mathbb E_{q(z)}[\log q(z) - \sum_k \log q(z_k)]` of the aggregate posterior, in nats.

    The estimators are those of :func:`log_aggregate_posterior`, with one sample per example; both are 0 for a code of
    one dimension. ``weighted`` exceeds the true value by :math:`(d-1)\log B` if no two posteriors overlap, and by
    :math:`(d-1)\log N` if all posteriors are equal; its gradient does not depend on N.

    Args:
        z: codes (B, d), code j sampled from posterior j.
        loc: means, (B, d).
        log_scale: log standard deviations, (B, d).
        population: number of examples N, or 0 for the batch size.
        estimator: ``weighted`` or ``stratified``.

    Raises:
        BadOption: an unknown estimator.

    References:
        Isolating sources of disentanglement in variational autoencoders (Chen et al., 2018), section 3

    >>> z = torch.randn(4, 1)
    >>> total_correlation(z, z, z).item()
    0.0
    """
    joint, marginals = log_aggregate_posterior(z, loc, log_scale, population, estimator)
    return (joint - marginals.sum(1)).mean()
