r"""Fidelities: the term of an objective that compares the output with the clean input, in nats per example.

It is :math:`-\log p(x \mid z)` at one sampled code, optionally with different weights for corrupted and clean values;
the importance-weighted bound over several codes; or, in implicit models, the log-density of codes of decoded samples.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution

from isthmus.distributions import DiagonalGaussian
from isthmus.distributions.observed import by_feature
from isthmus.errors import BadOption, IncompatibleParts, check_choice, check_range
from isthmus.functional import log_mean_exp, per_example
from isthmus.parts.hooks import requirements_of
from isthmus.parts.protocols import Capability, Gather, Model, Prior, Supplied, Trace


class LogLikelihood(nn.Module):
    r"""The negative log-likelihood :math:`-\log p(x \mid z)`, :math:`z \sim q(z \mid \tilde x)`, in nats.

    With a Gaussian likelihood of unit scale it is half the squared error plus a constant; with a Bernoulli likelihood
    it is the binary cross-entropy.
    """

    name = "reconstruction"
    requires: frozenset[Capability] = frozenset()

    def forward(self, model: Model, trace: Trace) -> Float[Tensor, " B"]:
        """The negative log-likelihood per example, in nats, shape (B,)."""
        value: Tensor = -trace.p.log_prob(trace.x)
        return value


class ImportanceWeighted(nn.Module):
    r"""The importance-weighted bound with K codes, as a loss: :math:`-\log \frac1K \sum_k w_k`, in nats.

    .. math:: w_k = \frac{p(x \mid z_k)\, p(z_k)}{q(z_k \mid \tilde x)}, \quad z_k \sim q(z \mid \tilde x)

    K = 1 is a single-sample estimate of the negative evidence lower bound; the bound becomes tighter as K grows. The
    bound contains the prior, so it is not combined with a KL penalty.

    Args:
        prior: the prior p(z).
        samples: number of codes K sampled per example, at least 1.
        gradient: estimator of the encoder's gradient: ``reparameterized``, or ``doubly_reparameterized``, whose
            signal-to-noise ratio does not decrease with K and which requires a diagonal Gaussian posterior.

    References:
        Importance weighted autoencoders (Burda et al., 2016), equations 8 and 14
        Doubly reparameterized gradient estimators for Monte Carlo objectives (Tucker et al., 2019), equation 8

    Raises:
        BadOption: ``samples`` out of range, or an unknown gradient estimator.
    """

    name = "bound"

    def __init__(self, prior: Supplied[Prior], *, samples: int = 50, gradient: str = "reparameterized") -> None:
        super().__init__()
        check_range("fidelity.samples", samples, 1, 100_000)
        check_choice("fidelity.gradient", gradient, ("reparameterized", "doubly_reparameterized"))
        self.prior, self.samples, self.doubly = prior, samples, gradient == "doubly_reparameterized"
        required = {Capability.DENSITY, Capability.DIAGONAL} if self.doubly else {Capability.DENSITY}
        self.requires = frozenset(required) | requirements_of(prior)

    def forward(self, model: Model, trace: Trace) -> Float[Tensor, " B"]:
        """The negative bound per example, in nats, shape (B,)."""
        if not self.doubly:
            return -log_mean_exp(log_weights(model, trace, self.prior, self.samples, trace.q))
        assert isinstance(trace.q, DiagonalGaussian)
        # the parameters of q get their gradient through z alone, multiplied by the normalized weight once more
        codes: list[Tensor] = []
        log_w = log_weights(model, trace, self.prior, self.samples, trace.q.detached(), codes)
        weights = torch.softmax(log_w.detach(), 0)
        if codes[0].requires_grad:
            factors = weights.reshape(*weights.shape, *(1,) * (codes[0].ndim - 2))
            codes[0].register_hook(lambda gradient: gradient * factors)  # type: ignore[no-untyped-call]
        return -log_mean_exp(log_w)


class Inversion(nn.Module):
    r"""Codes of decoded samples: the encoder learns to invert a decoder that is trained by other terms, in nats.

    .. math:: -\log q(z \mid \hat x), \quad z \sim p(z), \quad \hat x = \mathbb E[p(x \mid z)]

    For a deterministic code f it is :math:`\frac12 \lVert z - f(\hat x) \rVert^2`. Examples are not encoded and have
    no likelihood: with a critic of outputs as the only other term the model is an implicit one, a generative
    adversarial network, whose encoder finds the code of an example. The gradient does not reach the decoder.

    Args:
        prior: the prior p(z).

    References:
        Adversarial feature learning (Donahue et al., 2017), section 4.2, the latent regressor
    """

    name = "inversion"
    requires = frozenset({Capability.REAL})

    def __init__(self, prior: Supplied[Prior]) -> None:
        super().__init__()
        self.prior = prior

    def trace(self, model: Model, x: Tensor, progress: float, population: int, gather: Gather) -> Trace:
        """The forward pass from samples of the prior to outputs and, without gradient to these, to their codes."""
        with torch.no_grad():
            z = self.prior.distribution(model).sample(torch.Size((len(x),)))
        h = model.decoded(z)
        p = model.output_of(h)
        q = model.posterior(p.mean.detach(), progress)
        return Trace(x, x, q, z, p, None, progress, population, gather, h)

    def forward(self, model: Model, trace: Trace) -> Float[Tensor, " B"]:
        """The negative log-density of the codes per example, in nats, shape (B,)."""
        if Capability.DENSITY in model.latent.provides:
            density: Tensor = -trace.q.log_prob(trace.z)
            return density
        return 0.5 * per_example((trace.z - trace.q.mean).square())


class Emphasized(nn.Module):
    r"""The negative log-likelihood with separate weights for corrupted and clean values, in nats.

    .. math:: -\alpha \sum_{j \in J} \log p_j(x_j \mid z) - \beta \sum_{j \notin J} \log p_j(x_j \mid z)

    where J is the set of corrupted values. Without corruption (in the recipe, or in an evaluation on clean inputs) it
    is :math:`-\log p(x \mid z)` with weight 1. Requires a likelihood of independent values.

    Args:
        corrupted: weight :math:`\alpha \ge 0` of the corrupted values.
        intact: weight :math:`\beta \ge 0` of all other values; 0 fits the corrupted values only.

    References:
        Stacked denoising autoencoders: learning useful representations in a deep network with a local denoising
            criterion (Vincent et al., 2010), section 3.3

    Raises:
        BadOption: a weight below 0, or both 0.
    """

    name = "reconstruction"
    requires: frozenset[Capability] = frozenset()

    def __init__(self, corrupted: float = 1.0, intact: float = 0.5) -> None:
        super().__init__()
        check_range("fidelity.corrupted", corrupted, 0, 1e6)
        check_range("fidelity.intact", intact, 0, 1e6)
        if corrupted == intact == 0:
            raise BadOption("fidelity.corrupted and fidelity.intact are both 0. Set at least one of them above 0.")
        self.corrupted, self.intact = corrupted, intact

    def forward(self, model: Model, trace: Trace) -> Float[Tensor, " B"]:
        """The weighted negative log-likelihood per example, in nats, shape (B,)."""
        if trace.mask is None:
            plain: Tensor = -trace.p.log_prob(trace.x)
            return plain
        values = log_prob_by_feature(trace.p, trace.x)
        weighted = torch.where(trace.mask, self.corrupted * values, self.intact * values)
        return -weighted.flatten(1).sum(1)


def log_prob_by_feature(p: Distribution, x: Float[Tensor, "B *D"]) -> Float[Tensor, "B *D"]:
    """Log-likelihood of each value of ``x``, in nats; the values of an example sum to log p(x | z).

    Raises:
        IncompatibleParts: the values of an example are not independent given the code.

    >>> from torch.distributions import Independent, Normal
    >>> log_prob_by_feature(Independent(Normal(torch.zeros(1, 2), 1.0), 1), torch.zeros(1, 2)).shape
    torch.Size([1, 2])
    """
    values = by_feature(p, x)
    if values is not None:
        return values
    raise IncompatibleParts(
        f"An emphasized fidelity requires the likelihood of each value, but {type(p).__name__} provides only that of a "
        "whole example. Use likelihood.kind=bernoulli or gaussian, or fidelity.kind=likelihood."
    )


def log_weights(
    model: Model, trace: Trace, prior: Prior, samples: int, q: Distribution, codes: list[Tensor] | None = None
) -> Float[Tensor, "K B"]:
    r"""Log-weights :math:`\log w_k` of K codes sampled from the posterior of ``trace``, with the density of ``q``.

    All codes are decoded in one batch. They are appended to ``codes`` before that, shape (K, B, *code).
    """
    # with K = 1 the sample of the trace is reused, which is decoded already
    z = trace.z[None] if samples == 1 else trace.q.rsample(torch.Size((samples,)))
    if codes is not None:
        codes.append(z)
    log_p = trace.p.log_prob(trace.x)[None] if samples == 1 else _decoded(model, z, trace.x)
    return log_p + prior.distribution(model).log_prob(z) - q.log_prob(z)


def _decoded(model: Model, z: Tensor, x: Tensor) -> Float[Tensor, "K B"]:
    """Log p(x | z) of codes (K, B, *code), shape (K, B)."""
    p = model.output(z.flatten(0, 1))
    repeated = x.expand(len(z), *x.shape).flatten(0, 1)
    return p.log_prob(repeated).reshape(z.shape[:2])


FIDELITIES: dict[str, type[nn.Module]] = {
    "likelihood": LogLikelihood,
    "emphasized": Emphasized,
    "importance": ImportanceWeighted,
    "inversion": Inversion,
}
"""Fidelities by name in a recipe."""
