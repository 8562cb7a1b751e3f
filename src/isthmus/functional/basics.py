r"""Reconstruction errors, the importance-weighted bound, and active latent dimensions."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def _identity(h: Tensor) -> Tensor:
    return h


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": _identity,
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "elu": F.elu,
    "gelu": F.gelu,
    "silu": F.silu,
    "softplus": F.softplus,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
}
"""Activations by name; ``linear`` is the identity."""


def per_example(values: Float[Tensor, "B *D"]) -> Float[Tensor, " B"]:
    """Sum over all axes but the first, shape (B,).

    >>> per_example(torch.ones(2, 3, 4)).tolist()
    [12.0, 12.0]
    """
    return values.flatten(1).sum(1) if values.ndim > 1 else values


def slerp(a: Float[Tensor, "B *code"], b: Float[Tensor, "B *code"], t: float) -> Float[Tensor, "B *code"]:
    r"""Spherical interpolation of codes, from ``a`` at t = 0 to ``b`` at t = 1.

    .. math:: \frac{\sin((1 - t)\,\Omega)}{\sin\Omega}\,a + \frac{\sin(t\,\Omega)}{\sin\Omega}\,b, \quad
        \cos\Omega = \frac{a^\top b}{\lVert a \rVert\,\lVert b \rVert}

    Between two codes of equal length all points have that length. Codes in the same or in opposite directions, or of
    length 0, are interpolated linearly.

    References:
        Sampling generative networks (White, 2016), section 2.1

    >>> slerp(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]), 0.5).square().sum().round(decimals=6).item()
    1.0
    """
    flat_a, flat_b = a.flatten(1), b.flatten(1)
    cosine = F.cosine_similarity(flat_a, flat_b, dim=1).reshape(-1, *[1] * (a.ndim - 1))
    angle = cosine.clamp(-1, 1).arccos()
    round_about = ((1 - t) * angle).sin() / angle.sin() * a + (t * angle).sin() / angle.sin() * b
    return torch.where(cosine.abs() > 1 - 1e-6, torch.lerp(a, b, t), round_about)


def squared_error(x: Float[Tensor, "B *D"], y: Float[Tensor, "B *D"]) -> Float[Tensor, " B"]:
    r"""Squared error :math:`\sum_j (x_j - y_j)^2` per example, summed over features, shape (B,).

    This is the convention of Hinton & Salakhutdinov (2006): with pixels in [0, 1], PCA with 30 components has an error
    of 13.87 on the MNIST test images.

    >>> squared_error(torch.zeros(1, 4), torch.full((1, 4), 0.5)).item()
    1.0
    """
    return per_example((x - y).square())


def log_mean_exp(log_w: Float[Tensor, "K *B"]) -> Float[Tensor, " *B"]:
    r"""The importance-weighted bound :math:`\log \frac1K \sum_k w_k` over the first axis, without overflow.

    With K = 1 it is a single-sample estimate of the evidence lower bound.

    References:
        Importance weighted autoencoders (Burda et al., 2016), equation 8

    >>> log_mean_exp(torch.tensor([[1000.0], [1000.0]])).item()
    1000.0
    """
    return torch.logsumexp(log_w, 0) - math.log(len(log_w))


def active_units(loc: Float[Tensor, "N *d"], threshold: float = 0.01) -> Float[Tensor, " *d"]:
    r"""Active latent dimensions: 1 where the variance of the posterior mean exceeds ``threshold``, else 0.

    References:
        Importance weighted autoencoders (Burda et al., 2016), section 5.2

    >>> active_units(torch.tensor([[0.0, 1.0], [0.0, -1.0]])).tolist()
    [0.0, 1.0]
    """
    return (loc.var(0, correction=0) > threshold).to(loc.dtype)


def psnr(x: Float[Tensor, "B *D"], y: Float[Tensor, "B *D"]) -> Float[Tensor, " B"]:
    r"""Peak signal-to-noise ratio :math:`-10 \log_{10} \mathrm{mse}` per image in [0, 1], in dB, shape (B,).

    It is limited to 100 dB, so that means over images are finite.

    >>> psnr(torch.zeros(1, 4), torch.full((1, 4), 0.1)).round().item()
    20.0
    """
    mse = (x - y).square().flatten(1).mean(1)
    return -10 * torch.log10(mse.clamp_min(1e-10))


def binary_entropy(x: Float[Tensor, "B *D"]) -> Float[Tensor, " B"]:
    r"""Entropy of independent Bernoulli pixels with probabilities x, summed over pixels, in nats, shape (B,).

    It is the lower bound of the binary cross-entropy on gray images: 45.53 on the MNIST test images.

    >>> round(binary_entropy(torch.full((1, 1), 0.5)).item(), 4)
    0.6931
    """
    return -per_example(torch.xlogy(x, x) + torch.xlogy(1 - x, 1 - x))
