r"""The training objective, in nats per example.

.. math:: \mathbb E\left[-\log p(x \mid z)\right] + \sum_i \lambda_i\,\Omega_i, \quad z \sim q(z \mid \tilde x)
"""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from jaxtyping import Float
from torch import Tensor, nn

from isthmus.errors import BadOption, IncompatibleParts
from isthmus.models.autoencoder import Autoencoder, inference
from isthmus.models.missing import accept, check_initialized
from isthmus.models.seeding import seeded
from isthmus.parts.fidelities import ImportanceWeighted, LogLikelihood
from isthmus.parts.hooks import (
    Adversary,
    Divergence,
    HasAuxiliaryLoss,
    InitializedFromData,
    MakesTrace,
    TrainsDecoder,
    UsesPairs,
    UsesPrior,
)
from isthmus.parts.protocols import ADVICE, Capability, Gather, Penalty, Shape, Trace, alone
from isthmus.parts.schedules import Moment, Schedule

if TYPE_CHECKING:

    class PenaltyModule(nn.Module):
        """A penalty as a module."""

        name: str
        requires: frozenset[Capability]


TAKEN = frozenset({"reconstruction", "bound", "loss"})
AUTOENCODER = "autoencoder"
CRITIC = "_critic"
"""Suffix of the name of a critic, after the name of its penalty."""
FROZEN: dict[str, tuple[str, ...]] = {
    "all": (),
    "encoder": ("decoder", "likelihood"),
    "decoder": ("encoder", "latent", "corruption", "prior"),
}
"""Parts of the model that do not change in each stage of training."""


class Loss(NamedTuple):
    """A loss and its unweighted terms by name, each the mean over the batch, in nats per example.

    ``critics`` are the losses of the critics of adversarial penalties. The gradients of ``total`` and of the critics
    are separate, so one backward pass through their sum trains autoencoder and critics.
    """

    total: Tensor
    terms: dict[str, Tensor]
    critics: dict[str, Tensor]


class Objective(nn.Module):
    r"""The objective of an autoencoder: negative log-likelihood plus weighted penalties.

    The auxiliary loss of a latent (commitment, dead units) is added with weight 1, under its own name.

    Args:
        model: the autoencoder.
        penalties: penalties with their weights :math:`\lambda \ge 0`, each a number or a :class:`Schedule`.
        fidelity: the reconstruction term; :math:`-\log p(x \mid z)` by default.

    Raises:
        IncompatibleParts: a part requires a capability that the latent does not provide, or two parts contain the
            same term.
        BadOption: a weight below zero.

    >>> import torch
    >>> from isthmus import latents, likelihoods, nets, penalties, priors
    >>> latent, likelihood = latents.Gaussian(), likelihoods.Bernoulli()
    >>> encoder, decoder, _ = nets.mlp((12,), 2, latent, likelihood, widths=(8,))
    >>> model = Autoencoder(encoder, decoder, latent, likelihood, shape=(12,))
    >>> objective = Objective(model, {penalties.KL(priors.StandardNormal()): 1.0})
    >>> sorted(objective(torch.rand(4, 12)).terms)
    ['kl', 'reconstruction']
    """

    def __init__(
        self,
        model: Autoencoder,
        penalties: Mapping[nn.Module, float | Schedule] | None = None,
        fidelity: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.fidelity = _checked(model, LogLikelihood() if fidelity is None else fidelity, "fidelity")
        self.fidelity_name = self.fidelity.name
        if model.prior is None and isinstance(self.fidelity, UsesPrior):
            model.prior = self.fidelity.prior
        self.penalties = nn.ModuleDict()
        self.adversaries: dict[str, Adversary] = {}
        self.schedules: dict[str, Schedule] = {}
        self._auxiliary = model.latent.auxiliary_name if isinstance(model.latent, HasAuxiliaryLoss) else None
        self._tried_shape: Shape | None = None
        self._frozen: list[nn.Module] = []
        self._fixed: list[nn.Parameter] = []
        if self._auxiliary is not None:
            self.schedules[self._auxiliary] = Schedule(1.0)
        for penalty, weight in (penalties or {}).items():
            self._add(_checked(model, penalty, "penalty"), weight)
        if isinstance(self.fidelity, MakesTrace):
            self._check_implicit()
        if model.shape is not None:
            self.dry_run(model.shape)

    def _check_implicit(self) -> None:
        """Check the terms of a model whose outputs have no example that they were made from.

        Raises:
            IncompatibleParts: a term compares the two, or none trains the decoder.
        """
        what = f"fidelity.kind={self.fidelity_name} has no pairs of example and output"
        for name, penalty in self.penalties.items():
            if isinstance(penalty, UsesPairs) and penalty.pairs:
                raise IncompatibleParts(
                    f"{what}, which penalty {name} compares. Set penalties.{name}.ratio=null for a discriminator, "
                    f"remove other penalties (penalties.{name}=null), or set fidelity.kind=likelihood."
                )
        if self._auxiliary is not None:
            raise IncompatibleParts(
                f"{what}, which the loss {self._auxiliary} of the latent compares. Set latent.kind=gaussian, or "
                "fidelity.kind=likelihood."
            )
        if any(p.requires_grad for p in self.model.likelihood.parameters()):
            raise IncompatibleParts(
                f"{what}, of which likelihood {type(self.model.likelihood).__name__} learns its scale. Set "
                "likelihood.kind=gaussian or bernoulli."
            )
        if not any(
            isinstance(penalty, TrainsDecoder) and penalty.trains_decoder for penalty in self.penalties.values()
        ):
            raise IncompatibleParts(
                f"{what}, so nothing would train the decoder. Set penalties.discriminator.kind=discriminator and "
                "penalties.discriminator.ratio=null."
            )

    def dry_run(self, shape: Shape) -> None:
        """Pass two blank examples through the model and all terms, to find errors before training.

        A second call with the same shape does nothing.

        Raises:
            IsthmusError: parts that do not match each other or the shape.
        """
        if self._tried_shape == tuple(shape):
            return
        with inference(self), seeded(0):
            self._terms(self.model.dry_run(shape))
        self._tried_shape = tuple(shape)

    def _add(self, penalty: "PenaltyModule", weight: float | Schedule) -> None:
        """Add a penalty, after checking that it is compatible."""
        if isinstance(self.fidelity, ImportanceWeighted) and isinstance(penalty, Divergence) and penalty.is_divergence:
            raise IncompatibleParts(
                f"The importance-weighted bound contains the prior already, so penalty {penalty.name} would count it "
                f"twice. Remove the penalty (penalties.{penalty.name}=null), or set fidelity.kind=likelihood."
            )
        schedule = weight if isinstance(weight, Schedule) else Schedule(float(weight))
        smallest = min(schedule.value, schedule.start if schedule.shape != "constant" else schedule.value)
        if smallest < 0:
            raise BadOption(f"The weight of penalty {penalty.name} must be at least 0, but is {smallest:g}.")
        name = _free_name(penalty.name, self.penalties)
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) or name in TAKEN or hasattr(self.penalties, name):
            raise BadOption(
                f"A penalty cannot have the name {name!r}, which names its term of the loss. Use letters, digits and "
                "_, and a name other than loss, reconstruction and bound."
            )
        self.penalties[name] = penalty
        self.schedules[name] = schedule
        if isinstance(penalty, Adversary):
            self.adversaries[name] = penalty
        if self.model.prior is None and isinstance(penalty, UsesPrior):
            # new codes are sampled from the prior that the code is compared with
            self.model.prior = penalty.prior

    def freeze(self, stage: str) -> None:
        """Fix the parts of the model that a stage does not train, until :meth:`unfreeze`.

        Their parameters get no gradient, and they stay in evaluation mode, in which their buffers do not change. What
        encoder and decoder share is fixed with either of them.
        """
        self._frozen = [part for name in FROZEN[stage] if (part := getattr(self.model, name)) is not None]
        self._fixed = [p for part in self._frozen for p in part.parameters() if p.requires_grad]
        for parameter in self._fixed:
            parameter.requires_grad_(False)

    def unfreeze(self) -> None:
        """Let all parts be trained again."""
        for parameter in self._fixed:
            parameter.requires_grad_(True)
        self._frozen, self._fixed = [], []

    def train(self, mode: bool = True) -> "Objective":
        """Set the training mode of all parts but those that are fixed."""
        super().train(mode)
        for part in self._frozen:
            part.eval()
        return self

    def players(self) -> dict[str, list[nn.Parameter]]:
        """Trainable parameters of ``autoencoder``, and of the critic of each adversarial penalty, by name."""
        critics = {
            f"{name}{CRITIC}": [p for p in penalty.critic.parameters() if p.requires_grad]
            for name, penalty in self.adversaries.items()
        }
        of_critics = {id(p) for members in critics.values() for p in members}
        others = [p for p in self.parameters() if p.requires_grad and id(p) not in of_critics]
        return {AUTOENCODER: others, **critics}

    def init_from_data(self, x: Tensor, inputs: Tensor | None = None) -> None:
        """Initialize all parts that depend on data from the training examples (N, *D), before the first step.

        The likelihood is initialized from ``x``; all other parts from what the encoder sees: ``inputs`` where they are
        given, otherwise ``x``, with missing values filled.

        Raises:
            IncompatibleParts: the likelihood cannot be initialized from examples with missing values.
        """
        seen = self.model.filled(x if inputs is None else inputs)
        of_likelihood: set[object] = set(self.model.likelihood.modules())
        for part in self.initialized_from_data():
            part.init_from_data(x if part in of_likelihood else seen)
        check_initialized(self.model)

    def initialized_from_data(self) -> list[InitializedFromData]:
        """All parts that depend on data before the first step."""
        parts = [part for part in self.modules() if part is not self and isinstance(part, InitializedFromData)]
        return [part for part in parts if getattr(part, "needs_data", True)]

    def accept_missing(self, fill: Float[Tensor, "..."]) -> None:
        """Leave missing values, NaN, out of the loss, and replace them by ``fill`` in the input of the encoder.

        Every term of the loss and its gradient is evaluated on two examples of which half the values are missing.

        Args:
            fill: shape (1, *D) or one that broadcasts with it, in units of the model's input; finite, and within the
                bounds of the support of the likelihood. It becomes :attr:`Autoencoder.fill`.

        Raises:
            BadData: fill values that are not finite or outside the support.
            IncompatibleParts: a term that cannot leave out missing values.
            ShapeError: fill values of another shape than the examples.
        """
        accept(self.model, fill, self._terms)

    def weights(self, step: int, total: int) -> dict[str, float]:
        """The weight of each penalty at ``step`` of ``total``; final weights if ``total`` is 0."""
        return self._weights(step, total)

    def _weights(self, step: int | Moment, total: int) -> dict[str, Any]:
        """The weight of each penalty, tensors at a moment that is not known."""
        return {name: s(step, total) if total else s.value for name, s in self.schedules.items()}

    def total(self, terms: Mapping[str, float]) -> float:
        """The loss from its terms, with final weights, in nats per example."""
        return terms[self.fidelity_name] + sum(s.value * terms[name] for name, s in self.schedules.items())

    def forward(
        self,
        x: Float[Tensor, "B *D"],
        *,
        x_in: Float[Tensor, "B *D"] | None = None,
        step: int | Moment = 0,
        total: int = 0,
        corrupt: bool | None = None,
        population: int = 0,
        gather: Gather = alone,
        examples_per_process: float | None = None,
    ) -> Loss:
        """The loss of a batch at ``step`` of a run of ``total`` steps; with final weights if ``total`` is 0.

        The encoder sees ``x_in`` where it is given (pairs of a noisy and a clean example), otherwise ``x``.
        ``corrupt`` applies the corruption, by default in training mode only. If several processes share a batch,
        ``examples_per_process`` is their mean number of examples: local sums are divided by it, so that their mean over
        processes is the mean over all examples, for any distribution of examples.
        """
        progress = step if isinstance(step, Moment) else step / total if total else 1.0
        # a model of one's own without pairs need not know of them
        pair = {} if x_in is None else {"x_in": x_in}
        if isinstance(self.fidelity, MakesTrace):
            trace = self.fidelity.trace(self.model, x, progress, population, gather)
        else:
            trace = self.model(x, corrupt=corrupt, progress=progress, population=population, gather=gather, **pair)
        terms = self._terms(trace, examples_per_process)
        loss = terms[self.fidelity_name]
        for name, weight in self._weights(step, total).items():
            loss = loss + weight * terms[name]
        critics = {
            f"{name}{CRITIC}": _mean(adversary.critic_loss(self.model, trace), examples_per_process)
            for name, adversary in self.adversaries.items()
            if self.training
        }
        return Loss(loss, terms, critics)

    def _terms(self, trace: Trace, examples: float | None = None) -> dict[str, Tensor]:
        """All terms by name, the fidelity first, each the mean over the batch."""
        terms = {self.fidelity_name: _mean(self.fidelity(self.model, trace), examples)}
        for name in self.schedules:
            terms[name] = _mean(self._term(name, trace), examples)
        return terms

    def _term(self, name: str, trace: Trace) -> Tensor:
        """The penalty or auxiliary loss ``name``, per example or for the batch."""
        if name == self._auxiliary:
            return cast(HasAuxiliaryLoss, self.model.latent).auxiliary_loss(self.model, trace)
        value: Tensor = self.penalties[name](self.model, trace)
        return value


def _checked(model: Autoencoder, term: nn.Module, kind: str) -> "PenaltyModule":
    """A term, after checking its protocol and that the latent provides what it requires."""
    if not isinstance(term, Penalty):
        raise IncompatibleParts(
            f"A {kind} must have the attributes name and requires and be callable with (model, trace), but "
            f"{type(term).__name__} is not. Use one of isthmus.{kind[:-1]}ies."
        )
    missing = sorted(term.requires - model.latent.provides)
    if missing:
        removal = f"penalties.{term.name}=null to remove it" if kind == "penalty" else "another fidelity.kind"
        raise IncompatibleParts(
            f"{kind.capitalize()} {term.name} requires {' and '.join(missing)}, which latent "
            f"{type(model.latent).__name__} does not provide. Set {ADVICE[missing[0]]}, or {removal}."
        )
    return cast("PenaltyModule", term)


def _mean(term: Tensor, examples: float | None) -> Tensor:
    """The mean of a term over the examples of a batch; a term of the whole batch is returned as it is."""
    return term.mean() if examples is None or term.ndim == 0 else term.sum() / examples


def _free_name(name: str, taken: nn.ModuleDict) -> str:
    """``name``, or ``name_2``, ``name_3`` and so on if it is taken."""
    numbers = ["", *(f"_{i}" for i in range(2, len(taken) + 2))]
    return next(name + n for n in numbers if name + n not in taken)
