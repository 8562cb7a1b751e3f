r"""Penalties that compare codes with a prior by a distance, and so need no density of the code.

:class:`MMD` and :class:`Sliced` compare the codes of the batch as a whole with draws of the prior: they ask that the
aggregate posterior :math:`q(z) = \mathbb E_x q(z|x)` be the prior, and leave each code its place in it.
:class:`Wasserstein2` compares the posterior of each example, as the KL does.
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
from isthmus.trace import Model, Offer, Prior, Trace

FEWEST_DRAWS = 100
"""Draws of the prior that a batch of codes is compared with, however small the batch is."""

SEED = 0x6D6D64
"""Of the draws in evaluation; a number of its own, so that they are not the noise of the codes they judge."""


class MMD(nn.Module):
    r"""Squared maximum mean discrepancy between the codes of the batch and draws of the prior (no nats).

    The estimate is unbiased: its mean is 0 where the codes follow the prior, so single values fall below 0. One code
    alone has no pair, so a batch of one is given the biased form: the discrepancy of that point from the prior. There
    are as many draws as codes, and at least 100; evaluation makes the same draws every time. Needs a code of real
    numbers; maps are flattened.

    Args:
        prior: the prior p(z).
        kernel: ``imq`` or ``gaussian``, see :func:`isthmus.functional.kernel_matrix`.
        scale: of the kernel: the standard deviation of the prior in each coordinate, above 0.

    Raises:
        BadOption: no such kernel, or a scale that is not positive.

    References:
        Wasserstein auto-encoders (Tolstikhin et al., 2018), algorithm 2
        A kernel two-sample test (Gretton et al., 2012), lemma 6
    """

    name = "mmd"
    needs = frozenset({Offer.REAL})

    def __init__(self, prior: nn.Module, kernel: str = "imq", *, scale: float = 1.0) -> None:
        super().__init__()
        check_choice("The kernel of the discrepancy", kernel, KERNELS)
        check_range("The scale of the kernel", scale, 0, open_low=True)
        self.prior, self.kernel, self.scale = prior, kernel, scale

    def forward(self, model: Model, trace: Trace) -> Float[Tensor, ""]:
        """The squared discrepancy of the batches of all processes."""
        z = trace.gather(trace.z).flatten(1)
        with _draws(self.training, z.device):
            drawn = _drawn(self.prior, model, max(len(z), FEWEST_DRAWS))
        return squared_mmd(z, drawn, self.kernel, self.scale, unbiased=len(z) > 1)


class Sliced(nn.Module):
    r"""Squared sliced 2-Wasserstein distance between the codes of the batch and draws of the prior (no nats).

    The mean over random lines of the squared distance in one dimension, with as many draws as codes. Two finite
    samples are never at distance 0, so the value is above that of the distributions, by more the smaller the batch.
    Lines and draws are new in every step of training, and the same in every evaluation. Needs a code of real numbers;
    maps are flattened.

    Args:
        prior: the prior p(z).
        projections: lines in each step, at least 1.

    Raises:
        BadOption: no line.

    References:
        Sliced Wasserstein auto-encoders (Kolouri et al., 2019), algorithm 1
    """

    name = "sliced"
    needs = frozenset({Offer.REAL})

    def __init__(self, prior: nn.Module, *, projections: int = 50) -> None:
        super().__init__()
        check_range("The number of projections", projections, 1, 100_000)
        self.prior, self.projections = prior, projections

    def forward(self, model: Model, trace: Trace) -> Float[Tensor, ""]:
        """The squared distance of the batches of all processes, in squared units of the code."""
        z = trace.gather(trace.z).flatten(1)
        with _draws(self.training, z.device):
            drawn = _drawn(self.prior, model, len(z))
            return sliced_wasserstein(z, drawn, random_directions(self.projections, z))


class Wasserstein2(nn.Module):
    r"""Squared 2-Wasserstein distance of each Gaussian posterior from :math:`\mathcal N(0, I)`, closed form (no nats).

    .. math:: \lVert \mu \rVert^2 + \sum_i (\sigma_i - 1)^2, \quad \text{or} \quad
              \lVert \mu \rVert^2 + \mathrm{tr}\,\Sigma + d - 2\, \mathrm{tr}\, \Sigma^{1/2}

    for a diagonal and for a full covariance. Unlike the KL it stays finite where a posterior narrows to a point.
    Needs a Gaussian posterior.

    Args:
        prior: the prior; the closed form is that of the standard normal.

    Raises:
        IncompatibleParts: another prior, which has no closed form here.

    References:
        The Frechet distance between multivariate normal distributions (Dowson & Landau, 1982)
    """

    name = "wasserstein2"
    needs = frozenset({Offer.GAUSSIAN})

    def __init__(self, prior: nn.Module) -> None:
        super().__init__()
        if getattr(prior, "name", None) != "standard_normal":
            raise IncompatibleParts(
                f"Wasserstein2 has a closed form to the standard normal, but was given {type(prior).__name__}. "
                "Use priors.StandardNormal(), or MMD for another prior."
            )
        self.prior = prior

    def forward(self, model: Model, trace: Trace) -> Float[Tensor, " B"]:
        """The squared distance of each example, in squared units of the code."""
        q = trace.q
        if isinstance(q, DiagonalGaussian):
            return squared_wasserstein(q.loc, q.scale, torch.zeros_like(q.loc[0]), torch.ones_like(q.loc[0]))
        if not isinstance(q, MultivariateNormal):
            raise IncompatibleParts(
                f"Wasserstein2 needs a Gaussian posterior, but the latent gave {type(q).__name__}. Use "
                "latents.Gaussian() or latents.FullGaussian(size)."
            )
        eye = torch.eye(q.loc.shape[1], dtype=q.loc.dtype, device=q.loc.device)
        return squared_wasserstein_full(q.loc, q.scale_tril, torch.zeros_like(q.loc[0]), eye)


def _drawn(prior: nn.Module, model: Model, number: int) -> Float[Tensor, "N d"]:
    """Codes drawn from the prior, flat; no gradient reaches the prior."""
    assert isinstance(prior, Prior)
    return prior.distribution(model).sample(torch.Size((number,))).flatten(1)


@contextmanager
def _draws(fresh: bool, device: torch.device) -> Iterator[None]:
    """New draws where ``fresh``, else the same ones every time, with the global generators left as they were."""
    if fresh:
        yield
        return
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(SEED)
        yield
