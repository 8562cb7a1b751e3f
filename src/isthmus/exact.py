r"""Closed forms: linear autoencoders whose best weights follow from the mean and covariance of the examples.

They are baselines to beat, and oracles that the whole chain is tested against. Each is the optimum of the objective
that the same parts would be trained by, so a recipe asks for it with ``training.optimiser=exact``.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from isthmus.corruptions import Gaussian as GaussianNoise
from isthmus.corruptions import Identity
from isthmus.errors import IncompatibleParts, check_range
from isthmus.fidelities import LogLikelihood
from isthmus.latents import Deterministic
from isthmus.latents import Gaussian as GaussianLatent
from isthmus.likelihoods import Gaussian, SharedGaussian
from isthmus.model import Autoencoder
from isthmus.nets.mlp import TiedLinear, UnitLinear
from isthmus.objective import Objective
from isthmus.penalties import KL
from isthmus.priors import StandardNormal
from isthmus.trace import Statistics


class Affine(NamedTuple):
    """Two affine maps: from an example to its code's features and back, and the variance of what is left."""

    encoder: tuple[Tensor, Tensor]
    decoder: tuple[Tensor, Tensor]
    noise: float


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
    return _model(_restorer(statistics([x]), d, Identity()), Deterministic(), Gaussian(), x)


def wiener(x: Float[Tensor, "N D"], scale: float, d: int | None = None) -> Autoencoder:
    r"""The Wiener filter as an autoencoder: :math:`\hat x = \bar x + C (C + \sigma^2 I)^{-1}(\tilde x - \bar x)`.

    Of all affine maps it leaves the smallest squared error to the clean examples where noise of standard deviation
    ``scale`` was added; with a code of ``d`` < D values, of all those of that rank (reduced-rank regression).

    Args:
        x: clean training examples, N > 1, with covariance C.
        scale: standard deviation :math:`\sigma \ge 0` of the noise, in units of the data.
        d: values of the code, 1 to D; D by default.

    References:
        Extrapolation, interpolation, and smoothing of stationary time series (Wiener, 1949)
        Reduced-rank regression for the multivariate linear model (Izenman, 1975)
    """
    noise = GaussianNoise(scale)
    found = _restorer(statistics([x]), x.shape[1] if d is None else d, noise)
    return _model(found, Deterministic(), Gaussian(), x, noise)


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
    found = _probabilistic(statistics([x]), d)
    model = _model(found, GaussianLatent(), Gaussian(math.sqrt(found.noise)), x)
    model.prior = StandardNormal()
    return model


def solve(objective: Objective, x: Iterable[Tensor]) -> None:
    """Put the best weights for training examples, given in chunks, into the model of an objective.

    A deterministic code gives PCA, and behind a corruption the best linear restorer (with Gaussian noise the Wiener
    filter); a Gaussian latent under the KL to N(0, I) gives probabilistic PCA.

    Raises:
        IncompatibleParts: parts whose optimum no closed form is known for.
    """
    down, up = closed_form(objective)
    model, likelihood = objective.model, objective.model.likelihood
    seen, d = statistics(x), up.weight.shape[1] if isinstance(up, nn.Linear) else up.width
    if isinstance(model.latent, GaussianLatent):
        fixed = likelihood.scale**2 if isinstance(likelihood, Gaussian) else None
        found = _probabilistic(seen, d, fixed)
    else:
        found = _restorer(seen, d, model.corruption)
    _put(down, *found.encoder)
    _put(up, *found.decoder)
    if isinstance(likelihood, SharedGaussian):
        likelihood.start_at(found.noise)


def statistics(chunks: Iterable[Tensor]) -> Statistics:
    """Mean and covariance of flattened examples that come in chunks, in float64.

    Raises:
        BadOption: fewer than two examples.
    """
    n, total, products, first = 0, torch.zeros(()), torch.zeros(()), torch.zeros(())
    for chunk in chunks:
        rows = chunk.flatten(1).double()
        # counted from the first example, so that no digits are lost
        first = rows[0].clone() if n == 0 else first
        step = rows - first
        total, products = total + step.sum(0), products + step.T @ step
        n += len(rows)
    check_range("The number of examples", n, 2)
    mean = total / n
    return Statistics(first + mean, products / n - torch.outer(mean, mean))


def _restorer(seen: Statistics, d: int, corruption: nn.Module) -> Affine:
    r"""The affine map of rank d from corrupted to clean examples that leaves the least squared error.

    With :math:`B = C_{x\tilde x} C_{\tilde x}^{-1}` and the d first eigenvectors V of :math:`B C_{\tilde x x}`, it is
    :math:`V V^\top B`.
    """
    width = len(seen.mean)
    check_range("The number of components", d, 1, width)
    if isinstance(corruption, Identity):
        values, vectors = _spectrum(seen.covariance)
        encoder, mean_in, explained = vectors[:, :d].T, seen.mean, values[:d].sum()
        directions = vectors[:, :d]
    else:
        mean_in, cross, covariance_in = corruption.moments(seen)  # type: ignore[operator]
        best = _divided(cross, covariance_in)
        if d == width:
            # all directions are kept, so it does not matter which they are
            values, vectors = (best * cross).sum(1), torch.eye(d, dtype=best.dtype, device=best.device)
        else:
            values, vectors = _spectrum(best @ cross.T)
        directions, explained = vectors[:, :d], values[:d].sum()
        encoder = directions.T @ best
    noise = (seen.covariance.trace() - explained).item() / width
    return Affine((encoder, -encoder @ mean_in), (directions, seen.mean), max(noise, 0.0))


def _probabilistic(seen: Statistics, d: int, noise: float | None = None) -> Affine:
    """Probabilistic PCA; ``noise`` is the variance of the likelihood where that is fixed."""
    check_range("The number of latent dimensions", d, 1, len(seen.mean) - 1)
    values, vectors = _spectrum(seen.covariance)
    left = values[d:].mean().clamp_min(torch.finfo(values.dtype).tiny)
    left = left if noise is None else torch.tensor(noise, dtype=values.dtype)
    w = vectors[:, :d] * (values[:d] - left).clamp_min(0).sqrt()
    m = (w * w).sum(0) + left
    project = w.T / m[:, None]
    weight = torch.cat([project, torch.zeros_like(project)])
    bias = torch.cat([-project @ seen.mean, 0.5 * (left / m).log()])
    return Affine((weight, bias), (w, seen.mean), left.item())


def _divided(cross: Tensor, covariance: Tensor) -> Tensor:
    """The product with the inverse of a covariance, or with its pseudo-inverse where some values never vary."""
    factor, fault = torch.linalg.cholesky_ex(covariance)
    if fault.item():
        inverse: Tensor = torch.linalg.pinv(covariance, hermitian=True)
        return cross @ inverse
    solved: Tensor = torch.cholesky_solve(cross.T, factor).T
    return solved


def _spectrum(symmetric: Tensor) -> tuple[Tensor, Tensor]:
    """All eigenvalues, largest first, and their eigenvectors (D, D) as columns."""
    values, vectors = torch.linalg.eigh(symmetric)
    return values.flip(0), vectors.flip(1)


def _model(
    found: Affine, latent: nn.Module, likelihood: nn.Module, x: Tensor, corruption: nn.Module | None = None
) -> Autoencoder:
    """The maps as an autoencoder of the precision of ``x``."""
    networks = []
    for weight, bias in (found.encoder, found.decoder):
        networks.append(nn.Linear(weight.shape[1], weight.shape[0], dtype=x.dtype))
        _put(networks[-1], weight, bias)
    return Autoencoder(networks[0], networks[1], latent, likelihood, corruption, shape=(x.shape[1],))


def _put(layer: nn.Linear | TiedLinear, weight: Tensor, bias: Tensor) -> None:
    """A map into its layer; a tied layer has the weight already."""
    with torch.no_grad():
        if isinstance(layer, nn.Linear):
            layer.weight.copy_(weight)
        layer.bias.copy_(bias)


def closed_form(objective: Objective) -> tuple[nn.Linear, nn.Linear | TiedLinear]:
    """The one layer of the encoder and of the decoder, where a closed form is known for the parts.

    Raises:
        IncompatibleParts: none is.
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
        "fidelity.kind=likelihood": not isinstance(objective.fidelity, LogLikelihood),
        "penalties.kl of weight 1 and no other": probabilistic and (len(kl) != 1 or weights != [1.0]),
        "net.unit_norm=false": probabilistic and any(isinstance(layer, UnitLinear) for layer in found[1]),
        "no penalties": plain and bool(objective.schedules),
        "a corruption that tells its moments": plain and not noiseless and not hasattr(model.corruption, "moments"),
        "corruption.kind=identity": probabilistic and not noiseless,
        "net.tied=false": isinstance(found[1][-1] if found[1] else None, TiedLinear)
        and (probabilistic or not noiseless),
    }
    for wanted, fault in faults.items():
        if fault:
            raise IncompatibleParts(
                f"training.optimiser=exact needs {wanted}, or no closed form is known. Change it, or train with adam."
            )
    if plain and not noiseless:
        # what it cannot tell, it says before any work
        model.corruption.moments(Statistics(torch.zeros(1), torch.eye(1)))  # type: ignore[operator]
    return found[0][0], found[1][0]  # type: ignore[return-value]


def _has_more(model: Autoencoder) -> bool:
    """Whether a network does more than one affine map."""
    allowed = (nn.Linear, TiedLinear, nn.Flatten, nn.Unflatten, nn.Sequential)
    return any(not isinstance(m, allowed) for net in (model.encoder, model.decoder) for m in net.modules())
