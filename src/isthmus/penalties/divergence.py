r"""Penalties that compare the posterior with a prior, one example at a time."""

from jaxtyping import Float
from torch import Tensor, nn

from isthmus.distributions import DiagonalGaussian
from isthmus.errors import IncompatibleParts
from isthmus.functional import kl_standard_normal
from isthmus.trace import Model, Offer, Trace


class KL(nn.Module):
    r"""Kullback-Leibler divergence :math:`\mathrm{KL}(q(z \mid x) \,\|\, \mathcal N(0, I))`, closed form, in nats.

    Needs a diagonal Gaussian posterior.

    Args:
        prior: the prior; the closed form is that of the standard normal.

    Raises:
        IncompatibleParts: another prior, which has no closed form here.

    References:
        Auto-encoding variational Bayes (Kingma & Welling, 2014), appendix B
    """

    name = "kl"
    needs = frozenset({Offer.GAUSSIAN})

    def __init__(self, prior: nn.Module) -> None:
        super().__init__()
        if getattr(prior, "name", None) != "standard_normal":
            raise IncompatibleParts(
                f"KL has a closed form to the standard normal, but was given {type(prior).__name__}. "
                "Use priors.StandardNormal()."
            )
        self.prior = prior

    def forward(self, model: Model, trace: Trace) -> Float[Tensor, " B"]:
        """KL of each example, in nats."""
        q = trace.q
        if not isinstance(q, DiagonalGaussian):
            raise IncompatibleParts(
                f"KL needs a diagonal Gaussian posterior, but the latent gave {type(q).__name__}. "
                "Use latents.Gaussian()."
            )
        return kl_standard_normal(q.loc, q.scale, q.log_scale)
