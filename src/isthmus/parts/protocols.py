r"""The trace of one forward pass, and the protocol of each kind of part.

.. math:: x \to \tilde x = \mathrm{corrupt}(x) \to q(z \mid \tilde x) \to z \to p(x \mid z)

The model writes the trace and the penalties read it, so no part depends on another. What a penalty requires of a
latent is declared (:class:`Capability`) and checked when an objective is built.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, NamedTuple, Protocol, TypeVar, runtime_checkable

from torch import Tensor, nn
from torch.distributions import Distribution

Shape = tuple[int, ...]
Gather = Callable[[Tensor], Tensor]
"""Concatenates the rows (axis 0) of all processes that share a batch, and passes gradients through.

A part that computes statistics over a batch has an attribute ``gather``, :func:`alone` by default; in distributed
training the engine sets it to a collective operation.
"""


class Capability(StrEnum):
    """Properties that a latent provides and a penalty or prior may require."""

    REAL = "a real-valued code"
    DENSITY = "a stochastic latent, with a density q(z|x)"
    GAUSSIAN = "a Gaussian latent"
    DIAGONAL = "a diagonal Gaussian latent"
    UNIT_INTERVAL = "a code in [0, 1]"
    DIFFERENTIABLE = "a code that is differentiable in the input"


ADVICE = {
    Capability.REAL: "latent.kind=deterministic",
    Capability.DENSITY: "latent.kind=gaussian",
    Capability.GAUSSIAN: "latent.kind=gaussian",
    Capability.DIAGONAL: "latent.kind=gaussian",
    Capability.UNIT_INTERVAL: "latent.activation=sigmoid with latent.kind=deterministic",
    Capability.DIFFERENTIABLE: "latent.kind=deterministic",
}
"""The option to set for a latent with each capability."""

T = TypeVar("T")
SUPPLIED = "supplied where parts are joined"
Supplied = Annotated[T, SUPPLIED]
"""An argument supplied when parts are joined (the shape of an example, the prior), and so not an option of a recipe."""


def alone(values: Tensor) -> Tensor:
    """The collective operation of a single process: returns ``values``."""
    return values


@dataclass(frozen=True)
class Trace:
    r"""One forward pass of a batch through a model.

    Attributes:
        x: clean input, shape (B, *D); the target. Missing values are NaN.
        x_in: input of the encoder, shape (B, *D): corrupt(x), or of the noisy partner of x where data comes in pairs;
            missing values are filled.
        q: posterior q(z | x_in).
        z: the code that is decoded, shape (B, *code).
        p: output distribution p(x | z) over shape *D.
        mask: boolean, of the shape of ``x``, True where ``x_in`` was corrupted; ``None`` without corruption.
        progress: fraction of the run that is done, 0 to 1.
        population: number of training examples, 0 if unknown.
        gather: concatenates the batches of all processes; the identity for a single process.
        h: features of the decoder, whose distribution is ``p``; ``None`` if they are not known.
        shared: results of one term that another call of it uses, by the term.
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
    h: Tensor | None = None
    shared: dict[object, Tensor] = field(default_factory=dict)


class ModuleLike(Protocol):
    """The members of ``nn.Module`` that are used; every part derives from ``nn.Module``."""

    training: bool

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """Trainable parameters."""
        ...

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Tensors that are saved but not trained."""
        ...

    def modules(self) -> Iterator[nn.Module]:
        """The part and all modules in it."""
        ...


@runtime_checkable
class Head(ModuleLike, Protocol):
    """A module that maps the features of a network to a distribution, and sets how many features it takes."""

    def width(self, d: int) -> int:
        """Number of features along axis 1 for ``d`` values."""
        ...

    def __call__(self, h: Tensor) -> Distribution:
        """The distribution with features (B, width(d), ...) as its parameters."""
        ...


@runtime_checkable
class Latent(ModuleLike, Protocol):
    """A head for the posterior q(z | x); ``progress`` is the fraction of the run that is done, for annealing."""

    provides: frozenset[Capability]

    def width(self, d: int) -> int:
        """Number of features along axis 1 for ``d`` values."""
        ...

    def __call__(self, h: Tensor, progress: float = 1.0) -> Distribution:
        """The posterior with features (B, width(d), ...) as its parameters."""
        ...


@runtime_checkable
class Likelihood(Head, Protocol):
    """A head for p(x | z), which checks that the data is in its support.

    A likelihood of values in an interval states it as ``support`` (:class:`isthmus.parts.hooks.HasSupport`).
    """

    def check(self, x: Tensor) -> None:
        """Raise ``BadData`` if ``x`` is outside the support of p."""
        ...


class Corrupted(NamedTuple):
    """A corrupted batch, the mask of corrupted values (``None`` without corruption), and the target.

    The target is the uncorrupted batch where it is ``None``.
    """

    x: Tensor
    mask: Tensor | None = None
    target: Tensor | None = None


@runtime_checkable
class Corruption(ModuleLike, Protocol):
    """Noise applied to the input of the encoder; the target stays clean."""

    def __call__(self, x: Tensor, progress: float = 1.0) -> Corrupted:
        """A corrupted copy of ``x``, of the same shape, its mask, and a target of its own where it has one."""
        ...


@runtime_checkable
class Model(Protocol):
    """The members of a model that penalties and priors may use."""

    encoder: nn.Module
    decoder: nn.Module
    latent: Latent
    likelihood: Likelihood
    code_shape: Shape | None

    @property
    def like(self) -> Tensor:
        """An empty tensor on the model's device and in its precision."""
        ...

    def filled(self, x: Tensor) -> Tensor:
        """``x`` with other values in place of missing ones; ``x`` itself if none can be missing."""
        ...

    def posterior(self, x_in: Tensor, progress: float = 1.0) -> Distribution:
        """The posterior q(z | x_in)."""
        ...

    def mean_code(self, x_in: Tensor) -> Tensor:
        """The mean of q(z | x_in) in full precision, with gradient."""
        ...

    def decoded(self, z: Tensor) -> Tensor:
        """The features of the decoder, the parameters of p(x | z)."""
        ...

    def output_of(self, h: Tensor) -> Distribution:
        """The output distribution with features h of the decoder."""
        ...

    def output(self, z: Tensor) -> Distribution:
        """The output distribution p(x | z)."""
        ...


@runtime_checkable
class Prior(ModuleLike, Protocol):
    """A distribution p(z) that penalties compare the code with, and that new codes are sampled from."""

    name: str

    def distribution(self, model: Model) -> Distribution:
        """The prior over one code of ``model``."""
        ...


@runtime_checkable
class Penalty(ModuleLike, Protocol):
    r"""A term :math:`\Omega` of the objective, in nats unless stated otherwise. Fidelities share the protocol."""

    name: str
    requires: frozenset[Capability]

    def __call__(self, model: Model, trace: Trace) -> Tensor:
        """The penalty per example, shape (B,), or of the whole batch, shape ()."""
        ...
