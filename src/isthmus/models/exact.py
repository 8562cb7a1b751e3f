r"""Closed forms: linear autoencoders with optimal weights from the mean and covariance of the examples.

They serve as baselines, and as references in tests. Each is the minimum of the objective with the same parts, so a
recipe selects it with ``training.optimizer=exact``.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from isthmus.errors import IncompatibleParts, check_range
from isthmus.models.autoencoder import Autoencoder
from isthmus.models.objective import Objective
from isthmus.parts.corruptions import GaussianNoise, Identity
from isthmus.parts.fidelities import LogLikelihood
from isthmus.parts.hooks import HasMoments, MeanAndCovariance
from isthmus.parts.latents import Deterministic
from isthmus.parts.latents import Gaussian as GaussianLatent
from isthmus.parts.likelihoods import Gaussian, SharedGaussian
from isthmus.parts.nets.mlp import TiedLinear, UnitLinear
from isthmus.parts.penalties import KL
from isthmus.parts.priors import StandardNormal
from isthmus.parts.protocols import Corruption, Latent, Likelihood


class Affine(NamedTuple):
    """Weight and bias of encoder and decoder, and the variance of the residual."""

    encoder: tuple[Tensor, Tensor]
    decoder: tuple[Tensor, Tensor]
    noise: float


def pca(x: Float[Tensor, "N D"], d: int) -> Autoencoder:
    r"""Principal component analysis as an autoencoder: :math:`z = V^\top (x - \bar x)`, :math:`\hat x = Vz + \bar x`.

    It has the smallest squared error on ``x`` among all linear autoencoders with d code values.

    Args:
        x: training examples, N > 1.
        d: number of components, 1 to D.

    References:
        Neural networks and principal component analysis: learning from examples without local minima (Baldi & Hornik,
            1989)

    >>> x = torch.tensor([[0.0, 0.0], [1.0, 2.0], [2.0, 4.0]])
    >>> torch.allclose(pca(x, 1).reconstruct(x), x, atol=1e-6)
    True
    """
    return _model(_denoiser(statistics([x]), d, Identity()), Deterministic(), Gaussian(), x)


def wiener(x: Float[Tensor, "N D"], scale: float, d: int | None = None) -> Autoencoder:
    r"""The Wiener filter as an autoencoder: :math:`\hat x = \bar x + C (C + \sigma^2 I)^{-1}(\tilde x - \bar x)`.

    It has the smallest expected squared error to the clean examples among all affine maps, for additive noise of
    standard deviation ``scale``; with ``d`` < D, among all affine maps of rank d (reduced-rank regression).

    Args:
        x: clean training examples, N > 1, with covariance C.
        scale: standard deviation :math:`\sigma \ge 0` of the noise, in units of the data.
        d: size of the code, 1 to D; D by default.

    References:
        Extrapolation, interpolation, and smoothing of stationary time series (Wiener, 1949)
        Reduced-rank regression for the multivariate linear model (Izenman, 1975)
    """
    noise = GaussianNoise(scale)
    found = _denoiser(statistics([x]), x.shape[1] if d is None else d, noise)
    return _model(found, Deterministic(), Gaussian(), x, noise)


def probabilistic_pca(x: Float[Tensor, "N D"], d: int) -> Autoencoder:
    r"""Probabilistic PCA with its exact posterior: an autoencoder with a tight evidence lower bound.

    .. math:: x = Wz + \bar x + \epsilon, \quad W = V(\Lambda - \sigma^2 I)^{1/2}, \quad
              q(z|x) = \mathcal N(M^{-1}W^\top(x-\bar x),\ \sigma^2 M^{-1}), \quad M = W^\top W + \sigma^2 I

    with the d largest eigenvalues :math:`\Lambda` of the covariance and :math:`\sigma^2` the mean of the others. M is
    diagonal, so a diagonal Gaussian latent represents the posterior exactly, and every importance weight equals p(x).

    Args:
        x: training examples, N > 1.
        d: number of latent dimensions, 1 to D - 1.

    References:
        Probabilistic principal component analysis (Tipping & Bishop, 1999)
    """
    found = _probabilistic(statistics([x]), d)
    model = _model(found, GaussianLatent(), Gaussian(math.sqrt(found.noise)), x)
    model.prior = StandardNormal()
    return model


def solve(objective: Objective, x: Iterable[Tensor]) -> None:
    """Set the optimal weights of the model of an objective, given training examples in chunks.

    A deterministic code gives PCA, with a corruption the optimal linear denoiser (for Gaussian noise the Wiener
    filter); a Gaussian latent with the KL to N(0, I) gives probabilistic PCA.

    Raises:
        IncompatibleParts: parts without a known closed form.
    """
    down, up = closed_form(objective)
    model, likelihood = objective.model, objective.model.likelihood
    moments, d = statistics(x), up.weight.shape[1] if isinstance(up, nn.Linear) else up.width
    if isinstance(model.latent, GaussianLatent):
        fixed = likelihood.scale**2 if isinstance(likelihood, Gaussian) else None
        found = _probabilistic(moments, d, fixed)
    else:
        found = _denoiser(moments, d, model.corruption)
    _put(down, *found.encoder)
    _put(up, *found.decoder)
    if isinstance(likelihood, SharedGaussian):
        likelihood.start_at(found.noise)


def statistics(chunks: Iterable[Tensor]) -> MeanAndCovariance:
    """Mean and covariance of flattened examples, given in chunks, in float64.

    Raises:
        BadOption: fewer than two examples.
    """
    n, total, products, first = 0, torch.zeros(()), torch.zeros(()), torch.zeros(())
    for chunk in chunks:
        rows = chunk.flatten(1).double()
        # relative to the first example, to avoid cancellation
        first = rows[0].clone() if n == 0 else first
        step = rows - first
        total, products = total + step.sum(0), products + step.T @ step
        n += len(rows)
    check_range("The number of examples", n, 2)
    mean = total / n
    return MeanAndCovariance(first + mean, products / n - torch.outer(mean, mean))


def _denoiser(clean: MeanAndCovariance, d: int, corruption: Corruption) -> Affine:
    r"""The affine map of rank d from corrupted to clean examples with the smallest expected squared error.

    With :math:`B = C_{x\tilde x} C_{\tilde x}^{-1}` and the first d eigenvectors V of :math:`B C_{\tilde x x}`, it is
    :math:`V V^\top B`.
    """
    width = len(clean.mean)
    check_range("latent.size, the number of components,", d, 1, width)
    if isinstance(corruption, Identity):
        values, vectors = _spectrum(clean.covariance)
        encoder, mean_in, explained = vectors[:, :d].T, clean.mean, values[:d].sum()
        directions = vectors[:, :d]
    else:
        assert isinstance(corruption, HasMoments)
        mean_in, cross, covariance_in = corruption.moments(clean)
        best = _times_inverse(cross, covariance_in)
        if d == width:
            # at full rank any orthonormal basis gives the same map
            values, vectors = (best * cross).sum(1), torch.eye(d, dtype=best.dtype, device=best.device)
        else:
            values, vectors = _spectrum(best @ cross.T)
        directions, explained = vectors[:, :d], values[:d].sum()
        encoder = directions.T @ best
    noise = (clean.covariance.trace() - explained).item() / width
    return Affine((encoder, -encoder @ mean_in), (directions, clean.mean), max(noise, 0.0))


def _probabilistic(moments: MeanAndCovariance, d: int, noise: float | None = None) -> Affine:
    """Probabilistic PCA; ``noise`` is the variance of the likelihood if it is fixed."""
    check_range("The number of latent dimensions", d, 1, len(moments.mean) - 1)
    values, vectors = _spectrum(moments.covariance)
    variance = values[d:].mean().clamp_min(torch.finfo(values.dtype).tiny)
    variance = variance if noise is None else torch.tensor(noise, dtype=values.dtype)
    w = vectors[:, :d] * (values[:d] - variance).clamp_min(0).sqrt()
    m = (w * w).sum(0) + variance
    project = w.T / m[:, None]
    weight = torch.cat([project, torch.zeros_like(project)])
    bias = torch.cat([-project @ moments.mean, 0.5 * (variance / m).log()])
    return Affine((weight, bias), (w, moments.mean), variance.item())


def _times_inverse(cross: Tensor, covariance: Tensor) -> Tensor:
    """``cross`` times the inverse of a covariance, or its pseudo-inverse if it is singular."""
    factor, failed = torch.linalg.cholesky_ex(covariance)
    if failed.item():
        inverse: Tensor = torch.linalg.pinv(covariance, hermitian=True)
        return cross @ inverse
    solved: Tensor = torch.cholesky_solve(cross.T, factor).T
    return solved


def _spectrum(symmetric: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues in descending order, and eigenvectors (D, D) as columns."""
    values, vectors = torch.linalg.eigh(symmetric)
    return values.flip(0), vectors.flip(1)


def _model(
    found: Affine, latent: Latent, likelihood: Likelihood, x: Tensor, corruption: Corruption | None = None
) -> Autoencoder:
    """The affine maps as an autoencoder in the precision of ``x``."""
    networks = []
    for weight, bias in (found.encoder, found.decoder):
        networks.append(nn.Linear(weight.shape[1], weight.shape[0], dtype=x.dtype))
        _put(networks[-1], weight, bias)
    return Autoencoder(networks[0], networks[1], latent, likelihood, corruption, shape=(x.shape[1],))


def _put(layer: nn.Linear | TiedLinear, weight: Tensor, bias: Tensor) -> None:
    """Copy weight and bias into a layer; a tied layer has a bias only."""
    with torch.no_grad():
        if isinstance(layer, nn.Linear):
            layer.weight.copy_(weight)
        layer.bias.copy_(bias)


def closed_form(objective: Objective) -> tuple[nn.Linear, nn.Linear | TiedLinear]:
    """The layers of encoder and decoder, after checking that a closed form is known for the parts.

    Raises:
        IncompatibleParts: no closed form is known.
    """
    model = objective.model
    kinds = (nn.Linear, TiedLinear)
    found = [[m for m in net.modules() if isinstance(m, kinds)] for net in (model.encoder, model.decoder)]
    probabilistic = isinstance(model.latent, GaussianLatent)
    plain = isinstance(model.latent, Deterministic) and model.latent.activation == "linear"
    noiseless = isinstance(model.corruption, Identity)
    weights = [weight.value for weight in objective.schedules.values() if weight.shape == "constant"]
    kl = [p for p in objective.penalties.values() if isinstance(p, KL) and p.standard and not p.free_bits]
    faults = {
        "net.kind=linear": any(len(layers) != 1 for layers in found) or _has_more(model),
        "latent.kind deterministic (linear) or gaussian": not (plain or probabilistic),
        "likelihood.kind gaussian or shared_gaussian": not isinstance(model.likelihood, Gaussian | SharedGaussian),
        "likelihood.from_mean=false": getattr(model.likelihood, "offset", None) is not None,
        "fidelity.kind=likelihood": not isinstance(objective.fidelity, LogLikelihood),
        "penalties.kl of weight 1 and no other": probabilistic and (len(kl) != 1 or weights != [1.0]),
        "net.unit_norm=false": probabilistic and any(isinstance(layer, UnitLinear) for layer in found[1]),
        "no penalties": plain and bool(objective.schedules),
        "a corruption with known moments": plain and not noiseless and not isinstance(model.corruption, HasMoments),
        "corruption.kind=identity": probabilistic and not noiseless,
        "net.tied=false": isinstance(found[1][-1] if found[1] else None, TiedLinear)
        and (probabilistic or not noiseless),
    }
    for required, violated in faults.items():
        if violated:
            raise IncompatibleParts(
                f"training.optimizer=exact requires {required}, since no other closed form is known. Change it, or set "
                "training.optimizer=adam."
            )
    if isinstance(model.corruption, HasMoments) and plain:
        # raises an error before any work if the moments have no closed form
        model.corruption.moments(MeanAndCovariance(torch.zeros(1), torch.eye(1)))
    down, up = found[0][0], found[1][0]
    assert isinstance(down, nn.Linear)
    return down, up


def _has_more(model: Autoencoder) -> bool:
    """Whether a network contains other layers than affine maps."""
    allowed = (nn.Linear, TiedLinear, nn.Flatten, nn.Unflatten, nn.Sequential)
    return any(not isinstance(m, allowed) for net in (model.encoder, model.decoder) for m in net.modules())
