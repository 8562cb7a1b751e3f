r"""Entropy, KL divergence and Wasserstein distance of Gaussians, with diagonal or full covariance.

A diagonal Gaussian is given by its mean and standard deviations :math:`\sigma`, of the same shape; a full one by its
mean (B, d) and a factor :math:`L` of its covariance, :math:`\Sigma = L L^\top`, (B, d, d). Arguments without a batch
axis apply to all examples. Entropies and divergences are in nats, distances in squared units of the space.
"""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from isthmus.errors import BadData
from isthmus.functional.basics import per_example

HALF_LOG_2PI_E = 0.5 * math.log(2 * math.pi * math.e)
"""The entropy of the standard normal in one dimension, in nats."""


def entropy_gaussian(scale: Float[Tensor, "B *d"]) -> Float[Tensor, " B"]:
    r"""Differential entropy of a diagonal Gaussian, :math:`\sum_i \frac12 \log(2 \pi e \sigma_i^2)`, in nats.

    >>> round(entropy_gaussian(torch.ones(1, 1)).item(), 4)
    1.4189
    """
    return per_example(HALF_LOG_2PI_E + scale.log())


def entropy_full_gaussian(scale_tril: Float[Tensor, "B d d"]) -> Float[Tensor, " B"]:
    r"""Differential entropy :math:`\frac d2 \log(2 \pi e) + \log \det L` of a Gaussian with Cholesky factor L, in nats.

    >>> round(entropy_full_gaussian(torch.eye(2)[None]).item(), 4)
    2.8379
    """
    return entropy_gaussian(_diagonal(scale_tril))


def kl_gaussian(
    loc: Float[Tensor, "B *d"],
    scale: Float[Tensor, "B *d"],
    other_loc: Float[Tensor, "*other"],
    other_scale: Float[Tensor, "*other"],
) -> Float[Tensor, " B"]:
    r"""KL divergence of a diagonal Gaussian from another, in nats, shape (B,).

    .. math:: \frac12 \sum_i \left(\frac{(\mu_i - m_i)^2 + \sigma_i^2}{s_i^2} - 1\right) - \log\frac{\sigma_i}{s_i}

    >>> one = torch.ones(1, 3)
    >>> kl_gaussian(one, 2 * one, one, 2 * one).item()
    0.0
    """
    # the KL divergence is invariant to the affine map that makes the other Gaussian standard normal
    return kl_standard_normal((loc - other_loc) / other_scale, scale / other_scale)


def kl_standard_normal(
    loc: Float[Tensor, "B *d"], scale: Float[Tensor, "B *d"], log_scale: Float[Tensor, "B *d"] | None = None
) -> Float[Tensor, " B"]:
    r"""KL divergence of a diagonal Gaussian from the standard normal, in nats, shape (B,).

    .. math:: \frac12 \sum_i \left( \mu_i^2 + \sigma_i^2 - 2 \log \sigma_i - 1 \right)

    It is zero if and only if :math:`\mu = 0` and :math:`\sigma = 1`. With ``log_scale`` no logarithm is computed, and
    the value is finite even if :math:`\sigma` underflows.

    References:
        Auto-encoding variational Bayes (Kingma & Welling, 2014), appendix B

    >>> kl_standard_normal(torch.zeros(1, 3), torch.ones(1, 3)).item()
    0.0
    """
    return per_example(kl_standard_normal_by_dimension(loc, scale, log_scale))


def kl_standard_normal_by_dimension(
    loc: Float[Tensor, "B *d"], scale: Float[Tensor, "B *d"], log_scale: Float[Tensor, "B *d"] | None = None
) -> Float[Tensor, "B *d"]:
    """The terms of :func:`kl_standard_normal` per latent dimension, in nats, of the shape of ``loc``."""
    return 0.5 * (loc.square() + scale.square() - 1) - (scale.log() if log_scale is None else log_scale)


def kl_full_gaussian(
    loc: Float[Tensor, "B d"],
    scale_tril: Float[Tensor, "B d d"],
    other_loc: Float[Tensor, "*other d"],
    other_scale_tril: Float[Tensor, "*other d d"],
) -> Float[Tensor, " B"]:
    r"""KL divergence of a Gaussian from another, given Cholesky factors L and M, in nats, shape (B,).

    .. math:: \frac12 \left( \lVert M^{-1} L \rVert_F^2 + \lVert M^{-1} (\mu - m) \rVert^2 - d \right)
        - \log\det L + \log\det M

    >>> eye = torch.eye(2)[None]
    >>> kl_full_gaussian(torch.ones(1, 2), 3 * eye, torch.ones(1, 2), 3 * eye).item()
    0.0
    """
    joined = torch.cat([scale_tril, (loc - other_loc)[..., None]], -1)
    whitened = torch.linalg.solve_triangular(other_scale_tril, joined, upper=False)
    return kl_full_standard_normal(whitened[..., -1], whitened[..., :-1])


def kl_full_standard_normal(
    loc: Float[Tensor, "B d"], scale_tril: Float[Tensor, "B d d"], log_diagonal: Float[Tensor, "B d"] | None = None
) -> Float[Tensor, " B"]:
    r"""KL divergence of a Gaussian with Cholesky factor L from the standard normal, in nats, shape (B,).

    .. math:: \frac12 \left( \lVert L \rVert_F^2 + \lVert \mu \rVert^2 - d \right) - \log\det L

    With ``log_diagonal``, the logarithms of the diagonal of L, the value is finite even if the diagonal underflows.

    >>> kl_full_standard_normal(torch.zeros(1, 2), torch.eye(2)[None]).item()
    0.0
    """
    diagonal = _diagonal(scale_tril)
    below = scale_tril.tril(-1).square().sum((-2, -1))
    return kl_standard_normal(loc, diagonal, log_diagonal) + 0.5 * below


def squared_wasserstein(
    loc: Float[Tensor, "B *d"],
    scale: Float[Tensor, "B *d"],
    other_loc: Float[Tensor, "*other"],
    other_scale: Float[Tensor, "*other"],
) -> Float[Tensor, " B"]:
    r"""Squared 2-Wasserstein distance of diagonal Gaussians, in squared units of the space, shape (B,).

    .. math:: \lVert \mu - m \rVert^2 + \lVert \sigma - s \rVert^2

    >>> squared_wasserstein(torch.zeros(1, 2), torch.ones(1, 2), torch.ones(1, 2), torch.ones(1, 2)).item()
    2.0
    """
    return per_example((loc - other_loc).square() + (scale - other_scale).square())


def squared_wasserstein_full(
    loc: Float[Tensor, "B d"],
    factor: Float[Tensor, "B d d"],
    other_loc: Float[Tensor, "*other d"],
    other_factor: Float[Tensor, "*other d d"],
) -> Float[Tensor, " B"]:
    r"""Squared 2-Wasserstein distance of Gaussians with covariances :math:`\Sigma = L L^\top`, :math:`S = M M^\top`.

    .. math:: \lVert \mu - m \rVert^2 + \mathrm{tr}(\Sigma + S - 2 (\Sigma^{1/2} S\, \Sigma^{1/2})^{1/2})
        = \lVert \mu - m \rVert^2 + \min_{Q^\top Q = I} \lVert L - M Q \rVert_F^2

    The right-hand side (a Procrustes problem; Q is the polar factor of :math:`M^\top L`) requires no matrix square
    root. It is never negative, accurate for nearly equal Gaussians, and its gradient :math:`2 (L - M Q)` is finite for
    all factors, including equal or commuting covariances and repeated eigenvalues. It has no second derivatives.

    Args:
        loc: mean :math:`\mu`.
        factor: L, the Cholesky factor or any other square factor of the covariance.
        other_loc: mean m.
        other_factor: M.

    References:
        On the Bures–Wasserstein distance between positive definite matrices (Bhatia et al., 2019)

    >>> eye = torch.eye(2)[None]
    >>> squared_wasserstein_full(torch.zeros(1, 2), 3 * eye, torch.ones(1, 2), eye).item()
    10.0
    """
    shape = torch.broadcast_shapes(factor.shape, other_factor.shape)  # type: ignore[no-untyped-call]
    distance: Tensor = _Procrustes.apply(factor.expand(shape), other_factor.expand(shape))  # type: ignore[no-untyped-call]
    return (loc - other_loc).square().sum(-1) + distance


def fitted_gaussian(x: Float[Tensor, "N d"]) -> tuple[Float[Tensor, "1 d"], Float[Tensor, "1 d d"]]:
    r"""Mean and a factor of the covariance of a sample, :math:`\frac{1}{N-1} \sum_n (x_n - \mu)(x_n - \mu)^\top`.

    :func:`squared_wasserstein_full` of two such Gaussians is the squared Fréchet distance of two sets of features, as
    in the Fréchet inception distance. The factor comes from a QR decomposition, so constant features are allowed.

    Args:
        x: points (N, d) with N > d.

    Raises:
        BadData: N <= d, for which the covariance is singular.

    References:
        GANs trained by a two time-scale update rule converge to a local Nash equilibrium (Heusel et al., 2017)

    >>> loc, factor = fitted_gaussian(torch.tensor([[0.0, 1.0], [2.0, 1.0], [4.0, 1.0]]))
    >>> loc.tolist(), (factor @ factor.mT).round(decimals=3).tolist()
    ([[2.0, 1.0]], [[[4.0, 0.0], [0.0, 0.0]]])
    """
    points, d = x.shape
    if points <= d:
        raise BadData(
            f"The covariance of {d} features requires more than {d} points, but there are {points}. Pass more points, "
            "or fewer features."
        )
    loc = x.mean(0, keepdim=True)
    triangle = torch.linalg.qr((x - loc) / math.sqrt(points - 1), mode="r").R
    return loc, triangle.mT[None]


class _Procrustes(torch.autograd.Function):
    """Smallest squared distance of two factors over rotations and reflections of the second."""

    @staticmethod
    def forward(ctx: Any, factor: Tensor, other: Tensor) -> Tensor:
        """The distance, shape (B,)."""
        u, _, vh = torch.linalg.svd(other.mT @ factor)
        rotation = u @ vh
        residual = factor - other @ rotation
        ctx.save_for_backward(residual, rotation)
        distance: Tensor = residual.square().sum((-2, -1))
        return distance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """The gradient with a constant rotation, which is exact at the optimum and needs no derivative of the SVD."""
        residual, rotation = ctx.saved_tensors
        scaled = 2 * gradient[..., None, None] * residual
        return scaled, -scaled @ rotation.mT


def _diagonal(matrix: Float[Tensor, "*B d d"]) -> Float[Tensor, "*B d"]:
    return matrix.diagonal(dim1=-2, dim2=-1)
