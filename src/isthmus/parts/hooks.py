r"""Optional hooks: protocols that a part may implement in addition to the protocol of its kind.

A hook is recognized by its members; nothing has to be registered.
"""

from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor, nn
from torch.distributions import Distribution

from isthmus.parts.protocols import Capability, Gather, Model, Prior, Shape, Trace


@runtime_checkable
class InitializedFromData(Protocol):
    """Any part that is initialized from the training examples, once, before the first step.

    A likelihood is given the targets, in which missing values are NaN; any other part the inputs of the encoder. A part
    that needs them with some of its options only has an attribute ``needs_data``.
    """

    def init_from_data(self, x: Tensor) -> None:
        """Set initial values from training examples (N, *D)."""
        ...


@runtime_checkable
class GathersBatches(Protocol):
    """Any part that computes statistics over a batch: in distributed training the engine sets ``gather``."""

    gather: Gather


@runtime_checkable
class HasAttention(Protocol):
    """An encoder whose features are the expected positions under attention maps, which sum to 1."""

    def attention(self, x: Tensor) -> Tensor:
        """The attention of each point in images (..., C, H, W), shape (..., K, h, w)."""
        ...


@runtime_checkable
class HasAuxiliaryLoss(Protocol):
    """A latent with an auxiliary loss (commitment, dead units), added to the objective with weight 1 under its name."""

    auxiliary_name: str

    def auxiliary_loss(self, model: Model, trace: Trace) -> Tensor:
        """The auxiliary loss per example, shape (B,)."""
        ...


@runtime_checkable
class HasActivation(Protocol):
    """A latent whose mean is an activation of the features, named as in :data:`isthmus.functional.ACTIVATIONS`."""

    activation: str


@runtime_checkable
class Idempotent(Protocol):
    """A latent that leaves a code as it is, so that its mean is the projection of any features to a code."""

    idempotent: bool


@runtime_checkable
class HasSymbols(Protocol):
    """A latent whose code consists of discrete symbols, integers from 0 to ``symbols`` - 1."""

    @property
    def symbols(self) -> int:
        """Number of different symbols."""
        ...

    def to_symbols(self, z: Tensor) -> Tensor:
        """The symbols of codes (B, *code), shape (B, n)."""
        ...

    def from_symbols(self, symbols: Tensor, code: Shape) -> Tensor:
        """The codes (B, *code) of symbols (B, n), which ``to_symbols`` gives back."""
        ...


@runtime_checkable
class OneHotCode(Protocol):
    """A latent whose code consists of one-hot groups of ``classes`` values."""

    classes: int


@runtime_checkable
class Discrete(Protocol):
    """A likelihood that is a mass function if ``discrete`` is true, so that bits per dimension are defined."""

    discrete: bool


@runtime_checkable
class HasSupport(Protocol):
    """A likelihood of values in an interval; without this hook all real numbers are in the support.

    ``support`` is the closed interval of the values, in units of the model's input, or ``None`` for all real numbers.
    Examples outside are clipped to it where they are scored (:mod:`isthmus.metrics.scores`).
    """

    support: tuple[float, float] | None


@runtime_checkable
class IdentityMean(Protocol):
    """A likelihood whose mean is its first features, as they are: one per value, in units of the data."""

    identity_mean: bool


@runtime_checkable
class AnySize(Protocol):
    """An encoder that takes examples of any size, of which large ones are processed in tiles.

    Attributes:
        stride: side of a position of the code, in pixels.
        reach: how far a value of the input can influence one of the output of the decoder, in pixels.
        noise_input: whether it sees the noise level of each example.
        noise_level: standard deviation of the noise, (B,) or (1,); estimated from each example if ``None``.
    """

    stride: int
    reach: int
    noise_input: bool
    noise_level: Tensor | None


@runtime_checkable
class Crops(Protocol):
    """A decoder that crops its output to ``size``, unless that is ``None``."""

    size: Shape | None


@runtime_checkable
class UsesPrior(Protocol):
    """A penalty or fidelity that compares the code with a prior, from which new codes can then be sampled."""

    prior: Prior


@runtime_checkable
class Divergence(Protocol):
    """A penalty that measures the divergence of posterior and prior, which the importance bound already contains."""

    is_divergence: bool


@runtime_checkable
class Adversary(Protocol):
    """A penalty that trains a critic; the value of the penalty has no gradient with respect to the critic.

    Attributes:
        critic: the critic's network.
        critic_lr_ratio: its learning rate divided by that of the autoencoder.
        critic_betas: decay rates of its Adam. What a critic tells apart changes, so its averages are short.
    """

    critic: nn.Module
    critic_lr_ratio: float
    critic_betas: tuple[float, float]

    def critic_loss(self, model: Model, trace: Trace) -> Tensor:
        """The critic's loss on detached codes, shape (B,)."""
        ...


@runtime_checkable
class MakesTrace(Protocol):
    """A fidelity with a forward pass of its own, instead of one that encodes and decodes the examples."""

    def trace(self, model: Model, x: Tensor, progress: float, population: int, gather: Gather) -> Trace:
        """The forward pass for a batch of examples (B, *D)."""
        ...


@runtime_checkable
class UsesPairs(Protocol):
    """A penalty that, if ``pairs`` is true, compares each example with the output of its own code."""

    pairs: bool


@runtime_checkable
class TrainsDecoder(Protocol):
    """A penalty that trains the decoder without a likelihood."""

    trains_decoder: bool


@runtime_checkable
class ComparesFeatures(Protocol):
    """A penalty that compares features of a fixed network, which is trained before the autoencoder.

    Attributes:
        comparator: the network, which maps examples to a list of features; its last one is a vector.
        learns: on what it is trained: ``exemplars`` or ``labels``, or ``none`` for a network that is ready.
    """

    comparator: nn.Module
    learns: str

    def calibrate(self, x: Tensor) -> None:
        """Set the scale of each feature from examples (N, *D), after the network has been trained."""
        ...


@runtime_checkable
class RestrictsLatent(Protocol):
    """A prior that requires capabilities of the latent."""

    requires: frozenset[Capability]


@runtime_checkable
class HasClosedFormKL(Protocol):
    """A posterior whose KL divergence from some priors has a closed form."""

    def kl_to(self, prior: Distribution) -> Tensor | None:
        """KL divergence per example, in nats, shape (B,); ``None`` if no closed form is known."""
        ...


class MeanAndCovariance(NamedTuple):
    """Mean (D,) and covariance (D, D) of flattened examples, in float64."""

    mean: Tensor
    covariance: Tensor


class CorruptionMoments(NamedTuple):
    r"""Mean, covariance and cross-covariance of corrupted examples.

    Attributes:
        mean: :math:`\mathbb E[\tilde x]`, shape (D,).
        cross: covariance of :math:`x` (rows) and :math:`\tilde x` (columns), shape (D, D).
        covariance: covariance of :math:`\tilde x`, shape (D, D).
    """

    mean: Tensor
    cross: Tensor
    covariance: Tensor


@runtime_checkable
class HasMoments(Protocol):
    """A corruption whose effect on mean and covariance has a closed form, and hence the optimal linear denoiser."""

    def moments(self, clean: MeanAndCovariance) -> CorruptionMoments:
        """Moments of corrupted examples, given those of clean examples.

        Raises:
            IncompatibleParts: the moments have no closed form.
        """
        ...


@runtime_checkable
class HasOwnTarget(Protocol):
    """A corruption of examples that are not clean, which gives a target of its own."""

    def target_variance(self, x: Tensor) -> Tensor:
        """The variance of the noise of each target, (B, 1, ...)."""
        ...


def requirements_of(prior: Prior) -> frozenset[Capability]:
    """The capabilities that a prior requires of the latent; none for most priors."""
    return prior.requires if isinstance(prior, RestrictsLatent) else frozenset()
