r"""The record of one forward pass, and what each kind of part must be able to do.

.. math:: x \to \tilde x = \mathrm{corrupt}(x) \to q(z \mid \tilde x) \to z \to p(x \mid z)

The record lies below those who write it (the model) and those who read it (penalties), so no part has to know
another. What a penalty needs of a latent is declared (:class:`Offer`) and checked where they meet.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor, nn
from torch.distributions import Distribution

Shape = tuple[int, ...]
Gather = Callable[[Tensor], Tensor]
"""Joins the rows (axis 0) of all processes that share a batch, with their gradients.

A part that takes statistics over a batch has an attribute ``gather``, :func:`alone` at first; where several processes
train, the engine puts their collective there.
"""


class Offer(StrEnum):
    """What a latent can promise of its code, and a penalty may need."""

    REAL = "a code of real numbers"
    DENSITY = "a density q(z|x)"
    GAUSSIAN = "a Gaussian q(z|x)"
    DIAGONAL = "a diagonal Gaussian q(z|x)"
    UNIT_INTERVAL = "a code in [0, 1]"
    DIFFERENTIABLE = "a code that is a smooth function of the input"


def alone(values: Tensor) -> Tensor:
    """The collective of a single process: what is gathered is what is here."""
    return values


@dataclass(frozen=True)
class Trace:
    r"""One pass of a batch through a model.

    Attributes:
        x: clean input, shape (B, *D); the target.
        x_in: what the encoder saw, corrupt(x), shape (B, *D).
        q: posterior q(z | x_in).
        z: the code that was decoded, shape (B, *code).
        p: output distribution p(x | z) over shape *D.
        mask: where ``x_in`` was corrupted, True or False of the shape of ``x``; ``None`` where nothing was.
        progress: how far the run is, 0 to 1.
        population: number of training examples, 0 where unknown.
        gather: joins the batches of all processes; the identity on one.
    """

    x: Tensor
    x_in: Tensor
    q: Distribution
    z: Tensor
    p: Distribution
    mask: Tensor | None = None
    progress: float = 1.0
    population: int = 0
    gather: Gather = alone


@runtime_checkable
class Head(Protocol):
    """What turns a network's features into a distribution, and so decides how many features it needs."""

    def width(self, d: int) -> int:
        """Features needed along axis 1 for ``d`` values there."""
        ...

    def __call__(self, h: Tensor) -> Distribution:
        """The distribution that features (B, width(d), ...) describe."""
        ...


@runtime_checkable
class Latent(Protocol):
    """A head that gives the posterior q(z | x); ``progress`` is how far the run is, for what is annealed.

    A head may also bring a term of its own: ``own_name``, and ``own_term(model, trace)`` as a penalty of weight 1.
    """

    offers: frozenset[Offer]

    def width(self, d: int) -> int:
        """Features needed along axis 1 for ``d`` values there."""
        ...

    def __call__(self, h: Tensor, progress: float = 1.0) -> Distribution:
        """The posterior that features (B, width(d), ...) describe."""
        ...


@runtime_checkable
class Likelihood(Head, Protocol):
    """A head that gives p(x | z), and knows which data it can describe."""

    def check(self, x: Tensor) -> None:
        """Raise ``BadData`` where p cannot have produced ``x``."""
        ...


class Statistics(NamedTuple):
    """Mean (D,) and covariance (D, D) of flattened examples, in float64."""

    mean: Tensor
    covariance: Tensor


class Joint(NamedTuple):
    r"""How corrupted examples spread and hang together with clean ones.

    Attributes:
        mean: :math:`\mathbb E[\tilde x]`, shape (D,).
        cross: covariance of :math:`x` (rows) and :math:`\tilde x` (columns), shape (D, D).
        covariance: that of :math:`\tilde x`, shape (D, D).
    """

    mean: Tensor
    cross: Tensor
    covariance: Tensor


class Corrupted(NamedTuple):
    """A corrupted copy of a batch, and where it was touched (``None``: nowhere)."""

    x: Tensor
    mask: Tensor | None = None


@runtime_checkable
class Corruption(Protocol):
    """What is done to the input before the encoder sees it; the target stays clean."""

    def __call__(self, x: Tensor, progress: float = 1.0) -> Corrupted:
        """A corrupted copy of ``x``, of the same shape, and its mask."""
        ...


@runtime_checkable
class Model(Protocol):
    """What a penalty may ask of the model whose trace it judges."""

    encoder: nn.Module
    decoder: nn.Module
    latent: nn.Module
    likelihood: nn.Module
    code: Shape | None

    @property
    def like(self) -> Tensor:
        """A tensor of the model's device and precision."""
        ...

    def posterior(self, x_in: Tensor, progress: float = 1.0) -> Distribution:
        """The posterior q(z | x_in)."""
        ...

    def mean_code(self, x_in: Tensor) -> Tensor:
        """The mean of q(z | x_in) in full precision, with its gradient."""
        ...

    def output(self, z: Tensor) -> Distribution:
        """The output distribution p(x | z)."""
        ...


@runtime_checkable
class Prior(Protocol):
    """What the code is compared with, and what new codes are drawn from."""

    name: str

    def distribution(self, model: Model) -> Distribution:
        """The prior over one code of ``model``."""
        ...


@runtime_checkable
class Penalty(Protocol):
    r"""A term :math:`\Omega` of the objective, in nats (or as its docstring says), one value for each example.

    An adversarial penalty is a player too: it owns a module ``critic`` and a ``critic_loss(model, trace)``, of the same
    shape, and its own value never sends a gradient into the critic. A fidelity keeps the same protocol.
    """

    name: str
    needs: frozenset[Offer]

    def __call__(self, model: Model, trace: Trace) -> Tensor:
        """The penalty of each example, shape (B,), or of the whole batch, shape ()."""
        ...
