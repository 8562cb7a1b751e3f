r"""Priors :math:`p(z)`: the distribution that penalties compare the code with, and that new codes are sampled from.

:class:`StandardNormal` and :class:`UniformCategorical` are fixed. :class:`Mixture` is a learned mixture of Gaussians;
:class:`Vamp` is the mixture of the posteriors of learned pseudo-inputs.
"""

import math

import torch
from jaxtyping import Float
from torch import Size, Tensor, nn
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, Normal

from isthmus.distributions import DiagonalGaussian, OneHot
from isthmus.errors import IncompatibleParts, ShapeError, check_range
from isthmus.parts.hooks import OneHotCode
from isthmus.parts.protocols import Capability, Model, Shape, Supplied

JITTER = 0.01
"""Standard deviation of the noise on initial pseudo-inputs, in units of the standard deviation of the data."""


def code_of(model: Model) -> Shape:
    """The shape of one code.

    Raises:
        ShapeError: the shape of the code is not known yet.
    """
    if model.code_shape is None:
        raise ShapeError(
            "The shape of the code is unknown, because the model has not been fitted. Fit it, or call "
            "model.dry_run((1, 28, 28)) with the shape of one example."
        )
    return model.code_shape


class GaussianMixture(MixtureSameFamily):
    r"""A mixture of K diagonal Gaussians over codes of any shape, :math:`\sum_k \pi_k\,\mathcal N(\mu_k, \sigma_k^2)`.

    Unlike ``MixtureSameFamily`` it never allocates N x K x d values: the squared distances
    :math:`\sum_i (z_i - \mu_{ki})^2 / \sigma_{ki}^2` are expanded into two matrix products. These lose precision where
    :math:`|z| \gg \sigma`, so they are computed in double precision where the device supports it.

    Args:
        logits: unnormalized logarithms of the weights :math:`\pi`, shape (K,).
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
        components = Independent(Normal(loc, log_scale.exp(), validate_args=False), loc.ndim - 1, validate_args=False)
        super().__init__(Categorical(logits=logits, validate_args=False), components, validate_args=False)

    def log_prob(self, value: Float[Tensor, "*N"]) -> Tensor:
        """Log-density of each code, in nats; codes of shape (*N, *code) give shape (*N)."""
        precise = value.dtype if value.device.type == "mps" else torch.float64
        loc, log_scale = self.loc.flatten(1).to(precise), self.log_scale.flatten(1).to(precise)
        z = value.flatten(value.ndim - self.loc.ndim + 1).to(precise)
        inverse = (-2 * log_scale).exp()
        distance = z.square() @ inverse.mT - 2 * z @ (inverse * loc).mT + (inverse * loc.square()).sum(1)
        constant = log_scale.sum(1) + 0.5 * loc.shape[1] * math.log(2 * math.pi)
        weight = self.mixture_distribution.logits.to(precise)
        return torch.logsumexp(weight - constant - 0.5 * distance, -1).to(value.dtype)

    def sample(self, sample_shape: Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Samples of shape (*sample, *code), without gradient: a component, then a code from it."""
        with torch.no_grad():
            component = self.mixture_distribution.sample(torch.Size(sample_shape))  # type: ignore[no-untyped-call]
            return torch.normal(self.loc[component], self.log_scale[component].exp())


class StandardNormal(nn.Module):
    r"""The standard normal :math:`\mathcal N(0, I)` over a code of any shape.

    >>> from isthmus.models.recipe import Recipe
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

    Weights, means and standard deviations are parameters, trained with the model. Initially the weights are equal, the
    means are sampled from :math:`\mathcal N(0, \frac12 I)` and the variances are one half, so that the mixture has the
    moments of the standard normal and distinct components.

    Args:
        size: size d of the code, which must be a vector.
        components: number of components K, at least 1.

    Raises:
        IncompatibleParts: the code is a feature map, which has no size.
        BadOption: ``components`` out of range.

    References:
        VAE with a VampPrior (Tomczak & Welling, 2018), which compares both
    """

    name = "mixture"

    def __init__(self, size: Supplied[int | None], *, components: int = 10) -> None:
        super().__init__()
        if size is None:
            raise IncompatibleParts(
                "A mixture prior requires a vector code, but the code is a feature map. Set latent.size=16, or use "
                "prior.kind=vamp."
            )
        check_range("prior.components", components, 1, 1_000_000)
        self.logits = nn.Parameter(torch.zeros(components))
        self.loc = nn.Parameter(torch.randn(components, size) * math.sqrt(0.5))
        self.log_scale = nn.Parameter(torch.full((components, size), 0.5 * math.log(0.5)))

    def distribution(self, model: Model) -> Distribution:
        """The mixture with its current parameters, and their gradient.

        Raises:
            IncompatibleParts: the model's code has another shape.
        """
        code, size = code_of(model), self.loc.shape[1]
        if code != (size,):
            raise IncompatibleParts(
                f"The mixture prior is over codes of shape ({size},), but the model's code has shape {code}. Use a net "
                "with a vector code, and the same size for both."
            )
        return GaussianMixture(self.logits, self.loc, self.log_scale)


class Vamp(nn.Module):
    r"""The VampPrior, the mixture of the posteriors of pseudo-inputs: :math:`p(z) = \frac1K \sum_k q(z \mid u_k)`.

    It approximates the aggregate posterior, which is the optimal prior. The pseudo-inputs :math:`u_k` are initialized
    to training examples plus a little noise (:meth:`init_from_data`) and trained with the model; where the data lies in
    [0, 1], they are kept in [0, 1]. Every forward pass encodes all K of them in addition to the batch. Requires a
    diagonal Gaussian posterior.

    Args:
        shape: shape of one example.
        components: number of pseudo-inputs K, at least 1.

    Raises:
        BadOption: ``components`` out of range.

    References:
        VAE with a VampPrior (Tomczak & Welling, 2018)
    """

    name = "vamp"
    requires = frozenset({Capability.DIAGONAL})
    bounds: Tensor

    def __init__(self, shape: Supplied[Shape], *, components: int = 500) -> None:
        super().__init__()
        check_range("prior.components", components, 1, 1_000_000)
        self.inputs = nn.Parameter(torch.rand(components, *shape))
        self.register_buffer("bounds", torch.tensor([-math.inf, math.inf]))

    def init_from_data(self, x: Float[Tensor, "N *D"]) -> None:
        """Initialize the pseudo-inputs with random training examples, repeated only if there are too few."""
        rounds = [torch.randperm(len(x)) for _ in range(-(-len(self.inputs) // len(x)))]
        start = x[torch.cat(rounds)[: len(self.inputs)]]
        with torch.no_grad():
            # noise, so that pseudo-inputs from the same example do not stay equal
            self.inputs.copy_(start + JITTER * x.std(correction=0) * torch.randn_like(start))
            if x.min() >= 0 and x.max() <= 1:
                self.bounds.copy_(torch.tensor([0.0, 1.0]))

    def distribution(self, model: Model) -> Distribution:
        """The mixture of the current posteriors, with gradients to pseudo-inputs and encoder.

        Raises:
            IncompatibleParts: the posterior is not a diagonal Gaussian.
        """
        # clamped, not passed through a sigmoid, whose gradient vanishes at 0 and 1, where most pixels are
        self.inputs.data.clamp_(self.bounds[0], self.bounds[1])
        q = model.posterior(self.inputs)
        if not isinstance(q, DiagonalGaussian):
            raise IncompatibleParts(
                f"The VampPrior requires {Capability.DIAGONAL}, but the posterior is {type(q).__name__}. Use "
                "latent.kind=gaussian."
            )
        return GaussianMixture(q.loc.new_zeros(len(q.loc)), q.loc, q.log_scale)


class UniformCategorical(nn.Module):
    r"""The uniform prior over one-hot codes: :math:`p(c) = 1/C` for each variable of a categorical latent.

    References:
        Categorical reparameterization with Gumbel-softmax (Jang et al., 2017)

    >>> from isthmus.models.recipe import LatentPart, Recipe
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
        if not isinstance(model.latent, OneHotCode):
            raise IncompatibleParts(
                f"The uniform prior requires one-hot codes, but those of {type(model.latent).__name__} are not. Use "
                "latent.kind=categorical, or another prior.kind."
            )
        return OneHot(model.like.new_zeros(code_of(model)), model.latent.classes, batch=0)


PRIORS: dict[str, type[nn.Module]] = {
    "standard_normal": StandardNormal,
    "mixture": Mixture,
    "vamp": Vamp,
    "uniform": UniformCategorical,
}
"""Priors by name in a recipe."""
