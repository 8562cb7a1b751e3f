r"""Distributions over discrete codes, whose draws carry a gradient all the same.

One-hot codes are drawn by the Gumbel trick: :math:`\arg\max_c (l_c + g_c)` with Gumbel noise g has probabilities
:math:`\mathrm{softmax}(l)`, and a softmax of temperature :math:`\tau` in place of the maximum has a gradient. A code
from a finite set of vectors is a point mass on the nearest of them. Both pass the gradient straight through the
choice, whose own gradient is zero.
"""

import torch
from jaxtyping import Float, Int
from torch import Size, Tensor
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint

from isthmus.distributions.basic import Dirac
from isthmus.errors import IncompatibleParts


def straight_through(value: Float[Tensor, "*N"], features: Float[Tensor, "*N"]) -> Float[Tensor, "*N"]:
    """``value`` exactly, with the gradient that ``features`` would have.

    >>> h = torch.tensor([0.3], requires_grad=True)
    >>> straight_through(h.round(), 2 * h).backward()
    >>> h.grad.item()
    2.0
    """
    # the bracket is zero exactly, so the value keeps every bit; features + (value - features) would not
    return value.detach() + (features - features.detach())


class OneHot(Distribution):
    r"""Independent categorical variables, each a one-hot group of ``classes`` neighbours on the axis of the code.

    A code of d values holds d / classes variables; where it has further axes, so many at each position.
    :meth:`log_prob` is the logarithm of a probability, :math:`\sum_g \sum_c z_{gc} \log \pi_{gc}`, in nats. Draws of
    :meth:`rsample` are :math:`\mathrm{softmax}((l + g) / \tau)`, in the backward pass always, in the forward pass
    where ``hard`` is false; that gradient is biased, less so as :math:`\tau` falls, while its variance grows.

    Args:
        logits: l, shape (*B, d, *space); any constant may be added within a group.
        classes: values in a group; d is a multiple of it.
        temperature: :math:`\tau > 0` of the relaxation.
        hard: draw one-hot codes in the forward pass too.
        batch: how many leading axes count examples.

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
        temperature: float = 1.0,
        hard: bool = True,
        batch: int = 1,
    ) -> None:
        super().__init__(logits.shape[:batch], logits.shape[batch:], validate_args=False)
        self.classes, self.temperature, self.hard = classes, temperature, hard
        # counted from the end: the axis of the classes in tensors split into groups
        self._axis = -len(self.event_shape)
        self._logits = self._split(logits).log_softmax(self._axis)

    @property
    def logits(self) -> Tensor:
        """Logarithms of the probabilities, of the shape of a code."""
        return self._joined(self._logits)

    @property
    def mean(self) -> Tensor:
        """The probabilities."""
        return self._joined(self._logits.exp())

    @property
    def mode(self) -> Tensor:
        """The most probable code, one-hot."""
        return self._joined(self._peak(self._logits))

    @property
    def variance(self) -> Tensor:
        """Of each value: p (1 - p)."""
        p = self.mean
        return p * (1 - p)

    def rsample(self, sample_shape: Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Draws with the gradient of the relaxation, shape (*sample, *B, d, *space); one-hot where ``hard``."""
        noisy = self._noisy(sample_shape)
        soft = torch.softmax(noisy / self.temperature, self._axis)
        return self._joined(straight_through(self._peak(noisy), soft) if self.hard else soft)

    def sample(self, sample_shape: Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """One-hot draws without gradient."""
        with torch.no_grad():
            return self._joined(self._peak(self._noisy(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-probability of each one-hot code, in nats."""
        return self._summed(self._split(value) * self._logits)

    def entropy(self) -> Tensor:
        """Entropy of each example, in nats."""
        return -self._summed(self._logits.exp() * self._logits)

    def kl_to(self, prior: Distribution) -> Tensor:
        r"""KL divergence :math:`\sum_{gc} \pi_{gc} \log(\pi_{gc} / p_{gc})` from a prior over such codes, in nats.

        Raises:
            IncompatibleParts: the prior is not over one-hot codes of as many classes.
        """
        if not isinstance(prior, OneHot) or (prior.classes, prior.event_shape) != (self.classes, self.event_shape):
            raise IncompatibleParts(
                f"A categorical code of {self.classes} classes has a divergence from a prior over the same one-hot "
                f"codes alone, but was compared with {type(prior).__name__}. Use --set prior.kind=uniform."
            )
        return self._summed(self._logits.exp() * (self._logits - prior._logits))

    def _noisy(self, sample_shape: Size | list[int] | tuple[int, ...]) -> Tensor:
        shape = Size(sample_shape) + self._logits.shape
        exponential = torch.empty(shape, dtype=self._logits.dtype, device=self._logits.device).exponential_()
        # the generator may round a draw to 0, whose logarithm would spoil the softmax
        return self._logits - exponential.clamp_min_(torch.finfo(exponential.dtype).tiny).log_()

    def _peak(self, scores: Tensor) -> Tensor:
        """One-hot at the largest of each group."""
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
    """The point mass on the nearest codewords, which remembers the features it stands for.

    Its value is ``codeword`` exactly; the gradient goes to ``features`` unchanged.

    Args:
        features: what the encoder gave, shape (B, d, *space).
        codeword: the nearest codewords, of the same shape, with their gradient to the codebook where it learns by one.
        index: which codeword each is, shape (B, groups, *space).

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
