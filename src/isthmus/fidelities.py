r"""The fidelity of an objective: the term that asks the output to be like the clean input, in nats per example.

It is :math:`-\log p(x \mid z)` at one drawn code; weighted by where the input was corrupted; or the
importance-weighted bound over several codes.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution, Independent

from isthmus.distributions import DiagonalGaussian
from isthmus.errors import BadOption, IncompatibleParts, check_choice, check_range
from isthmus.functional import log_mean_exp
from isthmus.trace import Model, Offer, Prior, Trace


class LogLikelihood(nn.Module):
    r"""The negative log-likelihood :math:`-\log p(x \mid z)`, :math:`z \sim q(z \mid \tilde x)`, in nats.

    With a Gaussian likelihood of unit scale it is half the squared error plus a constant; with Bernoulli pixels the
    cross-entropy.
    """

    name = "reconstruction"
    needs: frozenset[Offer] = frozenset()

    def forward(self, model: Model, trace: Trace) -> Float[Tensor, " B"]:
        """The negative log-likelihood of each example."""
        value: Tensor = -trace.p.log_prob(trace.x)
        return value


class ImportanceWeighted(nn.Module):
    r"""The importance-weighted bound with K codes, as a loss: :math:`-\log \frac1K \sum_k w_k`, in nats.

    .. math:: w_k = \frac{p(x \mid z_k)\, p(z_k)}{q(z_k \mid \tilde x)}, \quad z_k \sim q(z \mid \tilde x)

    K = 1 is the negative evidence lower bound of that draw; the bound tightens as K grows. It holds the prior, so no
    KL is added to it.

    Args:
        prior: the prior p(z).
        samples: K, the codes drawn for each example, at least 1.
        gradient: ``reparameterised``, or ``doubly``: the doubly reparameterised gradient of the encoder, whose
            signal does not fade as K grows. Needs a diagonal Gaussian posterior.

    References:
        Importance weighted autoencoders (Burda et al., 2016), equations 8 and 14
        Doubly reparameterized gradient estimators for Monte Carlo objectives (Tucker et al., 2019), equation 8

    Raises:
        BadOption: K below 1, or an unknown gradient.
    """

    name = "bound"

    def __init__(self, prior: nn.Module, *, samples: int = 50, gradient: str = "reparameterised") -> None:
        super().__init__()
        check_range("fidelity.samples", samples, 1, 100_000)
        check_choice("fidelity.gradient", gradient, ("reparameterised", "doubly"))
        self.prior, self.samples, self.doubly = prior, samples, gradient == "doubly"
        own = {Offer.DENSITY, Offer.DIAGONAL} if self.doubly else {Offer.DENSITY}
        # a prior may need something of the latent too
        self.needs = frozenset(own) | getattr(prior, "needs", frozenset())

    def forward(self, model: Model, trace: Trace) -> Float[Tensor, " B"]:
        """The negative bound of each example."""
        if not self.doubly:
            return -log_mean_exp(log_weights(model, trace, self.prior, self.samples, trace.q))
        assert isinstance(trace.q, DiagonalGaussian)
        # q's own parameters get their gradient through z alone, scaled once more by each normalised weight
        drawn: list[Tensor] = []
        log_w = log_weights(model, trace, self.prior, self.samples, trace.q.detached(), drawn)
        share = torch.softmax(log_w.detach(), 0)
        if drawn[0].requires_grad:
            spread = share.reshape(*share.shape, *(1,) * (drawn[0].ndim - 2))
            drawn[0].register_hook(lambda gradient: gradient * spread)  # type: ignore[no-untyped-call]
        return -log_mean_exp(log_w)


class Emphasised(nn.Module):
    r"""The negative log-likelihood, weighted by where the input was corrupted, in nats.

    .. math:: -\alpha \sum_{j \in J} \log p_j(x_j \mid z) - \beta \sum_{j \notin J} \log p_j(x_j \mid z)

    J are the corrupted values. Where the input is clean by intent (no corruption, or a clean
    evaluation) there is nothing to tell apart, and it is :math:`-\log p(x \mid z)` with weight 1.

    Args:
        corrupted: the weight :math:`\alpha \ge 0` of corrupted values.
        intact: the weight :math:`\beta \ge 0` of all others; 0 asks for the corrupted ones only.

    References:
        Stacked denoising autoencoders: learning useful representations in a deep network with a local denoising
        criterion (Vincent et al., 2010), section 3.3

    Raises:
        BadOption: a weight below 0, or both 0.
    """

    name = "reconstruction"
    needs: frozenset[Offer] = frozenset()

    def __init__(self, corrupted: float = 1.0, intact: float = 0.5) -> None:
        super().__init__()
        check_range("fidelity.corrupted", corrupted, 0, 1e6)
        check_range("fidelity.intact", intact, 0, 1e6)
        if corrupted == intact == 0:
            raise BadOption("fidelity.corrupted and fidelity.intact are both 0, which asks for nothing. Raise one.")
        self.corrupted, self.intact = corrupted, intact

    def forward(self, model: Model, trace: Trace) -> Float[Tensor, " B"]:
        """The weighted negative log-likelihood of each example."""
        if trace.mask is None:
            plain: Tensor = -trace.p.log_prob(trace.x)
            return plain
        values = by_feature(trace.p, trace.x)
        weighted = torch.where(trace.mask, self.corrupted * values, self.intact * values)
        return -weighted.flatten(1).sum(1)


def by_feature(p: Distribution, x: Float[Tensor, "B *D"]) -> Float[Tensor, "B *D"]:
    """Log-likelihood of each value of ``x`` under an output distribution, in nats; over an example it adds up to log p.

    Raises:
        IncompatibleParts: the values of an example are not independent given the code.

    >>> from torch.distributions import Normal
    >>> by_feature(Independent(Normal(torch.zeros(1, 2), 1.0), 1), torch.zeros(1, 2)).shape
    torch.Size([1, 2])
    """
    values: Tensor
    if hasattr(p, "by_feature"):
        values = p.by_feature(x)
        return values
    if isinstance(p, Independent) and not p.base_dist.event_shape:
        values = p.base_dist.log_prob(x)
        return values
    raise IncompatibleParts(
        f"An emphasised fidelity needs the likelihood of each value, but {type(p).__name__} has only that of a whole "
        "example. Use likelihood.kind=bernoulli or gaussian, or fidelity.kind=likelihood."
    )


def log_weights(
    model: Model, trace: Trace, prior: nn.Module, samples: int, q: Distribution, drawn: list[Tensor] | None = None
) -> Float[Tensor, "K B"]:
    r"""Logarithms of :math:`w_k` for K codes drawn from the posterior of ``trace``, whose density is that of ``q``.

    All codes are decoded in one batch; ``drawn`` is given them, (K, B, *code), before that.
    """
    assert isinstance(prior, Prior)
    # one draw is at hand, decoded; with K = 1 nothing is done twice
    z = trace.z[None] if samples == 1 else trace.q.rsample(torch.Size((samples,)))
    if drawn is not None:
        drawn.append(z)
    log_p = trace.p.log_prob(trace.x)[None] if samples == 1 else _decoded(model, z, trace.x)
    return log_p + prior.distribution(model).log_prob(z) - q.log_prob(z)


def _decoded(model: Model, z: Tensor, x: Tensor) -> Float[Tensor, "K B"]:
    """Log p(x | z) for codes (K, B, *code)."""
    p = model.output(z.flatten(0, 1))
    repeated = x.expand(len(z), *x.shape).flatten(0, 1)
    return p.log_prob(repeated).reshape(z.shape[:2])


FIDELITIES: dict[str, type[nn.Module]] = {
    "likelihood": LogLikelihood,
    "emphasised": Emphasised,
    "importance": ImportanceWeighted,
}
"""Fidelity terms by their name in a recipe."""
