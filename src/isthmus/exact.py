r"""Closed forms as models: baselines to beat, and oracles that the whole chain is tested against."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from isthmus.errors import check_range
from isthmus.latents import Deterministic
from isthmus.latents import Gaussian as GaussianLatent
from isthmus.likelihoods import Gaussian
from isthmus.model import Autoencoder
from isthmus.priors import StandardNormal


def pca(x: Float[Tensor, "N D"], d: int) -> Autoencoder:
    r"""Principal component analysis as an autoencoder: :math:`z = V^\top (x - \bar x)`, :math:`\hat x = Vz + \bar x`.

    No linear autoencoder of the same width leaves a smaller squared error on ``x``.

    Args:
        x: training examples, N > 1.
        d: number of components, 1 to D.

    References:
        Neural networks and principal component analysis (Baldi & Hornik, 1989)

    >>> x = torch.tensor([[0.0, 0.0], [1.0, 2.0], [2.0, 4.0]])
    >>> torch.allclose(pca(x, 1).reconstruct(x), x, atol=1e-6)
    True
    """
    mean, vectors, _ = _spectrum(x, d)
    encoder = _affine(vectors.T, -vectors.T @ mean)
    decoder = _affine(vectors, mean)
    return Autoencoder(encoder, decoder, Deterministic(), Gaussian(), shape=(x.shape[1],))


def probabilistic_pca(x: Float[Tensor, "N D"], d: int) -> Autoencoder:
    r"""Probabilistic PCA with its exact posterior: an autoencoder whose bound is tight.

    .. math:: x = Wz + \bar x + \epsilon, \quad W = V(\Lambda - \sigma^2 I)^{1/2}, \quad
              q(z|x) = \mathcal N(M^{-1}W^\top(x-\bar x),\ \sigma^2 M^{-1}), \quad M = W^\top W + \sigma^2 I

    with the d largest eigenvalues :math:`\Lambda` of the covariance and :math:`\sigma^2` the mean of the others. M is
    diagonal, so a diagonal Gaussian latent holds the posterior exactly, and every importance weight equals p(x).

    Args:
        x: training examples, N > 1.
        d: latent dimensions, 1 to D - 1.

    References:
        Probabilistic principal component analysis (Tipping & Bishop, 1999)
    """
    check_range("The number of latent dimensions", d, 1, x.shape[1] - 1)
    mean, vectors, values = _spectrum(x, d)
    noise = values[d:].mean().clamp_min(torch.finfo(x.dtype).tiny)
    w = vectors * (values[:d] - noise).clamp_min(0).sqrt()
    m = (w * w).sum(0) + noise
    project = w.T / m[:, None]
    encoder = _affine(
        torch.cat([project, torch.zeros_like(project)]),
        torch.cat([-project @ mean, 0.5 * (noise / m).log()]),
    )
    likelihood = Gaussian(math.sqrt(noise.item()))
    model = Autoencoder(encoder, _affine(w, mean), GaussianLatent(), likelihood, shape=(x.shape[1],))
    model.prior = StandardNormal()
    return model


def _spectrum(x: Tensor, d: int) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, first d eigenvectors (D, d) and all eigenvalues of the covariance, largest first."""
    check_range("The number of components", d, 1, x.shape[1])
    check_range("The number of examples", len(x), 2)
    mean = x.mean(0)
    values, vectors = torch.linalg.eigh(torch.cov(x.T, correction=0))
    return mean, vectors.flip(1)[:, :d], values.flip(0)


def _affine(weight: Tensor, bias: Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], dtype=weight.dtype)
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    return layer
