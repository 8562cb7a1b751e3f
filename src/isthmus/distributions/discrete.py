r"""Distributions over discrete codes, with straight-through gradients.

One-hot codes are sampled by the Gumbel-max trick: :math:`\arg\max_c (l_c + g_c)` with Gumbel noise g has probabilities
:math:`\mathrm{softmax}(l)`; a softmax with temperature :math:`\tau` instead of the maximum provides a gradient. A
quantized code is a point mass at the nearest codewords, with the gradient copied to the features.
"""

import torch
from jaxtyping import Float, Int
from torch import Size, Tensor
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint

from isthmus.distributions.basic import Dirac
from isthmus.errors import IncompatibleParts


def straight_through(value: Float[Tensor, "*N"], features: Float[Tensor, "*N"]) -> Float[Tensor, "*N"]:
    """``value``, with the gradient of ``features`` (straight-through estimator).

    >>> h = torch.tensor([0.3], requires_grad=True)
    >>> straight_through(h.round(), 2 * h).backward()
    >>> h.grad.item()
    2.0
    """
    # the bracket is exactly zero, so the value is exact; features + (value - features) would be rounded
    return value.detach() + (features - features.detach())


class OneHot(Distribution):
    r"""Independent categorical variables, each a one-hot group of ``classes`` adjacent values on the axis of the code.

    A code of d values has d / classes variables, at each position if it has further axes. :meth:`log_prob` is a
    log-probability, :math:`\sum_g \sum_c z_{gc} \log \pi_{gc}`, in nats. Samples of :meth:`rsample` are one-hot with
    the gradient of :math:`\mathrm{softmax}((l + g) / \tau)`, or equal to it if ``hard`` is false. With decreasing
    :math:`\tau` the bias of the gradient decreases and its variance increases.

    Args:
        logits: unnormalized log-probabilities l, shape (*B, d, *space).
        classes: values in a group; d is a multiple of it.
        temperature: :math:`\tau > 0` of the relaxation.
        hard: whether samples of :meth:`rsample` are one-hot.
        batch: number of leading batch axes.

    References:
        Categorical reparameterization with Gumbel-softmax (Jang et al., 2017), equations 1 and 2
        The concrete distribution: a continuous relaxation of discrete random variables (Maddison et al., 2017)

    >>> q = OneHot(torch.zeros(5, 6), 3)
    >>> q.sample().unflatten(1, (2, 3)).sum(2).equal(torch.ones(5, 2))
    True
    >>> round(q.log_prob(q.sample())[0].item(), 4)  # -2 log 3
    -2.1972
    """

    has_rsample = True
    arg_constraints: dict[str, Constraint] = {}  # noqa: RUF012  torch's own way to declare constraints

    def __init__(
        self,
        logits: Float[Tensor, "*shape"],
        classes: int,
        *,
        temperature: float | Tensor = 1.0,
        hard: bool = True,
        batch: int = 1,
    ) -> None:
        super().__init__(logits.shape[:batch], logits.shape[batch:], validate_args=False)
        self.classes, self.temperature, self.hard = classes, temperature, hard
        # negative, so that leading sample axes do not matter: the axis of classes after the split into groups
        self._axis = -len(self.event_shape)
        self._logits = self._split(logits).log_softmax(self._axis)

    @property
    def logits(self) -> Tensor:
        """Log-probabilities, of the shape of a code."""
        return self._joined(self._logits)

    @property
    def mean(self) -> Tensor:
        """The class probabilities, of the shape of a code."""
        return self._joined(self._logits.exp())

    @property
    def mode(self) -> Tensor:
        """The most probable code, one-hot."""
        return self._joined(self._peak(self._logits))

    @property
    def variance(self) -> Tensor:
        """Variance of each value, p (1 - p)."""
        p = self.mean
        return p * (1 - p)

    def rsample(self, sample_shape: Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Samples with the gradient of the relaxation, shape (*sample, *B, d, *space); one-hot if ``hard``."""
        noisy = self._noisy(sample_shape)
        soft = torch.softmax(noisy / self.temperature, self._axis)
        return self._joined(straight_through(self._peak(noisy), soft) if self.hard else soft)

    def sample(self, sample_shape: Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """One-hot samples, shape (*sample, *B, d, *space), without gradient."""
        with torch.no_grad():
            return self._joined(self._peak(self._noisy(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-probability of each one-hot code, in nats, shape (*sample, *B)."""
        return self._summed(self._split(value) * self._logits)

    def entropy(self) -> Tensor:
        """Entropy per example, in nats, shape (*B)."""
        return -self._summed(self._logits.exp() * self._logits)

    def kl_to(self, prior: Distribution) -> Tensor:
        r"""KL divergence :math:`\sum_{gc} \pi_{gc} \log(\pi_{gc} / p_{gc})` from a prior, in nats, shape (*B).

        Raises:
            IncompatibleParts: the prior is not over one-hot codes with the same classes.
        """
        if not isinstance(prior, OneHot) or (prior.classes, prior.event_shape) != (self.classes, self.event_shape):
            raise IncompatibleParts(
                f"A categorical latent requires a prior over one-hot codes with the same {self.classes} classes, but "
                f"the prior is {type(prior).__name__}. Use prior.kind=uniform."
            )
        return self._summed(self._logits.exp() * (self._logits - prior._logits))

    def _noisy(self, sample_shape: Size | list[int] | tuple[int, ...]) -> Tensor:
        shape = Size(sample_shape) + self._logits.shape
        exponential = torch.empty(shape, dtype=self._logits.dtype, device=self._logits.device).exponential_()
        # a sample may be rounded to 0, whose logarithm is infinite
        return self._logits - exponential.clamp_min_(torch.finfo(exponential.dtype).tiny).log_()

    def _peak(self, scores: Tensor) -> Tensor:
        """One-hot at the maximum of each group."""
        index = scores.argmax(self._axis, keepdim=True)
        return torch.zeros_like(scores).scatter_(self._axis, index, 1.0)

    def _split(self, value: Tensor) -> Tensor:
        """The axis of the code as (groups, classes)."""
        return torch.unflatten(value, self._axis, (-1, self.classes))

    def _joined(self, value: Tensor) -> Tensor:
        return value.flatten(self._axis - 1, self._axis)

    def _summed(self, value: Tensor) -> Tensor:
        """Sum over groups, classes and space."""
        return value.flatten(self._axis - 1).sum(-1)


class NearestCodeword(Dirac):
    """The point mass at the nearest codewords, which also stores the features.

    Its value is ``codeword``; the gradient is copied to ``features``.

    Args:
        features: output of the encoder, shape (B, d, *space).
        codeword: the nearest codewords, of the same shape; with gradient if the codebook is trained by gradient.
        index: index of each codeword in the codebook, shape (B, groups, *space).

    References:
        Neural discrete representation learning (van den Oord et al., 2017), section 3.2
    """

    def __init__(
        self,
        features: Float[Tensor, "B d *space"],
        codeword: Float[Tensor, "B d *space"],
        index: Int[Tensor, "B groups *space"],
    ) -> None:
        super().__init__(straight_through(codeword, features))
        self.features, self.codeword, self.index = features, codeword, index
