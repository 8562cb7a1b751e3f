r"""Penalties that measure a distance of codes from a prior, without a density of the code.

:class:`MMD` and :class:`Sliced` compare the codes of a batch with samples from the prior: they match the aggregate
posterior :math:`q(z) = \mathbb E_x q(z|x)` to the prior, not the posterior of each example. :class:`Wasserstein2`
compares the posterior of each example with the prior, as the KL does.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from isthmus.distributions import DiagonalGaussian
from isthmus.errors import IncompatibleParts, check_choice, check_range
from isthmus.functional import (
    random_directions,
    sliced_wasserstein,
    squared_mmd,
    squared_wasserstein,
    squared_wasserstein_full,
)
from isthmus.functional.samples import KERNELS
from isthmus.parts.protocols import Capability, Model, Prior, Supplied, Trace

MIN_SAMPLES = 100
"""Smallest number of prior samples that a batch of codes is compared with."""

SEED = 0x6D6D64
"""Seed of the random numbers in evaluation mode, different from the seeds of the codes' noise."""


class MMD(nn.Module):
    r"""Squared maximum mean discrepancy (MMD) between the codes of a batch and samples from the prior (not in nats).

    The estimate is unbiased: its expectation is 0 if the codes follow the prior, so single values may be negative. For
    a batch of one code, which has no pairs, the biased estimate is used. There are as many prior samples as codes, and
    at least 100; in evaluation mode they are always the same. Requires a real-valued code; feature maps are flattened.

    Args:
        prior: the prior p(z).
        kernel: ``imq`` or ``gaussian``, see :func:`isthmus.functional.kernel_matrix`.
        scale: scale of the kernel, above 0: the standard deviation of the prior in each dimension.

    Raises:
        BadOption: an unknown kernel, or a scale that is not positive.

    References:
        Wasserstein auto-encoders (Tolstikhin et al., 2018), algorithm 2
        A kernel two-sample test (Gretton et al., 2012), lemma 6
    """

    name = "mmd"
    requires = frozenset({Capability.REAL})

    def __init__(self, prior: Supplied[Prior], kernel: str = "imq", *, scale: float = 1.0) -> None:
        super().__init__()
        check_choice("The kernel of the discrepancy", kernel, KERNELS)
        check_range("The scale of the kernel", scale, 0, open_low=True)
        self.prior, self.kernel, self.scale = prior, kernel, scale

    def forward(self, model: Model, trace: Trace) -> Float[Tensor, ""]:
        """The squared discrepancy over the batches of all processes, shape ()."""
        z = trace.gather(trace.z).flatten(1)
        with _random_numbers(self.training, z.device):
            samples = _samples(self.prior, model, max(len(z), MIN_SAMPLES))
        return squared_mmd(z, samples, self.kernel, self.scale, unbiased=len(z) > 1)


class Sliced(nn.Module):
    r"""Squared sliced 2-Wasserstein distance between the codes of a batch and samples from the prior (not in nats).

    It is the mean of the squared one-dimensional distance over random projections, with as many prior samples as codes.
    The estimate is biased upward, the more so the smaller the batch. Projections and samples are random in every
    training step, and always the same in evaluation mode. Requires a real-valued code; feature maps are flattened.

    Args:
        prior: the prior p(z).
        projections: number of random projections per step, at least 1.

    Raises:
        BadOption: ``projections`` out of range.

    References:
        Sliced Wasserstein auto-encoders (Kolouri et al., 2019), algorithm 1
    """

    name = "sliced"
    requires = frozenset({Capability.REAL})

    def __init__(self, prior: Supplied[Prior], *, projections: int = 50) -> None:
        super().__init__()
        check_range("The number of projections", projections, 1, 100_000)
        self.prior, self.projections = prior, projections

    def forward(self, model: Model, trace: Trace) -> Float[Tensor, ""]:
        """The squared distance over the batches of all processes, in squared units of the code, shape ()."""
        z = trace.gather(trace.z).flatten(1)
        with _random_numbers(self.training, z.device):
            samples = _samples(self.prior, model, len(z))
            return sliced_wasserstein(z, samples, random_directions(self.projections, z))


class Wasserstein2(nn.Module):
    r"""Squared 2-Wasserstein distance of each Gaussian posterior from :math:`\mathcal N(0, I)` (not in nats).

    .. math:: \lVert \mu \rVert^2 + \sum_i (\sigma_i - 1)^2, \quad \text{or} \quad
              \lVert \mu \rVert^2 + \mathrm{tr}\,\Sigma + d - 2\, \mathrm{tr}\, \Sigma^{1/2}

    for a diagonal and for a full covariance. Unlike the KL it remains finite for a posterior of zero variance. Requires
    a Gaussian posterior.

    Args:
        prior: the prior, which must be the standard normal.

    Raises:
        IncompatibleParts: any other prior.

    References:
        The Fréchet distance between multivariate normal distributions (Dowson & Landau, 1982)
    """

    name = "wasserstein2"
    requires = frozenset({Capability.GAUSSIAN})

    def __init__(self, prior: Supplied[Prior]) -> None:
        super().__init__()
        if prior.name != "standard_normal":
            raise IncompatibleParts(
                f"Wasserstein2 requires the standard normal prior, but the prior is {type(prior).__name__}. Use "
                "priors.StandardNormal(), or MMD for other priors."
            )
        self.prior = prior

    def forward(self, model: Model, trace: Trace) -> Float[Tensor, " B"]:
        """The squared distance per example, in squared units of the code, shape (B,)."""
        q = trace.q
        if isinstance(q, DiagonalGaussian):
            return squared_wasserstein(q.loc, q.scale, torch.zeros_like(q.loc[0]), torch.ones_like(q.loc[0]))
        if not isinstance(q, MultivariateNormal):
            raise IncompatibleParts(
                f"Wasserstein2 requires a Gaussian posterior, but the posterior is {type(q).__name__}. Use "
                "latents.Gaussian() or latents.FullGaussian(size)."
            )
        eye = torch.eye(q.loc.shape[1], dtype=q.loc.dtype, device=q.loc.device)
        return squared_wasserstein_full(q.loc, q.scale_tril, torch.zeros_like(q.loc[0]), eye)


def _samples(prior: Prior, model: Model, number: int) -> Float[Tensor, "N d"]:
    """Flattened samples from the prior, without gradient."""
    return prior.distribution(model).sample(torch.Size((number,))).flatten(1)


@contextmanager
def _random_numbers(fresh: bool, device: torch.device) -> Iterator[None]:
    """New random numbers if ``fresh``; otherwise the same every time, without effect on the global generators."""
    if fresh:
        yield
        return
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(SEED)
        yield
