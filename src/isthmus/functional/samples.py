r"""What a set of codes is like as a whole: its distance from another set, and how much its coordinates share.

The codes of a data set follow the aggregate posterior :math:`q(z) = \frac1N \sum_n q(z \mid x_n)`. From a batch of
them two things can be told: how far they are from draws of a prior (maximum mean discrepancy, sliced Wasserstein
distance), and their total correlation :math:`\mathrm{KL}(q(z) \,\|\, \prod_k q(z_k))`. Memory is that of a matrix of
all pairs; only the densities of :func:`log_aggregate_posterior` need one for each coordinate.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from isthmus.errors import BadData, check_choice, check_range

KERNELS = ("gaussian", "imq")
ESTIMATORS = ("stratified", "weighted")

IMQ_SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Multiples of the squared length 2 d sigma^2 over which the inverse multiquadratic kernel is summed."""

MOST_DENSITIES = 1 << 24
"""Log-densities of single coordinates held at a time: 64 MiB in float32."""


def kernel_matrix(
    x: Float[Tensor, "N d"], y: Float[Tensor, "M d"], kernel: str = "imq", scale: float = 1.0
) -> Float[Tensor, "N M"]:
    r"""Kernel values of all pairs, with :math:`C = 2 d \sigma^2`, the mean squared distance of two prior draws.

    .. math:: k_\mathrm{imq} = \sum_s \frac{sC}{sC + \lVert x - y\rVert^2}, \quad
              k_\mathrm{gaussian} = \exp\left(-\frac{\lVert x - y\rVert^2}{C}\right)

    with s in :data:`IMQ_SCALES`. The inverse multiquadratic has heavier tails: codes far from the prior still feel a
    pull.

    Args:
        x: points, (N, d).
        y: points, (M, d).
        kernel: ``imq`` or ``gaussian``.
        scale: :math:`\sigma > 0`, the standard deviation of the prior in each coordinate.

    Raises:
        BadOption: no such kernel, or a scale that is not positive.

    References:
        Wasserstein auto-encoders (Tolstikhin et al., 2018), section 4

    >>> kernel_matrix(torch.zeros(1, 2), torch.zeros(1, 2)).item()
    7.0
    """
    check_choice("The kernel", kernel, KERNELS)
    check_range("The kernel's scale", scale, 0, open_low=True)
    # differences, not |x|^2 + |y|^2 - 2 x.y, which loses every digit where codes are far from the origin
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
    r"""Squared maximum mean discrepancy between two samples, in units of the kernel (no nats).

    .. math:: \mathrm{mean}\,k(x, x') + \mathrm{mean}\,k(y, y') - 2\,\mathrm{mean}\,k(x, y)

    The unbiased form leaves each point's pair with itself out: its mean is the squared discrepancy of the two
    distributions, so it falls below zero where they are equal. The biased form is that of the two finite sets: never
    negative, and 0 for a sample with itself.

    Args:
        x: one sample, (N, d).
        y: the other, (M, d).
        kernel: ``imq`` or ``gaussian``, see :func:`kernel_matrix`.
        scale: of the kernel.
        unbiased: which form.

    Raises:
        BadData: an unbiased form of a single point, which has no pair.
        BadOption: no such kernel, or a scale that is not positive.

    References:
        A kernel two-sample test (Gretton et al., 2012), lemma 6

    >>> z = torch.randn(5, 2, dtype=torch.float64)
    >>> squared_mmd(z, z, unbiased=False).item()
    0.0
    """
    if unbiased and min(len(x), len(y)) < 2:
        raise BadData(
            f"The unbiased discrepancy compares pairs within each sample, but was given samples of {len(x)} and "
            f"{len(y)}. Give at least two points each, or set unbiased=False."
        )
    across = kernel_matrix(x, y, kernel, scale).mean()
    within = [_within(kernel_matrix(v, v, kernel, scale), unbiased) for v in (x, y)]
    return within[0] + within[1] - 2 * across


def _within(values: Tensor, unbiased: bool) -> Tensor:
    """The mean kernel value of the pairs of one sample, with or without each point's pair with itself."""
    n = len(values)
    return (values.sum() - values.diagonal().sum()) / (n * (n - 1)) if unbiased else values.mean()


def random_directions(number: int, like: Float[Tensor, "N d"]) -> Float[Tensor, "L d"]:
    """``number`` unit vectors, uniform on the sphere of the space of ``like``.

    >>> random_directions(3, torch.zeros(1, 1)).abs().tolist()
    [[1.0], [1.0], [1.0]]
    """
    drawn = torch.randn(number, like.shape[1], dtype=like.dtype, device=like.device)
    return torch.nn.functional.normalize(drawn, dim=1)


def sliced_wasserstein(
    x: Float[Tensor, "N d"], y: Float[Tensor, "M d"], directions: Float[Tensor, "L d"]
) -> Float[Tensor, ""]:
    r"""Squared sliced 2-Wasserstein distance between two samples of equal size, in squared units of the code.

    .. math:: \frac1L \sum_l \frac1N \sum_i \left((\theta_l^\top x)_{(i)} - (\theta_l^\top y)_{(i)}\right)^2

    where (i) counts in sorted order: in one dimension the best transport keeps the order. It is at most the squared
    Wasserstein distance; a shift by a counts :math:`\lVert a\rVert^2 / d` in the mean over directions.

    Args:
        x: one sample, (N, d).
        y: the other, of the same size.
        directions: unit vectors :math:`\theta`, (L, d), see :func:`random_directions`.

    Raises:
        BadData: samples of different size.

    References:
        Sliced Wasserstein auto-encoders (Kolouri et al., 2019)

    >>> sliced_wasserstein(torch.tensor([[0.0], [1.0]]), torch.tensor([[3.0], [2.0]]), torch.ones(1, 1)).item()
    4.0
    """
    if len(x) != len(y):
        raise BadData(
            f"The sliced Wasserstein distance pairs points, but was given samples of {len(x)} and {len(y)}. Draw "
            "two samples of equal size."
        )
    ordered = [(v @ directions.T).sort(0).values for v in (x, y)]
    return (ordered[0] - ordered[1]).square().mean()


class AggregateDensity(NamedTuple):
    """Log-densities of codes under the aggregate posterior, in nats: of the whole code, and of each coordinate."""

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
    - ``stratified``: :math:`1/N` for the code's own example, :math:`(N-1) / (N (B-1))` for the others. It is unbiased
      for q, and exact where the batch is the whole data set. (The paper gives one of the others a weight of its own;
      this is the mean over which one, and so of less variance.)

    Args:
        z: code j drawn from posterior j.
        loc: means.
        log_scale: log standard deviations.
        population: N; a number below B, such as 0 for unknown, counts as B.
        estimator: ``weighted`` or ``stratified``.

    Returns:
        Joint log-densities (B,) and those of the coordinates (B, d).

    Raises:
        BadOption: no such estimator.

    References:
        Isolating sources of disentanglement in VAEs (Chen et al., 2018), section 4 and appendix C

    >>> z = torch.zeros(1, 2)
    >>> log_aggregate_posterior(z, z, z).joint.item()  # -log(2 pi)
    -1.8378770351409912
    """
    log_w = _log_weights(z, population, estimator)
    rows = max(1, MOST_DENSITIES // loc.numel())
    pairs = zip(torch.split(z, rows), torch.split(log_w, rows), strict=True)
    parts = [_mixture(some, loc, log_scale, weights) for some, weights in pairs]
    return AggregateDensity(torch.cat([p.joint for p in parts]), torch.cat([p.marginals for p in parts]))


def _log_weights(z: Tensor, population: int, estimator: str) -> Float[Tensor, "B B"]:
    """The logarithms of the weights of a batch."""
    check_choice("The estimator", estimator, ESTIMATORS)
    batch = len(z)
    size = max(population, batch)
    if estimator == "weighted":
        return z.new_full((batch, batch), -math.log(size * batch))
    others = math.log((size - 1) / (size * (batch - 1))) if batch > 1 else 0.0
    return z.new_full((batch, batch), others).fill_diagonal_(-math.log(size))


def _mixture(z: Tensor, loc: Tensor, log_scale: Tensor, log_w: Tensor) -> AggregateDensity:
    """Log-densities of some codes under the weighted mixture of all Gaussians."""
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

    Both estimators are those of :func:`log_aggregate_posterior`, with one draw for each example; both are 0 for a
    code of one coordinate. ``weighted`` lies above the true value, by :math:`(d-1)\log B` where no two posteriors
    overlap and by :math:`(d-1)\log N` where all are the same; its gradient does not depend on N.

    Args:
        z: code j drawn from posterior j.
        loc: means.
        log_scale: log standard deviations.
        population: number of examples N, or 0 for the batch's.
        estimator: ``weighted`` or ``stratified``.

    Raises:
        BadOption: no such estimator.

    References:
        Isolating sources of disentanglement in VAEs (Chen et al., 2018), section 3

    >>> z = torch.randn(4, 1)
    >>> total_correlation(z, z, z).item()
    0.0
    """
    joint, marginals = log_aggregate_posterior(z, loc, log_scale, population, estimator)
    return (joint - marginals.sum(1)).mean()
