r"""Output distributions restricted to the observed values of an example.

.. math:: \log p(x_{\mathrm{obs}} \mid z) = \sum_{j\ \mathrm{observed}} \log p_j(x_j \mid z)

For values that are independent given z this is the exact marginal of the observed values.
"""

from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent
from torch.distributions.constraints import Constraint

from isthmus.distributions.outputs import SampleShape, summed
from isthmus.errors import IncompatibleParts


@runtime_checkable
class HasFeatureLogProb(Protocol):
    """An output distribution of independent values, with the log-likelihood of each value."""

    def log_prob_by_feature(self, x: Tensor) -> Tensor:
        """Log-likelihood of each value, in nats, of the shape of ``x``."""
        ...


@runtime_checkable
class SharesStatistics(Protocol):
    """A distribution whose log-likelihoods depend on statistics of all observed values, such as a common scale."""

    def log_prob_of_observed(self, value: Tensor, observed: Tensor) -> Tensor:
        """Log-likelihood of each value, in nats, of the shape of ``value``; 0 where ``observed`` is false."""
        ...


class Observed(Distribution):
    r"""An output distribution p whose log-likelihood leaves out missing values, which are NaN.

    Mean, mode, variance and samples are those of p. Missing values are replaced by ``fill`` before the density is
    evaluated, and their terms are set to 0 afterwards, so values and gradients are finite and exact.

    Args:
        p: distribution over examples (B, *D) of independent values.
        fill: values in the support of p, which broadcast with an example.

    >>> p = Observed(Independent(torch.distributions.Normal(torch.zeros(1, 2), 1.0), 1), torch.zeros(1, 1))
    >>> round(p.log_prob(torch.tensor([[0.0, torch.nan]])).item(), 4)  # -1/2 log(2 pi)
    -0.9189
    """

    arg_constraints: dict[str, Constraint] = {}  # noqa: RUF012  torch's own way to declare constraints

    def __init__(self, p: Distribution, fill: Tensor) -> None:
        super().__init__(p.batch_shape, p.event_shape, validate_args=False)
        self.p, self.fill = p, fill

    def __getattr__(self, name: str) -> Any:
        """Attributes of p, such as its parameters."""
        if name in ("p", "__setstate__"):
            raise AttributeError(name)
        return getattr(self.p, name)

    @property
    def mean(self) -> Tensor:
        """The mean of p."""
        return self.p.mean

    @property
    def mode(self) -> Tensor:
        """The mode of p."""
        return self.p.mode

    @property
    def variance(self) -> Tensor:
        """The variance of p."""
        return self.p.variance

    def sample(self, sample_shape: SampleShape = ()) -> Tensor:
        """Samples from p."""
        return self.p.sample(torch.Size(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-likelihood of the observed values per example, in nats, shape (*sample, B).

        Raises:
            IncompatibleParts: p does not give the likelihood of each value.
        """
        return summed(self.log_prob_by_feature(value), self)

    def log_prob_by_feature(self, value: Tensor) -> Tensor:
        """Log-likelihood of each value, in nats, of the shape of ``value``; 0 for missing values.

        Raises:
            IncompatibleParts: p does not give the likelihood of each value.
        """
        observed = ~value.isnan()
        replaced = torch.where(observed, value, self.fill)
        if isinstance(self.p, SharesStatistics):
            return self.p.log_prob_of_observed(replaced, observed)
        values = by_feature(self.p, replaced)
        if values is None:
            raise IncompatibleParts(
                "Missing values can be left out only of a likelihood of independent values, but "
                f"{type(self.p).__name__} provides only that of a whole example. Use likelihood.kind=gaussian or "
                "bernoulli, impute the values, or set data.on_bad_data=skip."
            )
        return torch.where(observed, values, 0.0)


def by_feature(p: Distribution, x: Tensor) -> Tensor | None:
    """Log-likelihood of each value of ``x``, in nats; ``None`` if p gives only that of a whole example."""
    if isinstance(p, HasFeatureLogProb):
        return p.log_prob_by_feature(x)
    if isinstance(p, Independent) and not p.base_dist.event_shape:
        values: Tensor = p.base_dist.log_prob(x)
        return values
    return None
