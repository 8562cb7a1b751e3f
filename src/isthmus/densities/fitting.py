r"""Densities fitted to codes; components, bandwidth and length are chosen by the likelihood of other codes."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from isthmus.densities.base import Density
from isthmus.densities.categorical import CategoricalMixture, log_probabilities
from isthmus.densities.flow import Flow, spline_flow
from isthmus.densities.gaussians import GaussianMixture
from isthmus.densities.kernel import KernelDensity
from isthmus.errors import BadData, check_choice

MOST_CODES = 20_000
"""Codes that a density need not exceed."""
MOST_VALUES = {"gaussian": 4096, "gmm": 1024, "kde": 1024, "flow": 256}
"""Values of a code to which a density can be fitted, at most."""
COMPONENTS = (2, 5, 10, 20, 50, 100, 200)
"""Components of a mixture that are tried, in this order, until the likelihood of other codes falls."""
PER_COMPONENT = 20
"""Codes that a component needs, at least."""
BANDWIDTHS = 24
"""Bandwidths of a kernel that are tried, each 5/4 of the one before."""
FLOOR = 1e-6
"""Variance that is added to each dimension, as a fraction of its own; and of the mean variance, where it has none."""
EM_STEPS, TOLERANCE = 200, 1e-4
"""Steps of the EM algorithm for symbols, at most, and the gain in nats per code below which it ends."""


class Fitted(NamedTuple):
    """A density, the mean log-likelihood of held-out codes under it in nats, and how it was chosen."""

    density: Density
    held_out: float
    choice: str


def gaussian(z: Float[Tensor, "N d"], other: Float[Tensor, "M d"], seed: int = 0) -> Fitted:
    """A single Gaussian with the mean and covariance of the codes."""
    found = _one(z)
    return Fitted(found, _mean(found, other), "full covariance")


def gmm(z: Float[Tensor, "N d"], other: Float[Tensor, "M d"], seed: int = 0) -> Fitted:
    """A mixture of Gaussians by the EM algorithm, with the number of components that fits ``other`` codes best."""
    from sklearn.mixture import GaussianMixture as Mixture

    best = gaussian(z, other)._replace(choice="1 component")
    center, scale = z.mean(0), _scale(z)
    standard = ((z - center) / scale).numpy()
    for components in COMPONENTS:
        if components * max(PER_COMPONENT, z.shape[1]) > len(z):
            break
        made = Mixture(components, reg_covar=FLOOR, random_state=seed, max_iter=100, init_params="kmeans").fit(standard)
        means, covariances = torch.from_numpy(made.means_), torch.from_numpy(made.covariances_)
        factors = torch.linalg.cholesky(covariances) * scale[:, None]
        density = GaussianMixture(torch.from_numpy(made.weights_), center + scale * means, factors)
        found = Fitted(density, _mean(density, other), f"{components} components")
        if found.held_out <= best.held_out:
            break
        best = found
    return best


def kde(z: Float[Tensor, "N d"], other: Float[Tensor, "M d"], seed: int = 0) -> Fitted:
    """A Gaussian kernel around each code, with the bandwidth that fits ``other`` codes best."""
    factor = _one(z).factors[0]
    # the bandwidth for data that is itself Gaussian (Silverman, 1986) is an upper bound
    widest = 1.5 * (4 / (z.shape[1] + 2) / len(z)) ** (1 / (z.shape[1] + 4))
    best: Fitted | None = None
    for power in range(BANDWIDTHS):
        density = KernelDensity(z, factor, torch.tensor([widest / 1.25**power], dtype=torch.float64))
        found = Fitted(density, _mean(density, other), f"bandwidth {density.bandwidth.item():.3g}")
        if best is not None and found.held_out <= best.held_out:
            break
        best = found
    assert best is not None
    return best


def flow(z: Float[Tensor, "N d"], other: Float[Tensor, "M d"], seed: int = 0) -> Fitted:
    """A neural spline flow, trained until the likelihood of ``other`` codes no longer rises."""
    center, scale = z.mean(0), _scale(z)
    torch.manual_seed(seed)
    net = spline_flow(z.shape[1])
    standard, others = ((v - center) / scale for v in (z, other))
    optimizer = torch.optim.Adam(net.parameters(), 2e-3)
    best, weights, idle, epoch = -np.inf, net.state_dict(), 0, 0
    while idle < 5 and epoch < 200:
        for rows in torch.split(torch.randperm(len(standard)), 256):
            optimizer.zero_grad()
            loss = -net().log_prob(standard[rows].float()).mean()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
        with torch.no_grad():
            value = net().log_prob(others.float()).mean().item()
        epoch, idle = epoch + 1, idle + 1
        if value > best:
            best, idle, weights = value, 0, {name: v.clone() for name, v in net.state_dict().items()}
    net.load_state_dict(weights)
    made = Flow(center, scale, net)
    return Fitted(made, _mean(made, other), f"{epoch - idle} epochs")


def categorical(s: Int[Tensor, "N n"], other: Int[Tensor, "M n"], seed: int = 0, *, symbols: int) -> Fitted:
    """A mixture of products of categorical distributions, with the number of components that fits ``other`` best."""
    best: Fitted | None = None
    for components in (1, *COMPONENTS):
        if best is not None and components * PER_COMPONENT > len(s):
            break
        density = _em(s, components, symbols, seed)
        found = Fitted(density, _mean(density, other), f"{components} component{'s' * (components > 1)}")
        if best is not None and found.held_out <= best.held_out:
            break
        best = found
    assert best is not None
    return best


Fit = Callable[[Tensor, Tensor, int], Fitted]
DENSITIES: dict[str, Fit] = {"gaussian": gaussian, "gmm": gmm, "kde": kde, "flow": flow}
"""Fits of densities of real-valued codes by name; codes of symbols have :func:`categorical`."""


def fit_density(kind: str, z: Float[Tensor, "N d"], other: Float[Tensor, "M d"], seed: int = 0) -> Fitted:
    """The density ``kind`` of codes; what it leaves open is chosen by the likelihood of ``other`` codes.

    Args:
        kind: one of :data:`DENSITIES`.
        z: codes to fit, at best no more than :data:`MOST_CODES`.
        other: codes that it is not fitted to.
        seed: seed of starting values.

    Raises:
        BadOption: an unknown kind.
        BadData: too few codes, or codes of too many values.
    """
    check_choice("The density", kind, DENSITIES)
    check_numbers(z, other)
    if z.shape[1] > MOST_VALUES[kind]:
        raise BadData(
            f"The density {kind} can be fitted to codes of at most {MOST_VALUES[kind]:,} values, but they have "
            f"{z.shape[1]:,}. Use density=gaussian, which takes up to 4,096, or a run with a smaller latent.size."
        )
    return DENSITIES[kind](z.detach().cpu().double(), other.detach().cpu().double(), seed)


def check_numbers(z: Tensor, other: Tensor) -> None:
    """Check that there are enough codes.

    Raises:
        BadData: there are too few.
    """
    if len(z) < 4 or len(other) < 1:
        raise BadData(
            f"A density needs at least 4 codes and 1 held-out code, but there are {len(z)} and {len(other)}. Pass more "
            "examples."
        )


def _scale(z: Tensor) -> Tensor:
    """The standard deviation of each dimension; that of a constant one is a thousandth of the mean of all."""
    variance = z.var(0, correction=0)
    return (variance + FLOOR * variance.mean().clamp(min=1e-12)).sqrt()


def _one(z: Float[Tensor, "N d"]) -> GaussianMixture:
    """The Gaussian with the mean and covariance of the codes, as a mixture of one component."""
    center, scale = z.mean(0), _scale(z)
    standard = (z - center) / scale
    covariance = standard.T @ standard / len(z) + FLOOR * torch.eye(z.shape[1], dtype=z.dtype)
    factor = scale[:, None] * torch.linalg.cholesky(covariance)
    return GaussianMixture(torch.ones(1), center[None], factor[None])


def _mean(density: Density, other: Tensor) -> float:
    return density.log_prob(other).mean().item()


def _em(s: Int[Tensor, "N n"], components: int, symbols: int, seed: int) -> CategoricalMixture:
    """A mixture of products of categorical distributions by the EM algorithm, from random responsibilities."""
    rng = torch.Generator().manual_seed(seed)
    share = torch.rand(len(s), components, generator=rng, dtype=torch.float64).square()
    share /= share.sum(1, keepdim=True)
    before = -np.inf
    for _ in range(EM_STEPS if components > 1 else 1):
        weights = share.mean(0)
        # one more code, of all symbols alike, so that none is impossible
        tables = [torch.full((symbols, components), 1 / symbols, dtype=torch.float64) for _ in range(s.shape[1])]
        for position, table in enumerate(tables):
            table.index_add_(0, s[:, position], share)
        counts = torch.stack(tables, 1).permute(2, 1, 0)
        probabilities = counts / counts.sum(2, keepdim=True)
        joint = weights.log() + log_probabilities(probabilities, s)
        total = torch.logsumexp(joint, 1)
        share = (joint - total[:, None]).exp()
        if total.mean().item() - before < TOLERANCE:
            break
        before = total.mean().item()
    return CategoricalMixture(weights, probabilities)
