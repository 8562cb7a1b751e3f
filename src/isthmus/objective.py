r"""What is minimised, in nats per example.

.. math:: \mathbb E\left[-\log p(x \mid z)\right] + \sum_i \lambda_i\,\Omega_i, \quad z \sim q(z \mid \tilde x)
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from isthmus.errors import BadOption, IncompatibleParts
from isthmus.fidelities import ImportanceWeighted, LogLikelihood, log_weights
from isthmus.model import Autoencoder, inference, seeded
from isthmus.schedules import Schedule
from isthmus.trace import Gather, Offer, Penalty, Trace, alone

TAKEN = frozenset({"reconstruction", "bound", "loss"})
AUTOENCODER = "autoencoder"
CRITIC = "_critic"
"""What the loss of a player is called: the name of its penalty and this."""


class Loss(NamedTuple):
    """A loss and its named parts, each the mean over the batch, in nats per example; parts are not weighted.

    ``critics`` are the losses of adversarial players. They share no parameter with ``total``, and neither sends a
    gradient into the other's, so one backward pass through their sum serves all players.
    """

    total: Tensor
    parts: dict[str, Tensor]
    critics: dict[str, Tensor]


class Objective(nn.Module):
    r"""The negative log-likelihood of the reconstruction, and weighted penalties.

    A latent that brings a term of its own (a codebook's, dead units') adds it with weight 1, under its own name.

    Args:
        model: the autoencoder.
        penalties: each penalty with its weight :math:`\lambda \ge 0`, a number or a :class:`Schedule`.
        fidelity: the term that asks the output to be like the input; :math:`-\log p(x \mid z)` by default.

    Raises:
        IncompatibleParts: a part needs what the latent does not offer, or two parts count the same term twice.
        BadOption: a weight below zero.

    >>> from isthmus import latents, likelihoods, nets, penalties, priors
    >>> latent, likelihood = latents.Gaussian(), likelihoods.Bernoulli()
    >>> encoder, decoder, _ = nets.mlp((12,), 2, latent, likelihood, widths=(8,))
    >>> model = Autoencoder(encoder, decoder, latent, likelihood, shape=(12,))
    >>> objective = Objective(model, {penalties.KL(priors.StandardNormal()): 1.0})
    >>> sorted(objective(torch.rand(4, 12)).parts)
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
        self.fidelity = LogLikelihood() if fidelity is None else fidelity
        _check(model, self.fidelity, "fidelity")
        self.fit: str = str(self.fidelity.name)
        if model.prior is None:
            model.prior = getattr(self.fidelity, "prior", None)
        self.penalties = nn.ModuleDict()
        self.schedules: dict[str, Schedule] = {}
        self.own: str | None = getattr(model.latent, "own_name", None)
        if self.own is not None:
            self.schedules[self.own] = Schedule(1.0)
        for penalty, weight in (penalties or {}).items():
            self._add(penalty, weight)
        if model.shape is not None:
            self.rehearse()

    def rehearse(self) -> None:
        """Take two blank examples through all terms, so that a misfit is found before any work.

        Raises:
            IsthmusError: a term cannot take what the model gives.
        """
        assert self.model.shape is not None
        like = self.model.like
        with inference(self), seeded(0):
            self(torch.zeros(2, *self.model.shape, device=like.device, dtype=like.dtype))

    def _add(self, penalty: nn.Module, weight: float | Schedule) -> None:
        """Take a penalty in, if it fits."""
        model = self.model
        _check(model, penalty, "penalty")
        if isinstance(self.fidelity, ImportanceWeighted) and getattr(penalty, "divergence", False):
            raise IncompatibleParts(
                f"The importance-weighted bound holds the prior already, so penalty {penalty.name} would count it "
                f"twice. Leave it out (--set penalties.{penalty.name}=null), or set fidelity.kind=likelihood."
            )
        schedule = weight if isinstance(weight, Schedule) else Schedule(float(weight))
        least = min(schedule.value, schedule.start if schedule.shape != "constant" else schedule.value)
        if least < 0:
            raise BadOption(
                f"The weight of penalty {penalty.name} must be at least 0, but is {least:g}; "
                "a negative weight would reward what it should forbid."
            )
        name = _free_name(str(penalty.name), self.penalties)
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) or name in TAKEN or hasattr(self.penalties, name):
            raise BadOption(
                f"A penalty cannot be called {name!r}: the name stands for its part of the loss. Use letters, "
                "digits and _, and no word that is taken (loss, reconstruction)."
            )
        self.penalties[name] = penalty
        self.schedules[name] = schedule
        if model.prior is None:
            # what the code is compared with is what new codes are drawn from
            model.prior = getattr(penalty, "prior", None)

    @property
    def critics(self) -> dict[str, nn.Module]:
        """The penalties that are players: each trains a critic of its own."""
        return {name: penalty for name, penalty in self.penalties.items() if hasattr(penalty, "critic_loss")}

    def players(self) -> dict[str, list[nn.Parameter]]:
        """Trainable parameters of each player: ``autoencoder``, and each adversarial penalty's critic by its name."""
        taken = {
            f"{name}{CRITIC}": [p for p in penalty.critic.parameters() if p.requires_grad]  # type: ignore[union-attr]
            for name, penalty in self.critics.items()
        }
        theirs = {id(p) for members in taken.values() for p in members}
        mine = [p for p in self.parameters() if p.requires_grad and id(p) not in theirs]
        return {AUTOENCODER: mine, **taken}

    def meet(self, x: Tensor) -> None:
        """Let every part that starts from the data see the training examples, before the first step."""
        for part in self.modules():
            if part is not self and hasattr(part, "meet"):
                part.meet(x)  # type: ignore[operator]

    def weights(self, step: int, total: int) -> dict[str, float]:
        """The weight of each penalty at ``step`` of ``total``; final weights where ``total`` is 0."""
        return {name: s(step, total) if total else s.value for name, s in self.schedules.items()}

    def total(self, parts: Mapping[str, float]) -> float:
        """The loss that named parts add up to with final weights, in nats per example."""
        return parts[self.fit] + sum(s.value * parts[name] for name, s in self.schedules.items())

    def forward(
        self,
        x: Float[Tensor, "B *D"],
        *,
        step: int = 0,
        total: int = 0,
        corrupt: bool | None = None,
        population: int = 0,
        gather: Gather = alone,
        examples: float | None = None,
    ) -> Loss:
        """The loss of a batch at ``step`` of a run of ``total`` steps (final weights where ``total`` is 0).

        The corruption acts where ``corrupt`` says so, else in training mode only. Where several processes share a
        batch, ``examples`` is how many each has on average: the mean over processes of a sum over the own examples
        divided by it is the mean over all, however unevenly they are dealt out.
        """
        progress = step / total if total else 1.0
        trace = self.model(x, corrupt=corrupt, progress=progress, population=population, gather=gather)
        parts = {self.fit: _mean(self.fidelity(self.model, trace), examples)}
        loss = parts[self.fit]
        for name, weight in self.weights(step, total).items():
            parts[name] = _mean(self._term(name, trace), examples)
            loss = loss + weight * parts[name]
        critics = {
            f"{name}{CRITIC}": _mean(player.critic_loss(self.model, trace), examples)  # type: ignore[operator]
            for name, player in self.critics.items()
            if self.training
        }
        return Loss(loss, parts, critics)

    def _term(self, name: str, trace: Trace) -> Tensor:
        """One term beside the fidelity, by name."""
        if name == self.own:
            own: Tensor = self.model.latent.own_term(self.model, trace)  # type: ignore[operator]
            return own
        value: Tensor = self.penalties[name](self.model, trace)
        return value


def log_importance_weights(model: Autoencoder, x: Float[Tensor, "B *D"], samples: int) -> Float[Tensor, "K B"]:
    r"""Logarithms of :math:`w_k = p(x \mid z_k)\, p(z_k) / q(z_k \mid x)` for K draws from the posterior, in nats.

    Their mean is the evidence lower bound; :func:`isthmus.functional.log_mean_exp` of them tightens it with K.

    References:
        Importance weighted autoencoders (Burda et al., 2016), equation 8

    Raises:
        IncompatibleParts: the latent has no density, or the model no prior.
    """
    model.prior_distribution()
    if Offer.DENSITY not in model.latent.offers:  # type: ignore[operator]
        raise IncompatibleParts(
            f"Importance weights need {Offer.DENSITY}, but the latent {type(model.latent).__name__} gives none. Use a "
            "variational recipe such as vae."
        )
    trace = model(x, corrupt=False)
    assert model.prior is not None
    return log_weights(model, trace, model.prior, samples, trace.q)


def _check(model: Autoencoder, term: nn.Module, kind: str) -> None:
    """Refuse a term that asks of the latent what it does not offer."""
    if not isinstance(term, Penalty):
        raise IncompatibleParts(
            f"A {kind} must have a name, its needs, and be callable on (model, trace), but {type(term).__name__} "
            f"does not. Use one of isthmus.{kind[:-1]}ies."
        )
    offers: frozenset[Offer] = model.latent.offers  # type: ignore[assignment]
    missing = term.needs - offers
    if missing:
        raise IncompatibleParts(
            f"{kind.capitalize()} {term.name} needs {' and '.join(sorted(missing))}, but the latent "
            f"{type(model.latent).__name__} offers {', '.join(sorted(offers)) or 'nothing'}. "
            "Choose another latent (latent.kind), or leave it out."
        )


def _mean(term: Tensor, examples: float | None) -> Tensor:
    """The mean of a term over the examples of a batch; a term of the whole batch is one already."""
    return term.mean() if examples is None or term.ndim == 0 else term.sum() / examples


def _free_name(name: str, taken: nn.ModuleDict) -> str:
    """``name``, or ``name_2`` and so on where it is taken."""
    numbers = ["", *(f"_{i}" for i in range(2, len(taken) + 2))]
    return next(name + n for n in numbers if name + n not in taken)
