r"""Priors :math:`p(z)`: what a penalty compares the code with, and what samples are drawn from.

The standard normal is fixed; a mixture learns where codes are (:class:`Mixture`), and the VampPrior is the mixture of
the posteriors of learned inputs (:class:`Vamp`).
"""

import math

import torch
from jaxtyping import Float
from torch import Size, Tensor, nn
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, Normal

from isthmus.distributions import DiagonalGaussian, OneHot
from isthmus.errors import IncompatibleParts, ShapeError, check_range
from isthmus.trace import Model, Offer, Shape

JITTER = 0.01
"""Spread of pseudo-inputs about the examples they start from, in the data's standard deviations."""


def code_of(model: Model) -> Shape:
    """The shape of one code.

    Raises:
        ShapeError: the model has not met data yet.
    """
    if model.code is None:
        raise ShapeError(
            "The model has not met data yet, so its code is unknown. Fit it, or call model.join((1, 28, 28)) with the "
            "shape of one example."
        )
    return model.code


class GaussianMixture(MixtureSameFamily):
    r"""A mixture of K diagonal Gaussians over codes of any shape, :math:`\sum_k \pi_k\,\mathcal N(\mu_k, \sigma_k^2)`.

    torch's own, with a density that never holds N x K x d numbers: the squared distances
    :math:`\sum_i (z_i - \mu_{ki})^2 / \sigma_{ki}^2` are expanded into two matrix products. That costs digits where
    :math:`|z| \gg \sigma`, so the products are in double precision where the device has it.

    Args:
        logits: unnormalised logarithms of the weights :math:`\pi`, shape (K,).
        loc: means, shape (K, *code).
        log_scale: logarithms of the standard deviations, shape (K, *code).

    >>> mixture = GaussianMixture(torch.zeros(2), torch.zeros(2, 3), torch.zeros(2, 3))
    >>> round(mixture.log_prob(torch.zeros(1, 3)).item(), 4)  # -3/2 log(2 pi)
    -2.7568
    """

    def __init__(
        self, logits: Float[Tensor, " K"], loc: Float[Tensor, "K *code"], log_scale: Float[Tensor, "K *code"]
    ) -> None:
        self.loc, self.log_scale = loc, log_scale
        each = Independent(Normal(loc, log_scale.exp(), validate_args=False), loc.ndim - 1, validate_args=False)
        super().__init__(Categorical(logits=logits, validate_args=False), each, validate_args=False)

    def log_prob(self, value: Float[Tensor, "*N"]) -> Tensor:
        """Log-density of each code, in nats; codes (*N, *code) give (*N)."""
        precise = value.dtype if value.device.type == "mps" else torch.float64
        loc, log_scale = self.loc.flatten(1).to(precise), self.log_scale.flatten(1).to(precise)
        z = value.flatten(value.ndim - self.loc.ndim + 1).to(precise)
        inverse = (-2 * log_scale).exp()
        distance = z.square() @ inverse.mT - 2 * z @ (inverse * loc).mT + (inverse * loc.square()).sum(1)
        constant = log_scale.sum(1) + 0.5 * loc.shape[1] * math.log(2 * math.pi)
        weight = self.mixture_distribution.logits.to(precise)
        return torch.logsumexp(weight - constant - 0.5 * distance, -1).to(value.dtype)

    def sample(self, sample_shape: Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Draws (*sample, *code), without gradient: first which component, then from it alone."""
        with torch.no_grad():
            which = self.mixture_distribution.sample(torch.Size(sample_shape))  # type: ignore[no-untyped-call]
            return torch.normal(self.loc[which], self.log_scale[which].exp())


class StandardNormal(nn.Module):
    r"""The standard normal :math:`\mathcal N(0, I)` over a code of any shape.

    >>> from isthmus.recipe import Recipe
    >>> model = Recipe().build((5,)).model
    >>> StandardNormal().distribution(model).event_shape
    torch.Size([16])
    """

    name = "standard_normal"

    def distribution(self, model: Model) -> Distribution:
        """The prior over one code of ``model``, on its device and in its precision."""
        zeros = model.like.new_zeros(code_of(model))
        return Independent(Normal(zeros, torch.ones_like(zeros), validate_args=False), zeros.ndim, validate_args=False)


class Mixture(nn.Module):
    r"""A learned mixture of diagonal Gaussians, :math:`p(z) = \sum_k \pi_k\,\mathcal N(z; \mu_k, \sigma_k^2)`.

    Weights, means and scales are parameters, trained with the model. At the start the weights are equal, the means
    are drawn from :math:`\mathcal N(0, \frac12 I)` and the variances are one half, so that the whole has the moments of
    the standard normal and the components lie apart.

    Args:
        size: width d of the code, a vector.
        components: K, at least 1.

    Raises:
        IncompatibleParts: a code without a size, that is a map.
        BadOption: no component.

    References:
        VAE with a VampPrior (Tomczak & Welling, 2018), which compares both
    """

    name = "mixture"

    def __init__(self, size: int | None, *, components: int = 10) -> None:
        super().__init__()
        if size is None:
            raise IncompatibleParts(
                "A mixture prior needs a vector code, but the code is a map without a size. Use --set latent.size=16, "
                "or prior.kind=vamp."
            )
        check_range("prior.components", components, 1, 1_000_000)
        self.logits = nn.Parameter(torch.zeros(components))
        self.loc = nn.Parameter(torch.randn(components, size) * math.sqrt(0.5))
        self.log_scale = nn.Parameter(torch.full((components, size), 0.5 * math.log(0.5)))

    def distribution(self, model: Model) -> Distribution:
        """The mixture as it is now, with its gradient.

        Raises:
            IncompatibleParts: the model's code has another shape.
        """
        code, size = code_of(model), self.loc.shape[1]
        if code != (size,):
            raise IncompatibleParts(
                f"The mixture prior is over codes of shape ({size},), but the model's code has shape {code}. Give both "
                "the same latent.size, and the net a vector code."
            )
        return GaussianMixture(self.logits, self.loc, self.log_scale)


class Vamp(nn.Module):
    r"""The VampPrior, the mixture of the posteriors of pseudo-inputs: :math:`p(z) = \frac1K \sum_k q(z \mid u_k)`.

    It is a compact stand-in for the aggregate posterior, which is the best prior there is. The pseudo-inputs
    :math:`u_k` start as training examples with a little noise (:meth:`meet`) and are trained with the model; where
    the data lies in [0, 1] so do they. Every pass encodes all of them, so K adds to a batch.

    Args:
        shape: shape of one example.
        components: K, at least 1.

    Raises:
        BadOption: no component.

    References:
        VAE with a VampPrior (Tomczak & Welling, 2018)
    """

    name = "vamp"
    needs = frozenset({Offer.DIAGONAL})

    def __init__(self, shape: Shape, *, components: int = 500) -> None:
        super().__init__()
        check_range("prior.components", components, 1, 1_000_000)
        self.inputs = nn.Parameter(torch.rand(components, *shape))
        self.register_buffer("bounds", torch.tensor([-math.inf, math.inf]))

    def meet(self, x: Float[Tensor, "N *D"]) -> None:
        """Start from training examples drawn without repetition as far as they last, and note their range."""
        rounds = [torch.randperm(len(x)) for _ in range(-(-len(self.inputs) // len(x)))]
        start = x[torch.cat(rounds)[: len(self.inputs)]]
        with torch.no_grad():
            # examples that serve twice must part ways
            self.inputs.copy_(start + JITTER * x.std(correction=0) * torch.randn_like(start))
            if x.min() >= 0 and x.max() <= 1:
                self.bounds.copy_(torch.tensor([0.0, 1.0]))  # type: ignore[operator]

    def distribution(self, model: Model) -> Distribution:
        """The mixture of the posteriors as they are now, with its gradient to pseudo-inputs and encoder.

        Raises:
            IncompatibleParts: a posterior that is no diagonal Gaussian.
        """
        # projected, not squashed: a squashed pixel would lose its gradient at 0 and 1, where most pixels are
        self.inputs.data.clamp_(*self.bounds)  # type: ignore[misc]
        q = model.posterior(self.inputs)
        if not isinstance(q, DiagonalGaussian):
            raise IncompatibleParts(
                f"The VampPrior mixes posteriors that are {Offer.DIAGONAL}, but the latent gave {type(q).__name__}. "
                "Use latent.kind=gaussian."
            )
        return GaussianMixture(q.loc.new_zeros(len(q.loc)), q.loc, q.log_scale)


class UniformCategorical(nn.Module):
    r"""The uniform prior over one-hot codes: each variable of a categorical latent has :math:`p(c) = 1/C`.

    References:
        Categorical reparameterization with Gumbel-softmax (Jang et al., 2017)

    >>> from isthmus.recipe import LatentPart, Recipe
    >>> model = Recipe(latent=LatentPart(kind="categorical", size=20)).build((5,)).model
    >>> round(UniformCategorical().distribution(model).log_prob(torch.eye(10).repeat(1, 2))[0].item(), 4)  # -2 log 10
    -4.6052
    """

    name = "uniform"

    def distribution(self, model: Model) -> Distribution:
        """The prior over one code of ``model``, on its device and in its precision.

        Raises:
            IncompatibleParts: the model's code is not one-hot.
        """
        classes = getattr(model.latent, "classes", None)
        if not isinstance(classes, int):
            raise IncompatibleParts(
                f"The uniform prior is over one-hot codes, but those of {type(model.latent).__name__} are not. Use "
                "--set latent.kind=categorical, or another prior.kind."
            )
        return OneHot(model.like.new_zeros(code_of(model)), classes, batch=0)


PRIORS: dict[str, type[nn.Module]] = {
    "standard_normal": StandardNormal,
    "mixture": Mixture,
    "vamp": Vamp,
    "uniform": UniformCategorical,
}
"""Priors by their name in a recipe."""
